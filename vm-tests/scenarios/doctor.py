# Twelve things that can be wrong with a host, one after another: `lumen doctor` names each, with a remedy
# Fails when a fault is not found, is called by another name, or is still said to be there when it is mended.
start_all()
host.wait_for_unit("lumen.service")

# What a fresh guest has not.
host.succeed("sysctl -qw net.core.wmem_max=4194304", "ip route replace 224.0.0.0/4 dev eth1", "modprobe -a uinput uhid", "udevadm settle")


def doctor(limits: str = "--rtprio=10") -> dict[str, Any]:
    """What it finds, by the names of its checks, as the user that the host runs as."""
    said = host.execute(f"prlimit {limits} setpriv --reuid=lumen --regid=lumen --init-groups env RUNTIME_DIRECTORY=/run/lumen STATE_DIRECTORY=/var/lib/lumen lumen doctor --json")[1]
    return {finding["check"]: finding for finding in json.loads(said)["findings"]}


# What breaks it, what mends it, the check, how it comes out, words of the finding.
FAULTS = [
    ("echo nonsense=1 >>/etc/lumen/lumen.toml", "sed -i /^nonsense/d /etc/lumen/lumen.toml", "configuration", "fail", "nonsense"),
    ("chown root /var/lib/lumen", "chown lumen /var/lib/lumen", "state directory", "fail", "not writable"),
    ("systemctl stop lumen", "systemctl start lumen", "host", "fail", "not running"),
    (
        "systemctl stop lumen; systemd-run --quiet --collect --unit=squatter systemd-socket-activate --listen=48010 cat; until ss -Hltn | grep -q :48010; do sleep 0.2; done",
        "systemctl stop squatter; systemctl start lumen",
        "ports",
        "fail",
        "48010",
    ),
    ("sysctl -qw net.ipv6.conf.lo.disable_ipv6=1", "sysctl -qw net.ipv6.conf.lo.disable_ipv6=0", "IPv6", "warn", "not available"),
    ("ip address flush dev eth1 scope global", "ip address add 192.168.1.1/24 dev eth1; ip route add 224.0.0.0/4 dev eth1", "addresses", "warn", "no address"),
    ("ip route add unreachable 224.0.0.251", "ip route del unreachable 224.0.0.251", "discovery", "warn", "mDNS does not work"),
    ("chmod 600 /dev/uhid; chown root /dev/uhid", "chmod 660 /dev/uhid", "gamepads", "warn", "none with motion, touchpad or light"),
    ("sysctl -qw net.core.wmem_max=212992", "sysctl -qw net.core.wmem_max=4194304", "socket buffers", "warn", "net.core.wmem_max"),
    ("chmod 600 /dev/uinput; chown root /dev/uinput", "chmod 660 /dev/uinput", "gamepads", "warn", "/dev/uinput: permission denied"),
    ("mount --bind /etc/hostname $(readlink -f $(command -v sway))", "umount $(readlink -f $(command -v sway))", "display", "warn", "no compositor works here"),
]

with subtest("a host that is well"):
    healthy = doctor()
    log.info(", ".join(f"{name}: {finding['status']}" for name, finding in healthy.items()))
    for _, _, check, _, _ in FAULTS:
        t.assertEqual(healthy[check]["status"], "ok", healthy[check]["finding"])
    t.assertEqual(healthy["real-time class"]["status"], "ok")

for breaks, mends, check, status, words in FAULTS:
    with subtest(f"{check}: {breaks.split(';')[0]}"):
        host.succeed(breaks)
        found = doctor()[check]
        t.assertEqual(found["status"], status, f"{check}: {found['finding']}")
        t.assertIn(words, found["finding"])
        t.assertTrue(found["remedy"])
        host.succeed(mends)
        t.assertEqual(doctor()[check]["status"], "ok", "mended, it is still found")

with subtest("real-time class: a user who may not have it"):
    found = doctor("--rtprio=0")["real-time class"]
    t.assertEqual(found["status"], "warn", found["finding"])
    t.assertIn("not permitted", found["finding"])

with subtest("all of it mended, it is well again"):
    host.wait_for_unit("lumen.service")
    t.assertEqual({name: finding["status"] for name, finding in doctor().items()}, {name: finding["status"] for name, finding in healthy.items()})
