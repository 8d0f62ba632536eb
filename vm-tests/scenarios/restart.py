# The service is restarted during a stream: the session goes on, with the worker and the program that it had
# Fails when the restart ends the session, when its worker or its program is another one afterwards, or when a frame is lost.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)


def restart() -> None:
    """Returns once the next daemon sees its session send pictures."""
    before = sessions(host)[0]
    host.succeed("systemctl restart lumen")
    retry(lambda _: any(session["frames_sent"] > before["frames_sent"] + 20 for session in sessions(host)))
    t.assertEqual(sessions(host)[0]["worker_pid"], before["worker_pid"], "the session has another worker")


with subtest("restarted twice, every picture comes"):
    streams_on(client)
    streaming(host)
    restart()
    restart()
    seen = stream_ends(client)
    video, card = seen["video"], seen["video"]["card"]
    log.info(f"{video['frames_decoded']} decoded, {video['frames_lost']} lost; {seen['latency']['picture_interval']['max']:.0f} ms between two pictures at most")
    t.assertEqual(seen["ending"], {"how": "completed"}, "the stream did not outlive the restart")
    t.assertEqual(video["frames_lost"], 0)
    t.assertEqual([card[kind] for kind in ("repeated", "out_of_order", "restarts")], [0, 0, 0])
    client.succeed("lumen-client --identity /root/identity quit host")

with subtest("the program on a desktop does not notice"):
    streams_on(client, app="Desk")
    streaming(host)
    program = host.succeed("pgrep -x foot")
    restart()
    t.assertEqual(host.succeed("pgrep -x foot"), program)
    t.assertEqual(stream_ends(client)["ending"], {"how": "completed"})
