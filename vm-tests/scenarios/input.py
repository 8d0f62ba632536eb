# Gamepads of a client are devices of the host's kernel, which programs read: one by uinput, one by uhid
# Fails when a pad is not made, when whoever the games run as cannot read it, when what is pressed does not come, or when it stays.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

# Pressed again and again, for a slow machine may take long until somebody reads.
script = ["at 1s pad 0 arrive xbox", "wait 100ms pad 1 arrive playstation"]
for _ in range(300):
    script += ["wait 500ms pad 0 button a tap", "pad 1 button x tap", "wait 500ms pad 0 stick left 1.0 0.0", "wait 500ms pad 0 stick left 0.0 0.0"]
client.succeed("cat >/root/script <<'SCRIPT'\n" + "\n".join(script) + "\nSCRIPT")


def device(name: str) -> str:
    """The file of the device of this name, once it is there."""
    search = f"grep -l '^{name}' /sys/class/input/event*/device/name"
    found = host.wait_until_succeeds(search).split()
    t.assertEqual(len(found), 1)
    return "/dev/input/" + found[0].split("/")[4]


def sees(file: str, event: str) -> None:
    """The user of games reads this event of it."""
    host.succeed(f"systemd-run --quiet --collect --unit=reads --uid=lumen bash -c 'exec evtest {file} >/tmp/events'")
    host.wait_until_succeeds(f"grep -q '{event}' /tmp/events", timeout=120)
    host.succeed("systemctl stop reads", "rm /tmp/events")


streams_on(client, "--input /root/script", app="Desk")
# A desktop without a program draws little.
retry(lambda _: any(session["state"] == "streaming" for session in sessions(host)))

with subtest("an Xbox pad, by uinput"):
    pad = device("Xbox 360 pad (lumen-")
    sees(pad, "(BTN_SOUTH), value 1")
    sees(pad, "(ABS_X), value 32767")

with subtest("a DualSense, by uhid and the kernel's own driver"):
    host.succeed("test -d /sys/module/hid_playstation")
    sees(device(".*(lumen-[0-9]*/pad1)$"), "(BTN_WEST), value 1")

with subtest("they go with the session"):
    stream_ends(client)
    client.succeed("lumen-client --identity /root/identity quit host")
    host.wait_until_fails("grep -l lumen- /sys/class/input/event*/device/name")
