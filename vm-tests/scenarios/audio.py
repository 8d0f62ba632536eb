# The sound of a stream arrives: each channel its own tone, without a gap
# Fails when sound is missing, on the wrong channel, of another pitch, or interrupted.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

with subtest("stereo"):
    client.succeed(stream_command("--quit-after", frames=60, duration="8s"))
    seen = report(client)
    audio = seen["audio"]
    log.info(f"{audio['packets']} packets, {audio['packets_lost']} lost, {audio['gaps']} gaps, {audio['clicks']} clicks; {seen['av_offset']}; {audio['sound']}")
    t.assertGreater(audio["packets"], 500, "there is no sound")
    t.assertEqual(audio["packets_lost"], 0)
    t.assertEqual(audio["decode_errors"], 0)
    t.assertEqual(len(audio["sound"]), 2)
    t.assertEqual(len({channel["expected_hertz"] for channel in audio["sound"]}), 2)
    for channel in audio["sound"]:
        t.assertAlmostEqual(channel["heard_hertz"], channel["expected_hertz"], delta=10)
        t.assertGreater(channel["clear_windows"], 9 * (channel["other_windows"] + channel["silent_windows"]), "the tone is not clear")
