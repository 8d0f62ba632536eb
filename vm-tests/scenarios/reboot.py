# The host is rebooted in order during a stream: the client is told, and streams again once the host is back, without being asked
# Fails when the client is left waiting, when the service does not come back by itself, or when the host forgets its clients.
host.start(allow_reboot=True)
client.start()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

streams_on(client)
streaming(host)

with subtest("the client is told"):
    host.reboot()
    client.wait_until_fails("systemctl is-active --quiet client-stream")
    ending = report(client)["ending"]
    log.info(json.dumps(ending))
    t.assertEqual(ending, {"how": "closed-by-host"}, "the client was not told")

with subtest("the host is back, has no session, and knows its client"):
    host.wait_for_unit("lumen.service", timeout=300)
    t.assertEqual(sessions(host), [])
    client.wait_for_open_port(47989, "host")
    client.succeed(stream_command("--launch --quit-after"))
    t.assertGreaterEqual(report(client)["video"]["frames_decoded"], 20)
