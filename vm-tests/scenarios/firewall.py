# A firewall that lets the documented ports in on one interface: there everything works, on the other nothing answers
# Fails when pairing or a stream needs a port that is not documented, or comes by an interface that is closed.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")

# A second network between the two, on the same wire.
for machine, address in [(host, "10.7.0.2"), (client, "10.7.0.1")]:
    machine.succeed("ip link add link eth1 name eth7 type vlan id 7", f"ip address add {address}/24 dev eth7", "ip link set eth7 up")

with subtest("without a firewall the host answers on both"):
    for address in ["192.168.1.2", "10.7.0.2"]:
        client.wait_until_succeeds(f"curl -sf -m 60 http://{address}:47989/serverinfo >/dev/null")

# What answers the host's own words comes in; no more of the firewall is a matter of ports.
RULES = """
table inet lumen-test {
  chain input {
    type filter hook input priority 10; policy drop;
    iifname "lo" accept
    iifname "eth1" tcp dport { 47984, 47989, 48010 } accept
    iifname "eth1" udp dport { 47998, 47999, 48000, 5353 } accept
  }
}
"""
host.succeed(f"nft -f - <<'RULES'{RULES}RULES")

with subtest("on the closed interface nothing answers"):
    for port in [47984, 47989, 48010]:
        client.fail(f"timeout 10 bash -c ': </dev/tcp/10.7.0.2/{port}'")

with subtest("on the open one a client pairs and streams"):
    client_pairs(host, client)
    client.succeed(stream_command("--quit-after"))
    seen = report(client)
    t.assertGreaterEqual(seen["video"]["frames_decoded"], 20)
    t.assertGreater(seen["audio"]["packets"], 0)
