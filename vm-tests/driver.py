#!/usr/bin/env python3
"""Runs one script that is written for the NixOS test driver on Debian guests under QEMU, without KVM.

The guests are those that NAME.json beside the script names; vm-tests/scenario makes their image. The script sees what the
NixOS driver shows: a machine by the name of each node, start_all, subtest, retry, log, machines and t. Names, arguments and
meaning are those of the NixOS manual; what is not here is not offered, so that a script that asks for it fails.

Booting is most of what a scenario costs: guests go on from where one of them stood once it had booted (--make-warm, --warm), unless
their node is "cold" in NAME.json.

A mutation (--mutation, of mutations.toml) breaks the feature before the script begins: the script must fail then, and where it should.

Everything waits with a bound. Only processes that were started here are ended. Nothing leaves this machine: the guests'
network is a multicast group on the loopback."""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import io
import json
import os
import random
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import unittest
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

# Seconds. Emulated processors on a busy machine are slow: these only end what hangs.
PATIENCE = int(os.environ.get("LUMEN_VM_PATIENCE", "900"))
BOOT = 600
BOOT_TRIES = 3
# Of an answer after the command's own limit.
ANSWER = 120

begin = time.monotonic()
verbose = False


def say(text: str) -> None:
    print(f"    {time.monotonic() - begin:4.0f} s  {text}", flush=True)


class RequestedAssertionFailed(AssertionError):
    """What the script demanded does not hold."""


class MachineError(Exception):
    """A guest did not do what it must: it did not boot, ended by itself, or does not answer."""


def retry(fn: Callable[[bool], bool], timeout_seconds: float = PATIENCE) -> None:
    """Calls `fn` each second until it is true; the last time with True, so that it can say what is wrong."""
    until = time.monotonic() + timeout_seconds
    while time.monotonic() < until:
        if fn(False):
            return
        time.sleep(1)
    if not fn(True):
        raise RequestedAssertionFailed(f"waited {timeout_seconds:.0f} s in vain")


class Log:
    """As the NixOS driver's: lines of the script's own."""

    def log(self, message: str, attributes: dict[str, str] | None = None) -> None:
        say(message)

    info = warning = error = log


def toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value)


def toml(settings: dict[str, Any]) -> str:
    """`settings` as a file; tables are written on one line each."""
    return "".join(f"{key} = {toml_value(value)}\n" for key, value in settings.items())


class Machine:
    """One guest: its QEMU, its disk, and the port through which its commands go."""

    def __init__(self, name: str, number: int, lan: int, spec: dict[str, Any], hosts: str, folder: Path, options: argparse.Namespace) -> None:
        self.name = name
        self.number = number
        self.mac = f"52:54:00:12:01:{number:02x}"
        self.lan = lan
        self.folder = folder
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None
        self.port: socket.socket | None = None
        self.pending = b""
        self.commands = 0
        # What breaks it, run when it is first up.
        self.breaks: str = spec.get("breaks", "true")
        folder.mkdir()
        self.console = folder / "console"
        self.disk = folder / "disk"
        # Where it goes on from when it is powered on for the first time.
        self.warm: Path | None = None if spec.get("cold") else options.warm
        backing = ["raw", "-b", options.image] if self.warm is None else ["qcow2", "-b", str(self.warm / "disk")]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", *backing, self.disk], check=True)
        self._write_node(spec, hosts)

    def _write_node(self, spec: dict[str, Any], hosts: str) -> None:
        """What makes the image this node, in an archive that its first boot unpacks."""
        files = {
            "etc/scenario-node": f"192.168.1.{self.number}\n",
            "etc/hostname": f"{self.name}\n",
            "etc/hosts": hosts,
            # Without one systemd takes this for a new system, and chooses anew which services start.
            "etc/machine-id": hashlib.md5(self.name.encode()).hexdigest() + "\n",
        }
        if self.warm is not None:
            # Its journal has begun under another.
            del files["etc/machine-id"]
        if "settings" in spec:
            files["etc/lumen/lumen.toml"] = toml(spec["settings"])
        with tarfile.open(self.folder / "node", "w") as archive:
            for path, text in files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(text.encode())
                entry.mode = 0o644
                archive.addfile(entry, io.BytesIO(text.encode()))
            if "settings" not in spec:
                entry = tarfile.TarInfo("etc/systemd/system/lumen.service")
                entry.type, entry.linkname = tarfile.SYMTYPE, "/dev/null"
                archive.addfile(entry)

    # --- power

    def start(self, allow_reboot: bool = False) -> None:
        """Powers it on, if it is off. The first command waits until it answers."""
        if self.process is not None:
            return
        self.allow_reboot = allow_reboot
        self.started = time.monotonic()
        for stale in ("agent", "qmp"):
            (self.folder / stale).unlink(missing_ok=True)
        # The limits of systemd are for machines that are not emulated beside others.
        patient = "systemd.default_timeout_start_sec=600 systemd.service_watchdogs=no systemd.show_status=error"
        append = f"{patient} console=ttyS0 quiet panic=-1 mitigations=off net.ifnames=0 random.trust_cpu=on"
        command = [
            "qemu-system-x86_64", "-name", self.name, "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max", "-smp", "1", "-m", "640",
            "-kernel", self.options.kernel, "-initrd", self.options.initrd, "-append", append,
            "-drive", f"file={self.disk},format=qcow2,if=virtio,cache=writeback",
            "-drive", f"file={self.folder / 'node'},format=raw,if=virtio,readonly=on",
            "-netdev", f"socket,id=wire,mcast=230.0.0.1:{self.lan},localaddr=127.0.0.1",
            "-device", f"virtio-net-pci,id=lan,netdev=wire,mac={self.mac}",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={self.folder / 'agent'},server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=agent",
            "-qmp", f"unix:{self.folder / 'qmp'},server=on,wait=off",
            "-nic", "none", "-display", "none", "-serial", "stdio", "-monitor", "none",
            *([] if allow_reboot else ["-no-reboot"]),
            *([] if self.warm is None else ["-incoming", f"exec:cat {shlex.quote(str(self.warm / 'state'))}"]),
        ]  # fmt: skip
        with open(self.console, "ab") as console:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
        self.port = None

    def _connected(self) -> socket.socket:
        """The port, once the guest has booted."""
        self.start()
        if self.port is not None:
            return self.port
        for attempt in range(1, BOOT_TRIES + 1):
            try:
                self._wait_for_agent()
                assert self.port is not None
                return self.port
            except MachineError as error:
                if attempt == BOOT_TRIES:
                    raise
                # An emulated kernel may fail while it patches its own code, before anything of ours runs.
                say(f"{self.name}: {error}; once more")
                self._end()
                self.start(self.allow_reboot)
        raise AssertionError("unreachable")

    def _wait_for_agent(self) -> None:
        until = time.monotonic() + BOOT
        while self.port is None:
            try:
                port = socket.socket(socket.AF_UNIX)
                port.connect(str(self.folder / "agent"))
                self.port = port
            except OSError:
                port.close()
                self._check_alive(until, "QEMU does not start")
                time.sleep(0.1)
        self.pending = b""
        try:
            if self.warm is not None:
                self._become_node()
            else:
                while self._line(until, "it does not boot").split()[:1] != [b"ready"]:
                    pass
                breaks, self.breaks = self.breaks, "true"
                if breaks != "true":
                    self.succeed(breaks)
        except MachineError:
            self._disconnect()
            raise
        say(f"{self.name} is up, {time.monotonic() - self.started:.0f} s after it was powered on")

    def _become_node(self) -> None:
        """Makes of a guest that goes on from where another stood this node, as its first boot would have. It must not go on with the
        random numbers of the other either."""
        self.warm = None
        breaks, self.breaks = self.breaks, "true"
        node = base64.b64encode((self.folder / "node").read_bytes()).decode()
        noise = base64.b64encode(random.SystemRandom().randbytes(256)).decode()
        self.succeed(
            f"""
            date --set=@{time.time():.0f} >/dev/null
            base64 -d <<<{noise} | perl -e 'open my $pool, "+<", "/dev/urandom" or die; syswrite $pool, join "", <STDIN>; ioctl $pool, 0x5207, 0 or die'
            rm -f /etc/systemd/system/lumen.service
            base64 -d <<<{node} | tar -x -C /
            hostname -F /etc/hostname
            ip link set eth1 down
            ip address flush dev eth1
            ip link set eth1 address {self.mac}
            ip address add "$(cat /etc/scenario-node)/24" dev eth1
            ip link set eth1 up
            """,
            breaks,
            """
            if test ! -L /etc/systemd/system/lumen.service; then
              systemctl daemon-reload
              systemctl start --no-block lumen
            fi
            sync
            """,
        )

    def _check_alive(self, until: float, what: str) -> None:
        if self.process is None or self.process.poll() is not None:
            raise MachineError(f"{self.name} has ended")
        if time.monotonic() > until:
            raise MachineError(f"{self.name}: {what}")

    def _line(self, until: float, what: str) -> bytes:
        """The next line that the guest sends, without its end."""
        assert self.port is not None
        while b"\n" not in self.pending:
            if select.select([self.port], [], [], 1)[0]:
                received = self.port.recv(1 << 16)
                if not received:
                    raise MachineError(f"{self.name} has ended")
                self.pending += received
            else:
                self._check_alive(until, what)
        line, _, self.pending = self.pending.partition(b"\n")
        return line

    def _end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        self._disconnect()

    def _disconnect(self) -> None:
        if self.port is not None:
            self.port.close()
            self.port = None

    def is_up(self) -> bool:
        """Whether it runs and has answered since it was powered on."""
        return self.process is not None and self.process.poll() is None and self.port is not None

    def crash(self) -> None:
        """The power goes: what the guest has not written to its disk is lost."""
        self._end()

    def shutdown(self) -> None:
        """Powers it off in order."""
        if self.process is None:
            return
        self._send("systemctl poweroff", 60)
        self.wait_for_shutdown()

    def wait_for_shutdown(self) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise MachineError(f"{self.name} does not power off") from None
        self._end()

    def reboot(self) -> None:
        """Asks for it; the next command waits until it is up again. It must have been started with allow_reboot."""
        self._send("systemctl reboot", 60)
        # A guest that ends its agent ends no connection: the next line that says 'ready' is that of the new boot.
        until = time.monotonic() + BOOT
        while self._line(until, "it does not reboot").split()[:1] != [b"ready"]:
            pass

    def block(self) -> None:
        """Pulls the cable."""
        self._monitor("set_link", name="lan", up=False)

    def unblock(self) -> None:
        self._monitor("set_link", name="lan", up=True)

    def _monitor(self, command: str, **arguments: Any) -> Any:
        """What QEMU answers to the command."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(60)
            monitor.connect(str(self.folder / "qmp"))
            stream = monitor.makefile("rw")
            stream.readline()
            for request in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                stream.write(json.dumps(request) + "\n")
                stream.flush()
                while True:
                    answer = json.loads(stream.readline())
                    if "error" in answer:
                        raise MachineError(f"{self.name}: QEMU refuses: {answer['error']}")
                    if "return" in answer:
                        break
            return answer["return"]

    def keep_warm(self, folder: Path) -> None:
        """Writes where it stands into `folder`, for others to go on from, and ends it."""
        # Not stopped before: who goes on from here would be stopped as well.
        self._monitor("migrate", uri=f"exec:cat >{shlex.quote(str(folder / 'state'))}")
        until = time.monotonic() + BOOT
        while (status := self._monitor("query-migrate").get("status")) != "completed":
            if status == "failed" or time.monotonic() > until:
                raise MachineError(f"{self.name}: its state cannot be written: {status}")
            time.sleep(0.2)
        self._end()
        shutil.move(self.disk, folder / "disk")

    # --- commands

    def _send(self, command: str, limit: int) -> int:
        port = self._connected()
        self.commands += 1
        text = base64.b64encode(command.encode()).decode()
        port.sendall(f"{self.commands} {limit} {text}\n".encode())
        return self.commands

    def execute(self, command: str, check_return: bool = True, check_output: bool = True, timeout: int | None = PATIENCE) -> tuple[int, str]:
        """Runs it as root, as a script of bash that ends at the first failure. Its status and what it printed; 124 if it took
        longer than `timeout` seconds."""
        limit = PATIENCE if timeout is None else timeout
        began = time.monotonic()
        # Connects, which has a bound of its own.
        number = self._send(f"set -euo pipefail\n{command}" if check_return else command, limit)
        until = time.monotonic() + limit + ANSWER
        while True:
            answer = self._line(until, f"no answer to: {command}").split(b" ")
            if answer[0] == b"ready":
                raise MachineError(f"{self.name} began anew during: {command}")
            if int(answer[0]) == number:
                break
        status, output = int(answer[1]), base64.b64decode(answer[2]).decode(errors="replace") if len(answer) > 2 else ""
        if verbose:
            say(f"{self.name}: {command!r}: {status}, {time.monotonic() - began:.1f} s {output.strip()!r:.300}")
        return status if check_return else -1, output if check_output else ""

    def succeed(self, *commands: str, timeout: int | None = None) -> str:
        printed = ""
        for command in commands:
            status, output = self.execute(command, timeout=timeout)
            if status != 0:
                raise RequestedAssertionFailed(f"{self.name}: `{command}` failed with {status}: {output}")
            printed += output
        return printed

    def fail(self, *commands: str, timeout: int | None = None) -> str:
        printed = ""
        for command in commands:
            status, output = self.execute(command, timeout=timeout)
            if status == 0:
                raise RequestedAssertionFailed(f"{self.name}: `{command}` succeeded, which it must not: {output}")
            printed += output
        return printed

    def _wait_until(self, command: str, success: bool, timeout: int) -> str:
        printed = ""

        def holds(last: bool) -> bool:
            nonlocal printed
            status, printed = self.execute(command, timeout=timeout)
            if last and (status == 0) != success:
                raise RequestedAssertionFailed(f"{self.name}: waited {timeout} s in vain for `{command}` to {'succeed' if success else 'fail'}: {status} {printed}")
            return (status == 0) == success

        retry(holds, timeout)
        return printed

    def wait_until_succeeds(self, command: str, timeout: int = PATIENCE) -> str:
        return self._wait_until(command, True, timeout)

    def wait_until_fails(self, command: str, timeout: int = PATIENCE) -> str:
        return self._wait_until(command, False, timeout)

    def systemctl(self, q: str, user: str | None = None) -> tuple[int, str]:
        return self.execute(f"systemctl {'' if user is None else f'--user --machine={shlex.quote(user)}@ '}{q}")

    def get_unit_info(self, unit: str, user: str | None = None) -> dict[str, str]:
        """What `systemctl show` says of it."""
        status, lines = self.systemctl(f"--no-pager show {shlex.quote(unit)}", user)
        if status != 0:
            raise RequestedAssertionFailed(f"{self.name}: systemctl show {unit} failed with {status}: {lines}")
        return dict(line.split("=", 1) for line in lines.splitlines() if "=" in line)

    def get_unit_property(self, unit: str, property: str) -> str:
        return self.succeed(f"systemctl show --property={shlex.quote(property)} --value {shlex.quote(unit)}").strip()

    def wait_for_unit(self, unit: str, user: str | None = None, timeout: int = PATIENCE) -> None:
        """Until it is active. One that failed, or that nothing starts, fails at once."""

        def active(last: bool) -> bool:
            info = self.get_unit_info(unit, user)
            state = info["ActiveState"]
            if state == "failed":
                raise RequestedAssertionFailed(f"{self.name}: {unit} is failed")
            if state == "inactive" and not self.systemctl("list-jobs --no-legend", user)[1].strip():
                if self.get_unit_info(unit, user)["ActiveState"] == "inactive":
                    raise RequestedAssertionFailed(f"{self.name}: {unit} is inactive, and nothing is being started")
            if last:
                raise RequestedAssertionFailed(f"{self.name}: {unit} is still {state} after {timeout} s")
            return state == "active"

        retry(active, timeout)

    def start_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        return self.systemctl(f"start {jobname}", user)

    def stop_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        return self.systemctl(f"stop {jobname}", user)

    def wait_for_open_port(self, port: int, addr: str = "localhost", timeout: int = PATIENCE) -> None:
        self.wait_until_succeeds(self._knock(port, addr), timeout)

    def wait_for_closed_port(self, port: int, addr: str = "localhost", timeout: int = PATIENCE) -> None:
        self.wait_until_fails(self._knock(port, addr), timeout)

    @staticmethod
    def _knock(port: int, addr: str) -> str:
        return f"timeout 20 bash -c {shlex.quote(f': </dev/tcp/{addr}/{port}')}"

    def wait_for_file(self, filename: str, timeout: int = PATIENCE) -> None:
        self.wait_until_succeeds(f"test -e {shlex.quote(filename)}", timeout)

    def sleep(self, secs: int) -> None:
        """Of the guest's own time."""
        self.succeed(f"sleep {secs}", timeout=secs + 600)

    def copy_from_host(self, source: str, target: str) -> None:
        """One file, of this machine, not the host of a scenario; it becomes the file `target`."""
        content = Path(source).read_bytes()
        name = shlex.quote(target)
        self.succeed(f"mkdir -p \"$(dirname {name})\" && : >{name}")
        for at in range(0, len(content), 1 << 15):
            part = base64.b64encode(content[at : at + (1 << 15)]).decode()
            self.succeed(f"base64 -d <<<{part} >>{name}")

    def log(self, msg: str) -> None:
        say(f"{self.name}: {msg}")

    # --- afterwards

    def tell(self) -> None:
        """What may explain a failure: its console, and the service's journal while it still answers."""
        print(f"--- {self.name}: end of the console")
        if self.console.exists():
            print("\n".join(self.console.read_text(errors="replace").splitlines()[-50:]))
        if self.is_up():
            print(f"--- {self.name}: journal")
            with contextlib.suppress(MachineError, OSError):
                print(self.execute("journalctl --no-pager --quiet -n 60 -u lumen -u 'client-*' -u user@* | cut -c1-300", timeout=60)[1])


@contextlib.contextmanager
def subtest(name: str) -> Generator[None]:
    """A step with a name; the time at which it was done is printed."""
    try:
        yield
    except BaseException:
        say(f"FAILED: {name}")
        raise
    say(name)


def stop(signum: int, _frame: object) -> None:
    raise TimeoutError("the scenario took longer than its limit" if signum == signal.SIGALRM else "stopped")


class Mutation:
    """One way to break what a scenario is about."""

    def __init__(self, scenario: str, number: int) -> None:
        with open(Path(__file__).parent / "mutations.toml", "rb") as file:
            entry = tomllib.load(file)[scenario][number]
        self.what: str = entry.pop("what")
        self.on: str = entry.pop("on", "host")
        self.run: str = entry.pop("run", "true")
        self.settings: dict[str, Any] = entry.pop("settings", {})
        self.says: str = entry.pop("says")
        assert not entry, f"a mutation of {scenario} has unknown keys: {entry}"

    def breaks(self, nodes: dict[str, dict[str, Any]]) -> None:
        node = nodes[self.on]
        if self.run != "true":
            node["breaks"] = self.run
        for table, value in self.settings.items():
            known = node["settings"].get(table)
            node["settings"][table] = known | value if isinstance(known, dict) else value

    def judge(self, said: str | None) -> int:
        """The exit status: 0 where the scenario failed, and of this. `said` are the line that failed and its error."""
        if said is None:
            print(f"    passed, although: {self.what}", flush=True)
            return 1
        if re.search(self.says, said):
            say(f"fails, as it must: {' '.join(said.split())[:200]}")
            return 0
        print(f"    failed of something else than '{self.says}': {said}", flush=True)
        return 1


def failure(error: BaseException) -> tuple[list[str], str]:
    """Where in the script it failed; the line of the scenario's own, with what was wrong."""
    places, line, trace = [], "", error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if "scenarios" in file.parts and file.suffix == ".py":
            places.append(f"{file}:{trace.tb_lineno}")
            if file.parent.name != "common":
                line = file.read_text().splitlines()[trace.tb_lineno - 1].strip()
        trace = trace.tb_next
    return places, f"{line}\n{type(error).__name__}: {error}"


def make_warm(options: argparse.Namespace) -> int:
    """Boots a guest that is no node yet, and keeps what it is then."""
    options.make_warm.mkdir()
    with tempfile.TemporaryDirectory(prefix="lumen-scenario-") as work:
        machine = Machine("guest", 250, random.randrange(20000, 60000), {}, "127.0.0.1 localhost\n::1 localhost\n", Path(work) / "guest", options)
        try:
            machine.wait_for_unit("multi-user.target")
            # Read once, they are in its memory.
            machine.succeed("systemctl is-system-running --wait || true; lumen --version; lumen-client --version; sync")
            machine.keep_warm(options.make_warm)
        except MachineError as error:
            print(f"    {error}")
            machine.tell()
            return 1
        finally:
            machine._end()
    return 0


def main() -> int:
    global verbose
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True, help="the guests' disk, which is not written to")
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initrd", required=True)
    parser.add_argument("--limit", type=int, default=1500, help="seconds for the scenario")
    parser.add_argument("--verbose", action="store_true", help="print each command")
    parser.add_argument("--warm", type=Path, help="where guests go on from, unless they are cold")
    parser.add_argument("--make-warm", type=Path, help="boot a guest, and write that into this folder")
    parser.add_argument("--mutation", type=int, help="number of the mutation with which the script must fail")
    parser.add_argument("script", type=Path, nargs="?")
    options = parser.parse_args()
    options.image = str(Path(options.image).resolve())
    if options.make_warm:
        return make_warm(options)
    verbose = options.verbose
    signal.signal(signal.SIGALRM, stop)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.alarm(options.limit)

    nodes: dict[str, dict[str, Any]] = json.loads(options.script.with_suffix(".json").read_text())
    folder = Path(__file__).parent / "scenarios"
    mutation = None
    if options.mutation is not None:
        mutation = Mutation(str(options.script.resolve().relative_to(folder.resolve()).with_suffix("")), options.mutation)
        mutation.breaks(nodes)
    numbers = {name: number for number, name in enumerate(sorted(nodes), 1)}
    hosts = "127.0.0.1 localhost\n::1 localhost\n" + "".join(f"192.168.1.{number} {name}\n" for name, number in numbers.items())
    prelude = folder / "common" / "prelude.py"
    with tempfile.TemporaryDirectory(prefix="lumen-scenario-") as work:
        # Of this run alone: guests of others on this machine have another.
        lan = random.randrange(20000, 60000)
        machines = [Machine(name, numbers[name], lan, spec, hosts, Path(work) / name, options) for name, spec in nodes.items()]

        def start_all() -> None:
            for machine in machines:
                machine.start()
            for machine in machines:
                # Each is its node in a moment, and none waits for what another does then.
                if machine.warm is not None:
                    machine.execute("true")

        names: dict[str, Any] = {machine.name: machine for machine in machines}
        names |= {"machines": machines, "start_all": start_all, "subtest": subtest, "retry": retry, "log": Log(), "t": unittest.TestCase()}
        try:
            for source in (prelude, options.script):
                exec(compile(source.read_text(), str(source), "exec"), names)
            return 0 if mutation is None else mutation.judge(None)
        except BaseException as error:
            signal.alarm(0)
            places, said = failure(error)
            if mutation is not None and mutation.judge(said) == 0:
                return 0
            print("".join(f"    {place}\n" for place in places) + f"    {type(error).__name__}: {error}", flush=True)
            for machine in machines:
                machine.tell()
            return 1
        finally:
            signal.alarm(0)
            for machine in machines:
                machine._end()


if __name__ == "__main__":
    sys.exit(main())
