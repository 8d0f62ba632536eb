# A client is killed and does not come back: its session ends when the time to keep it is over, and leaves nothing
# Fails when the session stays, or when its worker does.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

streams_on(client)
before = streaming(host)
client.succeed("systemctl kill --signal=KILL client-stream")

with subtest("its session is suspended, then ended"):
    host.wait_until_succeeds("journalctl --unit=lumen --grep=suspended --quiet")
    retry(lambda _: sessions(host) == [])

with subtest("nothing is left of it"):
    host.wait_until_fails(f"test -e /proc/{before['worker_pid']}")
    host.fail("pgrep -f 'lumen session'")

with subtest("the client starts another"):
    client.succeed(stream_command("--launch --quit-after"))
    t.assertGreaterEqual(report(client)["video"]["frames_decoded"], 20)
