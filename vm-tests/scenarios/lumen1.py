# A stream over lumen/1 through losses, bursts, delay, reordering and a shallow buffer, and from one address to another
# Fails when the host does not offer lumen/1, when what is lost is not repaired, or when the stream ends with the address of its client.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)
LUMEN1 = "--transport lumen1"


def seen_through(trouble: str, frames: int = 60) -> Any:
    """What the client saw whose stream began well, while then all that the host sent met this trouble."""
    host.succeed("tc qdisc del dev eth1 root || true")
    streams_on(client, LUMEN1)
    streaming(host)
    bad_wire(host, trouble)
    sent = sessions(host)[0]["frames_sent"]
    retry(lambda _: sessions(host)[0]["frames_sent"] > sent + frames)
    lost = queue(host, "netem")["drops"]
    seen = stream_ends(client)
    video, card = seen["video"], seen["video"]["card"]
    log.info(
        f"{lost} packets lost; frames: {video['frames_decoded']} decoded, {video['frames_recovered']} restored by parity, "
        f"{video['frames_lost']} lost; sound: {seen['audio']['packets']} packets, {seen['audio']['packets_recovered']} came with a later one, "
        f"{seen['audio']['packets_lost']} lost"
    )
    t.assertEqual((seen["transport"], seen["ending"]), ("lumen1", {"how": "completed"}))
    t.assertEqual(video["decode_errors"], 0)
    t.assertEqual([card[kind] for kind in ("repeated", "out_of_order", "restarts")], [0, 0, 0])
    seen["lost_by_wire"] = lost
    return seen


with subtest("the host offers it"):
    client.succeed(stream_command(LUMEN1))
    t.assertEqual(report(client)["transport"], "lumen1")

with subtest("5 % are lost"):
    seen = seen_through("loss 5%", frames=100)
    t.assertGreater(seen["lost_by_wire"], 0, "the wire lost nothing")
    t.assertLess(seen["video"]["frames_lost"] * 20, seen["video"]["frames_decoded"], "frames were lost")
    t.assertGreater(seen["audio"]["packets_recovered"], 0, "no sound came with a later packet")
    t.assertLess(seen["audio"]["packets_lost"] * 100, seen["audio"]["packets"], "sound was lost")

with subtest("bursts take whole frames, and the picture comes back"):
    seen = seen_through("loss gemodel 1% 5% 100% 0%", frames=100)
    t.assertGreater(seen["lost_by_wire"], 0, "the wire lost nothing")

with subtest("packets overtake one another"):
    seen = seen_through("delay 20ms 10ms")
    t.assertLess(seen["video"]["frames_lost"] * 20, seen["video"]["frames_decoded"], "frames were lost")
    seen = seen_through("delay 30ms reorder 25% 50%")
    t.assertLess(seen["video"]["frames_lost"] * 20, seen["video"]["frames_decoded"], "frames were lost")

with subtest("a slow wire with a shallow buffer"):
    host.succeed("tc qdisc replace dev eth1 root tbf rate 1500kbit burst 3000 limit 12000")
    client.succeed(stream_command(LUMEN1, frames=60))
    seen = report(client)
    log.info(f"{queue(host, 'tbf')['drops']} packets lost; {seen['video']['frames_decoded']} decoded, {seen['video']['frames_lost']} lost")
    t.assertEqual((seen["transport"], seen["ending"]), ("lumen1", {"how": "completed"}))
    t.assertLess(seen["video"]["frames_lost"] * 10, seen["video"]["frames_decoded"], "frames were lost")
    host.succeed("tc qdisc del dev eth1 root")

with subtest("its client gets another address: the stream goes on"):
    streams_on(client, LUMEN1)
    before = streaming(host)
    t.assertIn("192.168.1.1", before["peer"])
    client.succeed("ip address flush dev eth1", "ip address add 192.168.1.77/24 dev eth1")
    host.wait_until_succeeds("lumen status --json | grep -F 192.168.1.77 >/dev/null")
    frames = sessions(host)[0]["frames_sent"]
    retry(lambda _: sessions(host)[0]["frames_sent"] > frames + 20)
    after = sessions(host)[0]
    t.assertEqual((after["state"], after["worker_pid"]), ("streaming", before["worker_pid"]))
    seen = stream_ends(client)
    log.info(f"{seen['video']['frames_decoded']} decoded; {seen['latency']['picture_interval']['max']:.0f} ms between two pictures at most")
    t.assertEqual((seen["transport"], seen["ending"]), ("lumen1", {"how": "completed"}))
