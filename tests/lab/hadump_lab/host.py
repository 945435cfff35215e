# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated Xen host: dom0, commands in it, files in and out, and the guests."""

import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import machine, overlay
from .errors import CommandFailed, DeadlineExceeded, LabError
from .guest import QUICK, Guest, GuestConfig
from .images import Dom0Image, dom0_image
from .packages import Archive
from .waiting import Follower, GrowingLog, scaled, wait_until

DISK_SLOTS = 3
_NETWORK = "10.99.0"  # Inside the emulated machine only.
_SCRATCH_BYTES = 64 << 30  # Sparse.
_PULSE_S = 2.0
# See tests/lab/README.md for what each of these settings avoids.
_CPU = "max,-smap,-smep,-rdtscp,-xsave,-pku"
_ROOM_MIB = 640  # Xen's own heap, and a save area beside each guest.


@dataclass(frozen=True)
class Result:
    """A finished command: standard output and standard error together."""

    status: int
    output: str


@dataclass(frozen=True)
class HostConfig:
    """Sizes in MiB.  memory_mib None: dom0 and `guests_mib` fit.

    xenstored: oxenstored, which Debian's init script prefers, or xenstored.
    """

    dom0_mib: int = 1536
    guests_mib: int = 2048
    memory_mib: int | None = None
    xen_arguments: str = ""
    xenstored: str = "oxenstored"

    def total_mib(self) -> int:
        """RAM of the emulated machine; QEMU takes it from the real one only as it is used."""
        return self.memory_mib or self.dom0_mib + self.guests_mib + _ROOM_MIB


class Host:
    """A running host.  As a context manager, it ends with the block."""

    def __init__(self, process: machine.Machine) -> None:
        self.machine = process
        self.directory = process.directory
        self.share = process.directory / "share"
        self.guests: dict[str, Guest] = {}
        self.serial = GrowingLog(process.directory / "serial.log")
        self._follower = Follower()
        self._files: set[str] = set()
        self._installed: dict[str, Path] = {}
        self._bell: socket.socket | None = None
        self._bell_lock = threading.Lock()
        self._stopped = threading.Event()
        threading.Thread(target=self._keep_ringing, daemon=True).start()

    @classmethod
    def start(
        cls, config: HostConfig = HostConfig(), name: str | None = None, detached: bool = False
    ) -> "Host":
        """Starts a host and waits for its dom0."""
        image = dom0_image(Archive())
        directory = machine.new_directory(name)
        try:
            _prepare(directory)
            started = time.monotonic()
            host = cls(machine.launch(directory, _command(image, config, directory), detached))
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        try:
            host._wait_ready()
        except BaseException:
            host.stop()
            raise
        timing = {"host_start_s": round(time.monotonic() - started, 2)}
        (directory / "timing.json").write_text(json.dumps(timing), encoding="utf-8")
        return host

    @classmethod
    def attach(cls, name: str) -> "Host":
        """The host of that name, started earlier and detached."""
        host = cls(machine.find(name))
        for path in sorted((host.directory / "guests").glob("*.json")):
            guest = Guest.load(host, path)
            host.guests[guest.config.name] = guest
        return host

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the host and removes everything of it."""
        self._follower.stop()
        self._stopped.set()
        with self._bell_lock:
            if self._bell:
                self._bell.close()
        self.machine.stop()

    def follow(self, log: GrowingLog) -> None:
        """Keeps a log's arrival times right."""
        self._follower.follow(log)

    # Commands.

    def exec(
        self,
        command: str,
        timeout: float = 60,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Runs a bash command in dom0 and waits for it.

        @raises CommandFailed when `check` and the status is not 0, DeadlineExceeded (and the command
                is killed), LabError when the host is gone.
        """
        job = self.begin(command, env)
        end = time.monotonic() + scaled(timeout)
        while (result := self.finished(job)) is None:
            if not self.machine.alive():
                raise LabError(f"the host died during: {command}")
            if time.monotonic() > end:
                self.kill(job)
                output = self.output(job)
                raise DeadlineExceeded(
                    f"dom0: not finished within {scaled(timeout):.0f} s: {command}\n{output}"
                )
            time.sleep(0.02)
        if check and result.status != 0:
            raise CommandFailed("dom0", command, result.status, result.output)
        return result

    def begin(self, command: str, env: Mapping[str, str] | None = None) -> str:
        """Starts a bash command in dom0 in a session of its own; returns a name for it."""
        job = f"{time.time_ns():x}-{secrets.token_hex(2)}"
        lines = [f"export {name}={shlex.quote(value)}" for name, value in (env or {}).items()]
        start = [f"echo $$ >/share/out/{job}.pid", *lines, "cd /scratch || exit 99"]
        text = "\n".join([*start, command, ""])
        hidden = self.share / "cmd" / f".{job}"
        hidden.write_text(text, encoding="utf-8")
        hidden.rename(self.share / "cmd" / f"{job}.run")
        self._ring()
        return job

    def _ring(self) -> None:
        """Tells dom0 that there is a command; it would find out by itself a little later."""
        try:
            with self._bell_lock:
                if self._bell is None:
                    connection = socket.socket(socket.AF_UNIX)
                    connection.connect(str(self.directory / "bell"))
                    connection.setblocking(False)
                    self._bell = connection
                self._bell.send(b"\n")
        except OSError:
            pass  # Another process of the lab holds it, or dom0 is not listening.

    def _keep_ringing(self) -> None:
        """Wakes a host whose CPU has lost an interrupt: any other interrupt brings it back.

        QEMU 7.2 changes the set of pending interrupts at VMRUN and #VMEXIT without the lock that its
        devices hold (target/i386/tcg/sysemu/svm_helper.c), so now and then the timer's is lost, and
        with it all further ones: the timer is armed by its own handler.
        """
        while not self._stopped.wait(_PULSE_S):
            self._ring()

    def finished(self, job: str) -> Result | None:
        """The result of a command that begin() started, once there is one."""
        try:
            status = (self.share / "out" / f"{job}.rc").read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        if not status.endswith("\n"):
            return None
        (self.share / "cmd" / f"{job}.run").unlink(missing_ok=True)
        return Result(int(status), self.output(job))

    def output(self, job: str) -> str:
        """What a command has printed so far."""
        path = self.share / "out" / f"{job}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def kill(self, job: str, signal: str = "KILL") -> None:
        """Signals a command that begin() started, and all its children."""
        path = self.share / "out" / f"{job}.pid"
        pid = wait_until(
            lambda: path.exists() and path.read_text("ascii").strip(), 10, "the job ran"
        )
        self.begin(f"kill -{signal} -- -{pid}")

    # Files.

    def put(self, local: Path, remote: str, mode: int | None = None) -> None:
        """Copies a file or a directory into dom0; `remote` is its name there."""
        staged = self.share / "in" / secrets.token_hex(6)
        if local.is_dir():
            shutil.copytree(local, staged, symlinks=True)
        else:
            try:
                os.link(local, staged)  # Same file system: nothing to copy twice.
            except OSError:
                shutil.copy(local, staged)
        inside = f"/share/in/{staged.name}"
        target = shlex.quote(remote)
        chmod = f" && chmod {mode:o} {target}" if mode is not None else ""
        try:
            self.exec(
                f"mkdir -p $(dirname {target}) && rm -rf {target} && cp -r {inside} {target}{chmod}",
                timeout=120,
            )
        finally:
            _remove(staged)

    def get(self, remote: str, local: Path) -> None:
        """Copies a file out of dom0.  For bulk data, a guest's disk image is quicker."""
        staged = self.share / "in" / secrets.token_hex(6)
        try:
            self.exec(f"cp -r {shlex.quote(remote)} /share/in/{staged.name}", timeout=300)
            if staged.is_dir():
                shutil.copytree(staged, local, dirs_exist_ok=True)
            else:
                shutil.copy(staged, local)
        finally:
            _remove(staged)

    def put_once(self, local: Path, key: str) -> str:
        """Copies a file that does not change to dom0's disk, once; returns its name there."""
        remote = f"/scratch/files/{key}"
        if key not in self._files:
            if self.exec(f"test -e {remote}", check=False).status != 0:
                self.put(local, f"{remote}.new")
                self.exec(f"mv {remote}.new {remote}")
            self._files.add(key)
        return remote

    def install(self, programs: Sequence[Path]) -> None:
        """Installs programs of this machine in dom0's /usr/sbin, with the libraries dom0 lacks.

        What this process has installed already, it leaves.
        """
        wanted = {program.name: overlay.stripped(program) for program in programs}
        if wanted.items() <= self._installed.items():
            return
        staged = self.share / "in" / secrets.token_hex(6)
        try:
            overlay.collect(programs, staged)
            self.exec(
                f"cd /share/in/{staged.name} && cp bin/* /usr/sbin/ &&"
                " for l in lib/*; do n=${l##*/};"
                " [ -e /usr/lib/x86_64-linux-gnu/$n ] || [ -e /lib64/$n ] ||"
                " cp $l /usr/lib/x86_64-linux-gnu/; done",
                timeout=120,
            )
            self._installed |= wanted
        finally:
            _remove(staged)

    # Guests.

    def create_guest(
        self, config: GuestConfig, make: Callable[["Host", GuestConfig, int], Guest] = Guest
    ) -> Guest:
        """Creates and starts a guest.  Its console is followed from the first line.

        `make`: another kind of guest; its last argument is the number of the disk.
        """
        if config.name in self.guests and self.domain_exists(config.name):
            raise LabError(f"a guest named {config.name!r} exists")
        used = {guest.slot for guest in self.guests.values() if guest.config.name != config.name}
        slot = next((slot for slot in range(DISK_SLOTS) if slot not in used), None)
        if slot is None:
            raise LabError(f"no free place for a guest: there are {DISK_SLOTS}")
        guest = make(self, config, slot)
        self.guests[config.name] = guest
        guest.create(f"{_NETWORK}.{slot + 2}/24")
        return guest

    def domain_exists(self, name: str) -> bool:
        """Whether Xen has a domain of that name."""
        return self.exec(f"xl domid {shlex.quote(name)}", check=False).status == 0

    def tails(self, lines: int = 60) -> str:
        """The ends of all logs, for a failure report."""
        logs = [self.directory / "serial.log", self.directory / "qemu.log",
                *sorted((self.share / "console").glob("*.log")),
                *sorted((self.share / "log").glob("*"))]  # fmt: skip
        parts = []
        for path in logs:
            if path.is_file():
                text = path.read_text(encoding="utf-8", errors="replace").splitlines()
                shown = [line for line in text if not line.startswith("@@")][-lines:]
                parts += [f"===== {path.relative_to(self.directory)} (last {len(shown)} lines)"]
                parts += shown
        return "\n".join(parts)

    def _wait_ready(self) -> None:
        ready = self.share / "out" / "READY"
        end = time.monotonic() + scaled(120)
        while not ready.exists():
            if not self.machine.alive() or time.monotonic() > end:
                reason = "took too long" if self.machine.alive() else "ended"
                raise LabError(f"starting the host {reason}\n{self.tails()}")
            time.sleep(0.02)
        broken = self.serial.find(r"HADUMP-LAB dom0 broken") or _broken(self.directory)
        if broken:
            raise LabError(f"dom0 is not as it should be\n{self.tails()}")


def _broken(directory: Path) -> bool:
    text = (directory / "serial.log").read_text(encoding="utf-8", errors="replace")
    return "HADUMP-LAB dom0 broken" in text


def _prepare(directory: Path) -> None:
    for folder in ("cmd", "out", "in", "console", "log"):
        (directory / "share" / folder).mkdir(parents=True)
    (directory / "guests").mkdir()
    (directory / "share" / "bridge-address").write_text(f"{_NETWORK}.1/24\n", encoding="ascii")
    make_ext4(directory / "scratch.img", _SCRATCH_BYTES, journal=False)
    for slot in range(DISK_SLOTS):
        (directory / f"disk{slot}.img").touch()
        os.truncate(directory / f"disk{slot}.img", _SCRATCH_BYTES)


def make_ext4(path: Path, size: int, journal: bool = True) -> None:
    """A sparse file with an empty file system."""
    with open(path, "wb") as handle:
        handle.truncate(size)
    features = [] if journal else ["-O", "^has_journal"]
    options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
    subprocess.run(
        ["mkfs.ext4", "-q", "-F", "-m", "0", *features, "-E", options, str(path)], check=True
    )


def _command(image: Dom0Image, config: HostConfig, directory: Path) -> list[str]:
    drives = []
    for name in ["scratch", *(f"disk{slot}" for slot in range(DISK_SLOTS))]:
        source = f"if=none,id={name},format=raw,cache=writeback,file={directory}/{name}.img"
        drives += ["-drive", source, "-device", f"virtio-blk-pci,drive={name},serial={name}"]
    dom0 = f"dom0_mem={config.dom0_mib}M,max:{config.dom0_mib}M"
    xen = (
        f"console=com1 com1=115200,8n1 {dom0} loglvl=all guest_loglvl=all noreboot bootscrub=0"
        " sched_ratelimit_us=100 spec-ctrl=no " + config.xen_arguments
    )
    bell = f"socket,id=bell,path={directory}/bell,server=on,wait=off"
    port = "virtserialport,chardev=bell,name=hadump.lab"
    lab = f"hadump-lab.xenstored={config.xenstored}"
    linux = f"{image.kernel} console=hvc0 earlyprintk=xen nokaslr {QUICK} {lab}"
    return [
        "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", _CPU,
        "-smp", "1", "-m", f"{config.total_mib()}M",
        "-display", "none", "-nodefaults", "-no-reboot",
        "-serial", f"file:{directory}/serial.log",
        "-monitor", f"unix:{directory}/monitor,server=on,wait=off",
        "-virtfs", f"local,path={directory}/share,mount_tag=share,security_model=none",
        "-device", "virtio-serial-pci", "-chardev", bell, "-device", port,
        *drives,
        "-kernel", str(image.hypervisor), "-append", xen,
        "-initrd", f"{linux},{image.initramfs}",
    ]  # fmt: skip


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
