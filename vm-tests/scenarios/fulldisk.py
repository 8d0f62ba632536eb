# The disk of the host is full: streams go on, pairing is refused, and works again once there is room
# Fails when a full disk stops a stream, when a client is said to be paired that is not on the disk, or when the host does not recover.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

streams_on(client)
streaming(host)

with subtest("the stream goes on"):
    # Without the blocks that ext4 keeps for root: the host is not root.
    host.execute("df --output=avail -B1 / | tail -n1 | xargs -I{} fallocate -l {} /filled; dd if=/dev/zero of=/rest bs=1M; dd if=/dev/zero of=/rest2 bs=1")
    host.fail("runuser -u lumen -- sh -c 'echo word >/var/lib/lumen/word'")
    frames = sessions(host)[0]["frames_sent"]
    retry(lambda _: any(session["state"] == "streaming" and session["frames_sent"] > frames + 20 for session in sessions(host)))

with subtest("pairing is refused, and the reason is said"):
    client.succeed("systemd-run --quiet --collect --unit=client-pairs lumen-client --identity /root/other pair host --pin 1234")
    host.wait_until_succeeds("lumen pair --list | grep 192.168.1.1 >/dev/null")
    said = host.fail("lumen pair 1234 2>&1")
    log.info(said.strip())
    t.assertIn("the disk is full", said)
    client.wait_until_fails("systemctl is-active --quiet client-pairs")
    client.fail("lumen-client --identity /root/other list host")
    t.assertEqual(len(json.loads(host.succeed("lumen clients list --json"))), 1)

with subtest("with room again it pairs, and the stream lost nothing"):
    host.succeed("rm -f /filled /rest /rest2 /var/lib/lumen/word")
    client_pairs(host, client, command="lumen-client --identity /root/other")
    seen = stream_ends(client)
    t.assertEqual(seen["ending"], {"how": "completed"})
    t.assertEqual(seen["video"]["frames_lost"], 0)
