# The service is up after booting, and listens on the documented ports and on no others
# Fails when the unit is not enabled or not ready, or when a port is added, moved or missing.
PORT = 47989

start_all()
host.wait_for_unit("multi-user.target")
host.wait_for_unit("lumen.service")

with subtest("the service starts at boot and runs as its user"):
    t.assertIn("lumen.service", host.get_unit_property("multi-user.target", "Wants"))
    t.assertEqual(host.get_unit_property("lumen.service", "User"), "lumen")

with subtest("it listens on the documented ports"):
    host.wait_for_open_port(PORT)
    host.wait_for_open_port(PORT - 5)
    host.wait_for_open_port(PORT + 21)

with subtest("and on no others"):
    documented = {("tcp", PORT - 5), ("tcp", PORT), ("tcp", PORT + 21), ("udp", PORT + 9), ("udp", PORT + 10), ("udp", PORT + 11), ("udp", 5353)}
    found = set()
    for line in host.succeed("ss -H -tulnp").splitlines():
        kind, _, _, _, local = line.split()[:5]
        if "lumen" in line and not local.startswith("127."):
            found.add((kind, int(local.rsplit(":", 1)[1])))
    t.assertEqual(found, documented)
