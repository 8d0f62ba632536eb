# A stream is encrypted: nothing readable of it is on the wire
# Fails when video leaves in the clear although the client can decrypt, or when a host that demands encryption streams without.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)



def clear_pictures(encrypt: str) -> int:
    """How many lines of what the host sent as video hold the beginning of an H.264 stream."""
    host.succeed("systemd-run --quiet --collect --unit=wire tcpdump -i eth1 -U -w /tmp/wire udp src port 47998")
    host.wait_for_file("/tmp/wire")
    client.succeed(stream_command(f"--quit-after --encrypt {encrypt}"))
    host.succeed("systemctl stop wire")
    t.assertGreater(int(host.succeed("stat -c %s /tmp/wire")), 10000, "nothing was captured")
    count = host.succeed(r"LC_ALL=C grep -caP '\x00\x00\x00\x01[\x27\x67]' /tmp/wire || true")
    host.succeed("rm /tmp/wire")
    return int(count)


with subtest("a client that cannot decrypt is sent a stream in the clear"):
    t.assertGreater(clear_pictures("none"), 0)
    t.assertNotIn("video", report(client)["host"]["encrypted"])

with subtest("one that can is not"):
    t.assertEqual(clear_pictures("all"), 0)
    t.assertEqual(report(client)["host"]["encrypted"], "rtsp, control, video, audio")

with subtest("where encryption is demanded, one that does not ask for it gets it all the same"):
    host.succeed("systemctl set-environment LUMEN_STREAM__ENCRYPTION=required", "systemctl restart lumen")
    host.wait_for_unit("lumen.service")
    client.wait_for_open_port(47989, "host")
    t.assertEqual(clear_pictures("none"), 0)
    t.assertEqual(report(client)["host"]["encrypted"], "rtsp, control, video, audio")
