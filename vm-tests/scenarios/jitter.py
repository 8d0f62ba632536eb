# The wire delays packets by 10 to 30 ms, each by another time, so that they overtake one another: the picture goes on
# Fails when a packet that comes late, or before its time, is not used.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

with subtest("packets overtake one another"):
    bad_wire(host, "delay 20ms 10ms")
    client.succeed(stream_command(frames=60))
    seen = report(client)
    video, card = seen["video"], seen["video"]["card"]
    log.info(
        f"{video['frames_decoded']} decoded, {video['frames_lost']} lost, {video['packets_recovered']} packets rebuilt; "
        f"sound: {seen['audio']['packets']} packets, {seen['audio']['packets_lost']} lost"
    )
    t.assertEqual(seen["ending"], {"how": "completed"})
    # A frame of which the next is complete before it is given up: where the host was held up, two may be that close.
    t.assertLess(video["frames_lost"] * 20, video["frames_decoded"], "frames were lost")
    t.assertEqual([card[kind] for kind in ("repeated", "out_of_order", "restarts")], [0, 0, 0])

with subtest("the same with a quarter of the packets ahead of all that wait"):
    bad_wire(host, "delay 30ms reorder 25% 50%")
    client.succeed(stream_command("--quit-after", frames=60))
    seen = report(client)
    video, card = seen["video"], seen["video"]["card"]
    log.info(f"{video['frames_decoded']} decoded, {video['frames_lost']} lost, {video['packets_recovered']} packets rebuilt")
    t.assertEqual(seen["ending"], {"how": "completed"})
    t.assertLess(video["frames_lost"] * 20, video["frames_decoded"], "frames were lost")
    t.assertEqual([card[kind] for kind in ("repeated", "out_of_order", "restarts")], [0, 0, 0])
