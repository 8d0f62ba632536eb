# The power of the host goes during a stream: it comes back, and knows its client
# Fails when pairing is not on the disk once it was confirmed, or when what a cut leaves behind keeps the service down.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)
known = client.succeed(f"{CLIENT} list host")

with subtest("cut right after pairing"):
    host.crash()
    t.assertFalse(host.is_up())
    host.start()
    host.wait_for_unit("lumen.service")
    client.wait_until_succeeds(f"{CLIENT} list host")
    t.assertEqual(client.succeed(f"{CLIENT} list host"), known)

with subtest("cut during a stream"):
    streams_on(client)
    retry(lambda _: any(session["frames_sent"] > 20 for session in sessions(host)))
    host.crash()
    client.wait_until_fails("systemctl is-active --quiet client-stream")
    host.start()
    host.wait_for_unit("lumen.service")
    t.assertEqual(sessions(host), [])
    client.wait_for_open_port(47989, "host")
    client.succeed(stream_command("--launch --quit-after"))
    t.assertGreaterEqual(report(client)["video"]["frames_decoded"], 20)
