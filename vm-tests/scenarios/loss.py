# The wire loses 1, 5 and 10 % of what the host sends: the stream goes on, and most frames are mended
# Fails when frames are not protected by parity, when a loss stops the stream, or when pictures come twice or out of order.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

for percent, least_mended in [(1, 0), (5, 10), (10, 20)]:
    with subtest(f"{percent} % are lost"):
        bad_wire(host, f"loss {percent}%")
        client.succeed(stream_command(frames=100, app="Test card, full motion"))
        seen = report(client)
        video, card = seen["video"], seen["video"]["card"]
        log.info(
            f"{queue(host, 'netem')['drops']} packets lost; {video['packets_recovered']} of video rebuilt; frames: {video['frames_decoded']} decoded, "
            f"{video['frames_recovered']} mended, {video['frames_lost']} lost"
        )
        t.assertGreater(queue(host, "netem")["drops"], 0, "the wire lost nothing")
        t.assertEqual(seen["ending"], {"how": "completed"})
        t.assertGreaterEqual(video["frames_recovered"], least_mended, "frames were not mended")
        # One of ten at most, with a tenth of all packets gone.
        t.assertLess(video["frames_lost"] * 10, video["frames_decoded"], "too many frames were lost")
        t.assertEqual([card[kind] for kind in ("repeated", "out_of_order", "restarts")], [0, 0, 0])
