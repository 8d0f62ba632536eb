# A desktop of its own at the client's mode: a terminal on a headless sway, seen, typed into, and resized when the client comes back
# Fails when the desktop has not the size that the client asks for, when its picture does not arrive, or when what is typed does not.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)


def mode() -> Any:
    """Width and height of the outputs that sway has."""
    socket = "export $(tr '\\0' '\\n' </proc/$(pgrep -x foot)/environ | grep ^SWAYSOCK=)"
    outputs = json.loads(host.succeed(f"{socket}; swaymsg -r -t get_outputs"))
    return [(output["current_mode"]["width"], output["current_mode"]["height"]) for output in outputs]


def green(path: str, width: int, height: int) -> None:
    """The client's picture is the terminal's, from edge to edge; the pointer is in the middle."""
    lines = picture(client, path)
    t.assertEqual((len(lines[0]), len(lines)), (width, height))
    for x, y in [(width // 4, height // 2), (width - 8, height - 8), (8, height - 8)]:
        red, of_green, blue = lines[y][x]
        t.assertTrue(abs(red - 0x20) < 16 and abs(of_green - 0xA0) < 16 and abs(blue - 0x60) < 16, f"{lines[y][x]} at {x}, {y}")


with subtest("the desktop has the client's mode, and fills its picture"):
    client.succeed(stream_command("--screenshot /root/first.png", app="Desk", mode="480x272@10", frames=10, duration="10s"))
    program = host.succeed("pgrep -x foot")
    t.assertEqual(mode(), [(480, 272)])
    green("/root/first.png", 480, 272)

with subtest("the client comes back at another: the same program, resized"):
    client.succeed("printf 'at 3s text \"lumen\"\\nwait 1s key RETURN tap\\n' >/root/script")
    client.succeed(stream_command("--resume --screenshot /root/second.png --input /root/script", app="Desk", mode="640x352@10", frames=10, duration="15s"))
    t.assertEqual(host.succeed("pgrep -x foot"), program)
    t.assertEqual(mode(), [(640, 352)])
    green("/root/second.png", 640, 352)

with subtest("what was typed arrived"):
    host.wait_until_succeeds("grep -qx lumen /var/lib/lumen/typed", timeout=60)
