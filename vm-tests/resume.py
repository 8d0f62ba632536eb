#!/usr/bin/env python3
"""Streams while the host is restarted, as a player would: goes on, or resumes at once where the host closed the stream.
Prints for how long there was no picture."""

import argparse
import atexit
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--client", required=True)
parser.add_argument("--identity", required=True)
parser.add_argument("--host", required=True)
parser.add_argument("--app", required=True)
parser.add_argument("--restarted", type=Path, required=True, help="exists once the host was restarted")
arguments = parser.parse_args()
PATIENCE = 90.0
stats = arguments.restarted.with_name("resume.json")


class Stream:
    """One run of lumen-client."""

    def __init__(self, *options: str) -> None:
        stats.unlink(missing_ok=True)
        self.begin = time.time()
        self.process = subprocess.Popen(
            [arguments.client, "--identity", arguments.identity, "stream", arguments.host, "--app", arguments.app, "--mode",
             "640x360@30", "--first-frame-timeout", "60s", "--stats-json", str(stats), *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def report(self) -> dict | None:
        """What it saw. `ended` and `first_picture` are times on the wall: the report is written when the stream has
        ended, and says for how long there were pictures. A busy machine may take long to start a program."""
        self.output = self.process.communicate(timeout=PATIENCE)[0]
        if not stats.exists():
            return None
        report = json.loads(stats.read_text())
        self.ended = stats.stat().st_mtime
        self.first_picture = self.ended - report["seconds"]
        return report


def interval(report: dict) -> float:
    return report["latency"]["picture_interval"]["max"]


# However this ends, its client ends with it.
signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
first = Stream()
atexit.register(first.process.kill)
until = time.monotonic() + 2 * PATIENCE
while first.process.poll() is None and not arguments.restarted.exists():
    if time.monotonic() > until:
        sys.exit("the host was not restarted")
    time.sleep(0.05)
if first.process.poll() is None:
    # The host is back, and the stream was not closed: some seconds more show whether it goes on.
    time.sleep(8)
    if first.process.poll() is None:
        first.process.send_signal(signal.SIGINT)
seen = first.report()
if seen is None or not seen["video"]["frames_decoded"]:
    sys.exit(f"no picture:\n{first.output}")
how = seen["ending"]["how"]
if how == "completed":
    gap = interval(seen)
    print(f"the stream went on: {gap:.0f} ms without a picture at most, {seen['video']['frames_decoded']} decoded, "
          f"{seen['video']['frames_lost']} lost")
else:
    last = first.ended
    tries = 0
    while True:
        tries += 1
        again = Stream("--resume", "--duration", "2s", "--least-frames", "10")
        back = again.report()
        if again.process.returncode == 0 and back is not None:
            break
        if time.monotonic() > until:
            sys.exit(f"the stream was not served again:\n{again.output}")
        time.sleep(0.05)
    gap = 1000 * (again.first_picture - last)
    print(f"the stream ended ({how}) after {seen['seconds']:.1f} s, {seen['video']['frames_decoded']} decoded, "
          f"{interval(seen):.0f} ms between two at most; resumed after {1000 * (again.begin - last):.0f} ms, "
          f"{gap:.0f} ms without a picture, {tries} tries, "
          f"{back['video']['frames_decoded']} decoded since, {back['video']['frames_lost']} lost")
# Two seconds is the promise; a machine that takes long to give a first picture takes as much longer here.
limit = max(2000.0, 20 * seen["connect"]["first_frame_decoded"])
if gap > limit:
    sys.exit(f"that is above {limit:.0f} ms")
