# A newer package is installed during a stream, then the older one again: the session and its program go on through both
# Fails when an upgrade or a return ends the session, its program or its worker, when the client cannot see it any more, or when the daemon is not the new one.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client_pairs(host, client)

# The same programs under a higher version: for dpkg, and for the daemon that starts, all files are others.
older = host.succeed("dpkg-query --show --showformat='${Version}' lumen-host")
host.succeed(
    "dpkg-deb --raw-extract /usr/local/share/lumen.deb /root/newer",
    "sed -i 's/^Version:.*/&+newer/' /root/newer/DEBIAN/control",
    "dpkg-deb --build -Znone /root/newer /root/newer.deb",
    "rm -r /root/newer",
)

streams_on(client, app="Desk")
before = streaming(host)
program = host.succeed("pgrep -x foot")

for what, package, version in [("upgrade", "/root/newer.deb", f"{older}+newer"), ("return", "/usr/local/share/lumen.deb", older)]:
    with subtest(f"{what} to {version}"):
        daemon = host.get_unit_property("lumen.service", "MainPID")
        frames = sessions(host)[0]["frames_sent"]
        host.succeed(f"DEBIAN_FRONTEND=noninteractive dpkg --install {package}")
        t.assertEqual(host.succeed("dpkg-query --show --showformat='${Version}' lumen-host"), version)
        host.wait_for_unit("lumen.service")
        t.assertNotEqual(host.get_unit_property("lumen.service", "MainPID"), daemon, "the service was not restarted")
        t.assertNotIn("deleted", host.succeed(f"readlink /proc/{host.get_unit_property('lumen.service', 'MainPID')}/exe"))
        # A slow machine may need longer to start the daemon than a client waits.
        if client.execute("systemctl is-active --quiet client-stream")[0] != 0:
            log.info(f"the client gave up ({report(client)['ending']}), and resumes")
            streams_on(client, "--resume", app="Desk")
        retry(lambda _: any(session["state"] == "streaming" and session["frames_sent"] > frames + 20 for session in sessions(host)))
        t.assertEqual([session["worker_pid"] for session in sessions(host)], [before["worker_pid"]], "the session has another worker")
        t.assertEqual(host.succeed("pgrep -x foot"), program, "the program is another")

with subtest("the client sees it"):
    seen = stream_ends(client)
    log.info(f"{seen['video']['frames_decoded']} decoded, {seen['video']['frames_lost']} lost; {seen['latency']['picture_interval']['max']:.0f} ms between two pictures at most")
    t.assertEqual(seen["ending"], {"how": "completed"})
