# Each process of the host is killed with SIGKILL during a stream: what depended on it ends in order, all else goes on
# Fails when the host does not come back, when a session outlives what it needs, or when something is left of one that ended.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)


def ended() -> None:
    """The session is over, for the host and for its client, and nothing is left of it."""
    retry(lambda _: sessions(host) == [])
    client.wait_until_fails("systemctl is-active --quiet client-stream")
    t.assertNotEqual(report(client)["ending"], {"how": "completed"}, "the client was not told")
    host.wait_until_fails("pgrep -f 'lumen session'")
    host.wait_until_fails("pgrep -x 'sway|foot'")


with subtest("the daemon: systemd starts it again, and its client resumes the same session"):
    streams_on(client)
    before = streaming(host)
    daemon = host.get_unit_property("lumen.service", "MainPID")
    host.succeed(f"kill -KILL {daemon}")
    retry(lambda _: host.get_unit_property("lumen.service", "MainPID") not in ("0", daemon))
    host.wait_for_unit("lumen.service")
    t.assertEqual([session["worker_pid"] for session in sessions(host)], [before["worker_pid"]])
    client.execute("systemctl stop client-stream")
    client.succeed(stream_command("--resume"))
    t.assertGreaterEqual(report(client)["video"]["frames_decoded"], 20)
    t.assertEqual(sessions(host)[0]["worker_pid"], before["worker_pid"])

with subtest("the worker: its session ends, and its client is told"):
    streams_on(client, "--resume")
    retry(lambda _: any(session["state"] == "streaming" for session in sessions(host)))
    client.wait_until_succeeds("systemctl is-active --quiet client-stream")
    host.succeed(f"kill -KILL {before['worker_pid']}")
    ended()

for process in ["foot", "sway"]:
    with subtest(f"{process}: its session ends, and its client is told"):
        streams_on(client, "--launch", app="Desk")
        streaming(host)
        host.succeed(f"pkill -KILL -x {process}")
        ended()

with subtest("after all of that the host streams"):
    client.succeed(stream_command("--launch --quit-after"))
    t.assertGreaterEqual(report(client)["video"]["frames_decoded"], 20)
