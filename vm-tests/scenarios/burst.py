# The wire loses packets in bursts that no parity outlasts: the picture is back after each
# Fails when the client is not sent what it can decode after a loss, or when the stream ends.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

with subtest("bursts take whole frames, and the stream goes on"):
    # Of the two states of the wire one loses everything; it begins every hundredth packet, and lasts some twenty.
    bad_wire(host, "loss gemodel 1% 5% 100% 0%")
    client.succeed(stream_command(frames=150))
    seen = report(client)
    video, card = seen["video"], seen["video"]["card"]
    log.info(
        f"{queue(host, 'netem')['drops']} packets lost; frames: {video['frames_decoded']} decoded, {video['frames_recovered']} mended, {video['frames_lost']} lost, "
        f"{video['frames_dropped']} dropped; asked for {video['key_frame_requests']} key frames, {video['invalidation_requests']} invalidations"
    )
    t.assertGreater(video["frames_lost"], 0, "the bursts took no frame")
    t.assertGreater(video["key_frame_requests"] + video["invalidation_requests"], 0)
    t.assertGreaterEqual(video["frames_decoded"], 150, "the picture did not come back")
    t.assertEqual(video["decode_errors"], 0)
    t.assertEqual([card[kind] for kind in ("repeated", "out_of_order", "restarts")], [0, 0, 0])

with subtest("once the wire is well again nothing is lost"):
    host.succeed("tc qdisc del dev eth1 root")
    client.succeed(stream_command("--expect-no-loss --quit-after"))
    t.assertGreaterEqual(report(client)["video"]["frames_decoded"], 20)
