# A stream from one machine to another: every frame arrives, whole, decoded and in order
# Fails when a frame is lost, repeated or out of order, when the codec is not there, or when quitting leaves the session.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

# Not HEVC: emulated, its encoder needs longer for the first picture than a client waits.
with subtest("every frame, by its number"):
    client.succeed(stream_command("--codec h264 --quit-after --expect-no-loss"))
    seen = report(client)
    video, card = seen["video"], seen["video"]["card"]
    log.info(f"{video['frames_decoded']} decoded, {video['frames_lost']} lost; {card['missing']} skipped by a host without time")
    t.assertEqual(seen["ending"], {"how": "completed"})
    t.assertGreaterEqual(video["frames_decoded"], 20)
    t.assertEqual(video["frames_lost"], 0)
    t.assertEqual([card[kind] for kind in ("repeated", "out_of_order", "unreadable")], [0, 0, 0])

with subtest("quitting ended the session"):
    t.assertEqual(sessions(host), [])
