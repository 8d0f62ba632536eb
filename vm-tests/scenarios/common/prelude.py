# Stands before every scenario, under the NixOS test driver and under vm-tests/driver.py.
import base64
import json
import shlex
import struct
import zlib
from typing import Any

# Where the client of every scenario keeps its key and what it knows of hosts.
CLIENT = "lumen-client --identity /root/identity"


def client_pairs(host: Any, client: Any, name: str = "host", command: str = CLIENT, on_host: str = "lumen") -> None:
    """Pairs as a user does: the client shows a PIN, which is typed on the host."""
    client.succeed(f"systemd-run --quiet --collect --unit=client-pairs {command} pair {name} --pin 4711")
    host.wait_until_succeeds(f"{on_host} pair 4711")
    client.wait_until_succeeds(f"{command} list {name}")


def stream_command(
    options: str = "", frames: int = 20, mode: str = "320x240@10", duration: str = "2s", name: str = "host", app: str = "Test card", home: str = "/root/identity",
    bitrate: str = "1M",
) -> str:
    """A script that streams `app` until `frames` pictures were decoded; its report becomes report.json beside `home`, the client's
    identity. Where no picture comes (7), for a slow machine may need longer to open its encoder than a client waits, it tries again."""
    said = f"{home}.json" if home != "/root/identity" else "/root/report.json"
    client = (
        f"lumen-client --identity {home} stream {name} --app '{app}' --mode {mode} --bitrate {bitrate} --duration {duration} "
        f"--least-frames {frames} --first-frame-timeout 120s --stats-json {said} {options}"
    )
    return f"for try in 1 2 3 4 5 6; do rm -f {said}; status=0; {client} || status=$?; test $status = 7 || break; done; exit $status"


def streams_on(client: Any, options: str = "", unit: str = "client-stream", **more: Any) -> None:
    """Streams without an end, as a unit. Its shell waits for the client, however that is asked to end."""
    script = f"trap : TERM; {stream_command(options, duration='900s', **more)}"
    client.succeed(f"systemd-run --quiet --collect --unit={unit} bash -c {shlex.quote(script)}")


def stream_ends(client: Any, unit: str = "client-stream", path: str = "/root/report.json") -> Any:
    """Ends that stream as a user does; what it saw."""
    client.succeed(f"systemctl kill --signal=TERM {unit}")
    client.wait_until_fails(f"systemctl is-active --quiet {unit}")
    return report(client, path)


def report(client: Any, path: str = "/root/report.json") -> Any:
    """What the client's last stream saw."""
    return json.loads(client.succeed(f"cat {path}"))


def sessions(host: Any) -> Any:
    """The sessions that the host says it has."""
    return json.loads(host.succeed("lumen status --json"))["sessions"]


def streaming(host: Any) -> Any:
    """The session, once pictures flow."""
    retry(lambda _: any(session["state"] == "streaming" and session["frames_sent"] > 20 for session in sessions(host)))
    return sessions(host)[0]


def bad_wire(machine: Any, netem: str) -> None:
    """What `machine` sends meets the trouble that tc-netem(8) calls `netem`. Before it tbf takes the kernel's batches apart: a batch would
    be lost as one datagram."""
    machine.succeed(
        "tc qdisc replace dev eth1 root handle 1: tbf rate 1gbit burst 1600 limit 10000000",
        f"tc qdisc replace dev eth1 parent 1: handle 2: netem limit 10000 {netem}",
    )


def queue(machine: Any, kind: str) -> Any:
    """Counters of the queue of this kind at the wire."""
    return next(queue for queue in json.loads(machine.succeed("tc -s -j qdisc show dev eth1")) if queue["kind"] == kind)


def picture(machine: Any, path: str) -> list[list[tuple[int, int, int]]]:
    """The lines of a PNG file with 8 bits for each of three or four colours."""
    data = base64.b64decode(machine.succeed(f"base64 -w0 {path}"))
    at, packed, width, depth = 8, b"", 0, 3
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        chunk = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, _, _, colours = struct.unpack(">IIBB", chunk[:10])
            depth = {2: 3, 6: 4}[colours]
        if kind == b"IDAT":
            packed += chunk
        at += 12 + length
    raw, stride = zlib.decompress(packed), width * depth
    lines, above = [], bytes(stride)
    for start in range(0, len(raw), stride + 1):
        how, line = raw[start], bytearray(raw[start + 1 : start + 1 + stride])
        for i in range(stride):
            left = line[i - depth] if i >= depth else 0
            corner = above[i - depth] if i >= depth else 0
            guess = left + above[i] - corner
            nearest = min((abs(guess - left), 0, left), (abs(guess - above[i]), 1, above[i]), (abs(guess - corner), 2, corner))[2]
            line[i] = (line[i] + [0, left, above[i], (left + above[i]) // 2, nearest][how]) % 256
        lines.append([(line[i], line[i + 1], line[i + 2]) for i in range(0, stride, depth)])
        above = bytes(line)
    return lines
