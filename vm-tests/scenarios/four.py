# Four clients at once: each has a session, a worker and pictures of its own
# Fails when a client is refused or sees pictures of another's session, or when one that ends takes another with it.
start_all()
host.wait_for_unit("lumen.service")
for machine in (left, right):
    machine.wait_for_unit("multi-user.target")


def unit(home: str) -> str:
    return f"client-{home.rsplit('/', 1)[1]}"


homes = [(machine, f"/root/{name}") for machine in (left, right) for name in ("one", "two")]
for machine, home in homes:
    client_pairs(host, machine, command=f"lumen-client --identity {home}")
t.assertEqual(len(json.loads(host.succeed("lumen clients list --json"))), 4)

with subtest("all of them stream"):
    for machine, home in homes:
        streams_on(machine, unit=unit(home), home=home, mode="320x240@5")
    retry(lambda _: len([session for session in sessions(host) if session["state"] == "streaming" and session["frames_sent"] > 20]) == 4)
    before = {session["fingerprint"]: session["worker_pid"] for session in sessions(host)}
    t.assertEqual(len(before), 4)
    t.assertEqual(len(set(before.values())), 4, "sessions share a worker")

with subtest("one ends, the others go on"):
    left.succeed("systemctl kill --signal=KILL client-one")
    frames = {session["fingerprint"]: session["frames_sent"] for session in sessions(host)}
    retry(lambda _: len([session for session in sessions(host) if session["frames_sent"] > frames[session["fingerprint"]] + 20]) >= 3)

with subtest("each saw its own pictures, in order"):
    tags = set()
    for machine, home in homes[1:]:
        seen = stream_ends(machine, unit(home), f"{home}.json")
        card = seen["video"]["card"]
        log.info(f"{machine.name} {home}: {seen['video']['frames_decoded']} decoded, {seen['video']['frames_lost']} lost")
        t.assertEqual(seen["ending"], {"how": "completed"})
        t.assertEqual([card[kind] for kind in ("repeated", "out_of_order", "restarts")], [0, 0, 0])
        tags.add(card["session"])
    t.assertEqual(len(tags), 3, "two clients saw one session")
