# A client pairs with a PIN; whoever has not is refused everything but what pairing needs
# Fails when an endpoint answers a client that is not paired, or when a wrong PIN pairs.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")
client.wait_for_open_port(47989, "host")

PRIVATE = ["applist", "launch?appid=1&mode=320x240x10&rikey=00112233445566778899aabbccddeeff&rikeyid=1", "resume", "cancel", "appasset?appid=1"]


def status_of(url: str, options: str = "") -> int:
    """What a server of this protocol says in the body, with HTTP 200 around it; else HTTP's own; 0 without an answer."""
    _, answer = client.execute(f"curl -sk -m 60 -w '\\n%{{http_code}}' {options} '{url}' || true")
    body, _, code = answer.strip().rpartition("\n")
    if 'status_code="' in body:
        return int(body.split('status_code="')[1].split('"')[0])
    return int(code)


with subtest("a stranger reads what the host is, and that it is not paired"):
    answer = client.succeed("curl -sf -m 60 http://host:47989/serverinfo")
    t.assertIn("<PairStatus>0</PairStatus>", answer)

with subtest("over HTTP a stranger gets nothing else"):
    for path in PRIVATE:
        t.assertNotEqual(status_of(f"http://host:47989/{path}"), 200, path)

with subtest("over HTTPS a stranger gets nothing, with a certificate of its own or without"):
    for path in ["serverinfo", *PRIVATE]:
        t.assertNotEqual(status_of(f"https://host:47984/{path}"), 200, path)
    # The client makes a key at its first start.
    client.execute(f"{CLIENT} list host")
    client.succeed("ls /root/identity")
    client.fail(f"{CLIENT} list host")
    status, _ = client.execute(stream_command())
    t.assertEqual(status, 4, "lumen-client says that it is not paired")
    t.assertEqual(sessions(host), [])

with subtest("a wrong PIN does not pair"):
    client.succeed(f"systemd-run --quiet --unit=client-wrong {CLIENT} pair host --pin 4711")
    host.wait_until_succeeds("lumen pair --list | grep 192.168.1.1 >/dev/null")
    host.execute("lumen pair 1147")
    client.wait_until_fails("systemctl is-active --quiet client-wrong")
    client.fail(f"{CLIENT} list host")

with subtest("the right one does"):
    client_pairs(host, client)
    t.assertIn("Test card", client.succeed(f"{CLIENT} list host"))

with subtest("a client that was removed is a stranger again"):
    name = json.loads(host.succeed("lumen clients list --json"))[0]["name"]
    host.succeed(f"lumen clients remove '{name}'")
    client.fail(f"{CLIENT} list host")
