# The client gets another address during a stream, as one that changes to another network: it resumes its session from there
# Fails when the session is bound to the address that the client had, or when it ends with it.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

streams_on(client)
before = streaming(host)
t.assertIn("192.168.1.1", before["peer"])

with subtest("the session outlives the address"):
    client.succeed("ip address flush dev eth1", "ip address add 192.168.1.77/24 dev eth1")
    host.wait_until_succeeds("lumen status | grep suspended >/dev/null")
    client.wait_until_fails("systemctl is-active --quiet client-stream")

with subtest("the client resumes it from another one"):
    client.succeed(stream_command("--resume", duration="8s"))
    t.assertGreaterEqual(report(client)["video"]["frames_decoded"], 20)
    after = sessions(host)[0]
    t.assertEqual(after["worker_pid"], before["worker_pid"], "it is another session")
