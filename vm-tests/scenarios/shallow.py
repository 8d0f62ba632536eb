# A wire with a buffer that holds less than a frame: paced packets fit through
# Fails when a frame leaves in one burst, of which the buffer takes but the beginning.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

with subtest("what does not fit is an exception"):
    # Room for 28 packets. Sixteen leave at once, the sixteens of a frame over a tenth of the time until the next; at 30 Mbit/s that is slow
    # enough. A whole frame at once is too much.
    host.succeed("tc qdisc replace dev eth1 root tbf rate 30mbit burst 1600 limit 40000")
    client.succeed(stream_command("--quit-after", frames=30, mode="640x480@3", bitrate="4M", app="Test card, full motion"))
    seen = report(client)
    video = seen["video"]
    log.info(
        f"{queue(host, 'tbf')['drops']} packets did not fit; {video['packets']} packets in {video['frames_received']} frames, {video['packets_recovered']} rebuilt, {video['frames_lost']} frames lost"
    )
    t.assertGreater(video["packets"], 25 * video["frames_received"], "frames are too small to tell")
    # The first is a large one.
    t.assertLessEqual(video["frames_lost"], 1, "frames were lost")
    # Of those that a burst loses most are parity, which nobody misses.
    t.assertLess(queue(host, "tbf")["drops"] * 20, video["packets"], "packets did not fit")
