# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest under plain QEMU, without Xen: for tests of the kernel module alone.  Boots in seconds."""

import shutil
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import machine
from .channel import HIDDEN, ConsoleChannel
from .errors import LabError
from .guest import UP, GuestConfig, copy_from_ext4, write_initrd
from .host import make_ext4
from .images import STANDARD_KERNEL, guest_image
from .overlay import Overlay
from .packages import Archive
from .waiting import Follower, GrowingLog, Seen, scaled, wait_until


@dataclass(frozen=True)
class PlainConfig:
    """The same kernel, initrd and disk layout as on the emulated host."""

    memory_mib: int = 1024
    vcpus: int = 1
    kernel: str = STANDARD_KERNEL
    cmdline: str = ""
    disk_gib: int = 4  # 0: no disk.  Sparse, ext4, at /var/crash.
    overlay: Overlay | None = None
    # Files that QEMU puts into the guest's memory before it starts: (physical address, file).
    loads: Sequence[tuple[int, Path]] = ()
    qemu: Sequence[str] = ()  # Further arguments.


class PlainGuest:
    """A running guest.  As a context manager, it ends with the block."""

    def __init__(self, process: machine.Machine) -> None:
        self.machine = process
        self.directory = process.directory
        self.log = GrowingLog(process.directory / "console.log", HIDDEN)
        self._follower = Follower()
        self._follower.follow(self.log)
        self._channel = ConsoleChannel(self.log, self.type)
        self._socket: socket.socket | None = None

    @classmethod
    def start(
        cls, config: PlainConfig = PlainConfig(), name: str | None = None, detached: bool = False
    ) -> "PlainGuest":
        """Starts it, and returns at once: wait_up() waits for its userspace."""
        image = guest_image(Archive(), config.kernel)
        directory = machine.new_directory(name)
        try:
            settings = GuestConfig(name="plain", disk_gib=config.disk_gib, network=False,
                                   overlay=config.overlay)  # fmt: skip
            write_initrd(directory / "initrd", image.initrd, settings, "", "ttyS1")
            if config.disk_gib:
                make_ext4(directory / "disk.img", config.disk_gib << 30)
            command = _command(config, image.kernel.vmlinux, directory)
            process = machine.launch(directory, command, detached)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return cls(process)

    def __enter__(self) -> "PlainGuest":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends QEMU and removes everything of it."""
        self._follower.stop()
        self.machine.stop()
        if self._socket:
            self._socket.close()

    def console(self, since: int = 0) -> str:
        """The console's text, without the lab's own protocol."""
        return self.log.text(since)

    def mark(self) -> int:
        """The console's end now, for `since`."""
        return self.log.mark()

    def wait_for(self, pattern: str, timeout: float, since: int = 0) -> Seen:
        """Waits for a line on the console."""
        return self.log.wait_for(pattern, timeout, since)

    def wait_up(self, timeout: float = 30, since: int = 0) -> Seen:
        """Waits for userspace: groups are uptime, MemTotal in KiB, CPUs and the boot's id."""

        def up() -> Seen | None:
            seen = self.log.find(UP, since)
            if not seen and not self.machine.alive():
                log = (self.directory / "qemu.log").read_text(encoding="utf-8", errors="replace")
                raise LabError(f"QEMU ended:\n{log}\n{self.console()[-4000:]}")
            return seen

        return wait_until(up, timeout, "the guest's userspace is up")

    def type(self, text: str) -> None:
        """Puts text into the console's input."""
        if self._socket is None:
            self._socket = _connect(self.directory / "input")
        self._socket.sendall(text.encode())

    def exec(self, command: str, timeout: float = 60, check: bool = True) -> tuple[int, str]:
        """Runs a shell command in the guest; returns exit status and output."""
        return self._channel.run(command, timeout, check)

    def wait_ended(self, timeout: float = 30) -> None:
        """Waits until the guest has powered off (or rebooted: QEMU ends then as well)."""
        wait_until(lambda: not self.machine.alive(), timeout, "the guest ended")

    def get_from_disk(self, path: str, local: Path) -> None:
        """Copies a file (its path below /var/crash) out of the disk image; sync or end it first."""
        copy_from_ext4(self.directory / "disk.img", path, local)

    def tails(self, lines: int = 60) -> str:
        """The console's end, for a failure report."""
        return "\n".join(["===== console", *self.console().splitlines()[-lines:]])


def _connect(path: Path) -> socket.socket:
    end = time.monotonic() + scaled(5)
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
            return connection
        except OSError as error:
            connection.close()
            if time.monotonic() > end:
                raise LabError(f"the console's socket: {error}") from error
            time.sleep(0.02)


def _command(config: PlainConfig, kernel: Path, directory: Path) -> list[str]:
    disk = []
    if config.disk_gib:
        drive = f"if=none,id=disk,format=raw,cache=writeback,file={directory}/disk.img"
        disk = ["-drive", drive, "-device", "virtio-blk-pci,drive=disk,serial=disk"]
    loads = []
    for address, path in config.loads:
        loads += ["-device", f"loader,file={path},addr={address:#x},force-raw=on"]
    # Input has a port of its own: one with a socket loses and doubles output when nobody reads it.
    port = f"socket,id=input,path={directory}/input,server=on,wait=off"
    return [
        "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
        "-smp", str(config.vcpus), "-m", f"{config.memory_mib}M",
        "-display", "none", "-nodefaults", "-no-reboot",
        "-serial", f"file:{directory}/console.log", "-chardev", port, "-serial", "chardev:input",
        *disk, *loads,
        "-kernel", str(kernel), "-initrd", str(directory / "initrd"),
        "-append", f"console=ttyS0 {config.cmdline}",
        *config.qemu,
    ]  # fmt: skip
