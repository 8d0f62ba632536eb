# A client finds the host in its network, until the host is stopped
# Fails when the host is not announced by mDNS, under another name or address, or when a stopped one stays announced.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")


def found() -> Any:
    return [there for there in json.loads(client.succeed("lumen-client discover --time 5s --json")) if there["name"] == "seen"]


with subtest("it is found by its name, with its address and port"):
    retry(lambda _: found() != [])
    there = found()[0]
    log.info(json.dumps(there))
    t.assertTrue(any("192.168.1.2" in address for address in there["addresses"]))
    client.succeed("lumen-client info host")

with subtest("stopped, it is not found any more"):
    host.succeed("systemctl stop lumen")
    retry(lambda _: found() == [])
