# The cable is pulled during a stream: the session waits for its client, which resumes it
# Fails when the session ends with the link, when the host forgets it, or when it cannot be resumed.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

streams_on(client)
retry(lambda _: any(session["frames_sent"] > 20 for session in sessions(host)))
before = sessions(host)[0]

with subtest("the session outlives the link"):
    host.block()
    host.wait_until_succeeds("lumen status | grep suspended >/dev/null")
    client.wait_until_fails("systemctl is-active --quiet client-stream")
    t.assertEqual(sessions(host)[0]["worker_pid"], before["worker_pid"])

with subtest("the client resumes it"):
    host.unblock()
    client.wait_for_open_port(47989, "host")
    client.succeed(stream_command("--resume --quit-after"))
    t.assertGreaterEqual(report(client)["video"]["frames_decoded"], 20)

with subtest("quitting ended it"):
    t.assertEqual(sessions(host), [])
