# A wire with a buffer that holds less than a frame: paced packets fit through
# Fails when a frame leaves in one burst, of which the buffer takes but the beginning.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

with subtest("what does not fit is an exception"):
    # Room for 24 packets: for the sixteen that leave at once, not for a whole frame.
    host.succeed("tc qdisc replace dev eth1 root tbf rate 10mbit burst 1600 limit 34400")
    client.succeed(stream_command("--quit-after", frames=20, mode="1280x720@1", app="Test card, full motion"))
    seen = report(client)
    video = seen["video"]
    log.info(
        f"{queue(host, 'tbf')['drops']} packets did not fit; {video['packets']} packets in {video['frames_received']} frames, {video['packets_recovered']} rebuilt, {video['frames_lost']} frames lost"
    )
    t.assertGreater(video["packets"], 40 * video["frames_received"], "frames are too small to tell")
    # A key frame is larger than the others.
    t.assertLessEqual(video["frames_lost"], 1, "frames were lost")
    # Of those that a burst loses most are parity, which nobody misses.
    t.assertLess(queue(host, "tbf")["drops"] * 20, video["packets"], "packets did not fit")
