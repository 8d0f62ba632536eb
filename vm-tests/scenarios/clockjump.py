# The clock of the host jumps by a day, ahead and back, during a stream: nobody notices
# Fails when anything that is timed follows the wall clock: the stream stalls or ends, or the client is a stranger afterwards.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

streams_on(client)
before = streaming(host)
daemon = host.get_unit_property("lumen.service", "MainPID")

for jump in ["tomorrow", "2 days ago", "tomorrow"]:
    with subtest(f"the clock says: {jump}"):
        frames = sessions(host)[0]["frames_sent"]
        host.succeed(f"date --set='{jump}'")
        retry(lambda _: any(session["state"] == "streaming" and session["frames_sent"] > frames + 30 for session in sessions(host)))

with subtest("the stream has every picture"):
    seen = stream_ends(client)
    video, card = seen["video"], seen["video"]["card"]
    log.info(f"{video['frames_decoded']} decoded, {video['frames_lost']} lost; {seen['latency']['picture_interval']['max']:.0f} ms between two pictures at most")
    t.assertEqual(seen["ending"], {"how": "completed"}, "the stream ended with the jump")
    t.assertEqual(video["frames_lost"], 0)
    t.assertEqual([card[kind] for kind in ("repeated", "out_of_order", "restarts")], [0, 0, 0])
    t.assertEqual(sessions(host)[0]["worker_pid"], before["worker_pid"])
    t.assertEqual(host.get_unit_property("lumen.service", "MainPID"), daemon, "the service was started again")

with subtest("in another year the client is known, and streams"):
    host.succeed("date --set='next year'")
    client.succeed(stream_command("--resume --quit-after"))
    t.assertGreaterEqual(report(client)["video"]["frames_decoded"], 20)
