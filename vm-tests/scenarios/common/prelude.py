# Stands before every scenario, under the NixOS test driver and under vm-tests/driver.py.
import json
import shlex
from typing import Any

# Where the client of every scenario keeps its key and what it knows of hosts.
CLIENT = "lumen-client --identity /root/identity"


def client_pairs(host: Any, client: Any, name: str = "host") -> None:
    """Pairs as a user does: the client shows a PIN, which is typed on the host."""
    client.succeed(f"systemd-run --quiet --unit=client-pairs {CLIENT} pair {name} --pin 4711")
    host.wait_until_succeeds("lumen pair 4711")
    client.wait_until_succeeds(f"{CLIENT} list {name}")


def stream_command(options: str = "", frames: int = 20, mode: str = "640x360@10", duration: str = "2s", name: str = "host") -> str:
    """A script that streams the test card until `frames` pictures were decoded; its report becomes /root/report.json. Where no
    picture comes (7), for a slow machine may need longer to open its encoder than a client waits, it tries again."""
    client = (
        f"{CLIENT} stream {name} --app 'Test card' --mode {mode} --bitrate 1M --duration {duration} "
        f"--least-frames {frames} --first-frame-timeout 120s --stats-json /root/report.json {options}"
    )
    return f"for try in 1 2 3 4 5 6; do rm -f /root/report.json; status=0; {client} || status=$?; test $status = 7 || break; done; exit $status"


def streams_on(client: Any) -> None:
    """Streams without an end, as the unit client-stream."""
    client.succeed(f"systemd-run --quiet --unit=client-stream bash -c {shlex.quote(stream_command(duration='900s'))}")


def report(client: Any) -> Any:
    """What the client's last stream saw."""
    return json.loads(client.succeed("cat /root/report.json"))


def sessions(host: Any) -> Any:
    """The sessions that the host says it has."""
    return json.loads(host.succeed("lumen status --json"))["sessions"]
