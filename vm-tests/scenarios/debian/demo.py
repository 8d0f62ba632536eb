# What `nix run` starts: a user without privileges tries the host, without a service, without a configuration
# Fails when the demo needs anything that a user has not, when its words lead nowhere, or when it leaves something behind.
start_all()
host.wait_for_unit("multi-user.target")
client.wait_for_unit("multi-user.target")

DEMO = "runuser --login player -c"
host.succeed("useradd --create-home --shell /bin/bash player")
host.copy_from_host("nix/demo.sh", "/usr/local/bin/demo.sh")

with subtest("it starts, and says where and how"):
    host.fail("systemctl is-active lumen")
    host.succeed(f"systemd-run --quiet --collect --unit=demo {DEMO} 'exec bash /usr/local/bin/demo.sh'")
    client.wait_for_open_port(47989, "host")
    host.wait_until_succeeds("journalctl --unit=demo --output=cat --grep='Then choose'")
    words = host.succeed("journalctl --unit=demo --output=cat")
    for word in ["192.168.1.2", "47984, 47989, 48010", "47998-48000", "/usr/local/bin/demo.sh pair"]:
        t.assertIn(word, words)

with subtest("a client pairs as it says, and streams"):
    client_pairs(host, client, on_host=f"{DEMO} 'bash /usr/local/bin/demo.sh \"$@\"' demo")
    client.succeed(stream_command("--quit-after"))
    t.assertGreaterEqual(report(client)["video"]["frames_decoded"], 20)

with subtest("ended, it leaves no process"):
    host.succeed("systemctl kill --signal=INT demo")
    host.wait_until_fails("pgrep -u player")
    client.wait_for_closed_port(47989, "host")
