# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest under plain QEMU (no Xen) that was started on a made-up dump, or on none.

It boots a Debian kernel with an initramfs of BusyBox, hadump.ko and one scenario's script, runs the
script and stops; then its memory is looked at from outside. Packages come from the lab's cache.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))

from hadump_lab.cpio import Tree  # noqa: E402
from hadump_lab.kernel import kernel  # noqa: E402
from hadump_lab.overlay import Overlay, stripped  # noqa: E402
from hadump_lab.packages import Archive  # noqa: E402

END = "HADUMP-SCENARIO-END"
MIB = 1 << 20
RAM = 1024 * MIB


@dataclass(frozen=True)
class Dump:
    """What make_dump_node is told, and where QEMU puts the result. Ranges are (begin, end)."""

    save_area: tuple[int, int] = (0x30000000, 0x38000000)
    boot_regions: tuple[tuple[int, int], ...] = ((0, 0x1000000),)
    held: tuple[tuple[int, int], ...] = ((0x10000000, 0x30000000),)
    holes: tuple[tuple[int, int], ...] = ()
    mode: str = "added"
    changes: tuple[str, ...] = ()  # Further arguments.
    claimed: tuple[tuple[int, int], ...] = ((0x10000000, 0x38000000),)  # Type 6 in the map.

    def arguments(self) -> list[str]:
        """The command line for make_dump_node."""
        result = ["--save-area", _text(self.save_area), "--mode", self.mode, *self.changes]
        for option, ranges in (
            ("--boot-region", self.boot_regions),
            ("--held", self.held),
            ("--hole", self.holes),
        ):
            for one in ranges:
                result += [option, _text(one)]
        return result


@dataclass
class Outcome:
    """What a run left: the console's text, and the pieces of memory that were asked for."""

    console: str
    memory: dict[int, bytes] = field(default_factory=dict)


def _text(one: tuple[int, int]) -> str:
    return f"{one[0]:x}-{one[1]:x}"


def run(
    module: Path,
    script: str,
    dump: Dump | None,
    tool: Path,
    *,
    programs: tuple[Path, ...] = (),
    kernel_args: str = "",
    extra_files: dict[int, bytes] | None = None,
    look_at: dict[int, int] | None = None,
    modules: tuple[str, ...] = (),
    qemu_args: tuple[str, ...] = (),
    end: str = END,
    timeout: float = 180,
) -> Outcome:
    """Boots the kernel that `module` was built for and runs `script`.

    Without `dump` it is an ordinary boot. `programs` go to /sbin with their libraries. `extra_files`,
    which need a dump, and `look_at` map guest-physical addresses to contents and to lengths. `end` is
    what the console shows when there is nothing more to wait for.
    """
    release = module.parent.name
    kern = kernel(Archive(), f"linux-image-{release}")
    with tempfile.TemporaryDirectory(prefix="hadump-guest-") as name:
        directory = Path(name)
        memory = directory / "memory"
        if dump:
            _write_memory(tool, dump, memory, extra_files or {})
            save = dump.save_area[0]
            claims = " ".join(f"memmap={e - b:#x}%{b:#x}-1+6" for b, e in dump.claimed)
            kernel_args += f" {claims} elfcorehdr={save + 0x20000:#x} hadump.node={save + 0x1000:#x}"

        tree = _initramfs(module, script, programs)
        if modules:
            tree.add_tree(kern.modules(modules))
        with open(directory / "initrd", "wb") as output:
            tree.write(output)

        command = [
            "qemu-system-x86_64", "-accel", "tcg", "-m", str(RAM // MIB), "-smp", "2", "-nographic",
            "-no-reboot", "-nodefaults", "-vga", "none", "-cpu", "max",
            "-kernel", str(kern.vmlinux), "-initrd", str(directory / "initrd"),
            "-append", f"console=ttyS0 quiet loglevel=5 mitigations=off {kernel_args}",
            "-chardev", f"file,id=console,path={directory}/console", "-serial", "chardev:console",
            "-monitor", f"unix:{directory}/monitor,server=on,wait=off",
        ]  # fmt: skip
        if dump:
            # Half a GiB that QEMU loads takes 8 s; here the guest reads what it looks at.
            command += ["-machine", "memory-backend=ram", "-object",
                        f"memory-backend-file,id=ram,size={RAM},share=off,mem-path={memory}"]  # fmt: skip
        return _boot([*command, *qemu_args], directory, look_at or {}, end, timeout)


def _write_memory(tool: Path, dump: Dump, memory: Path, extra: dict[int, bytes]) -> None:
    """The guest's memory as its last kernel left it."""
    subprocess.run(
        [str(tool), *dump.arguments(), "--memory", memory, "--output", memory.parent], check=True
    )
    with open(memory, "r+b") as file:
        file.truncate(RAM)
        for address, content in extra.items():
            file.seek(address)
            file.write(content)


def tree_of(tool: Path, dump: Dump) -> bytes:
    """The dump node that make_dump_node puts into the save area."""
    with tempfile.TemporaryDirectory(prefix="hadump-guest-") as name:
        subprocess.run([str(tool), *dump.arguments(), "--output", name], check=True)
        with open(Path(name) / "save.bin", "rb") as area:
            area.seek(0x1000)
            tree = area.read(0x10000)
        return tree[: int.from_bytes(tree[4:8], "big")]


def _initramfs(module: Path, script: str, programs: tuple[Path, ...]) -> Tree:
    overlay = Overlay()
    for binary in programs:
        overlay.program(binary)
    tree = overlay.tree
    for folder in ("dev", "proc", "sys", "tmp"):
        tree.directory(folder)
    busybox = Path("/bin/busybox")
    tree.file("bin/busybox", busybox, 0o755)
    tree.file("hadump.ko", stripped(module))
    tree.file("lib.sh", HERE / "lib.sh")
    tree.file("init", HERE / "init.sh", 0o755)
    tree.file("scenario.sh", script)
    return tree


def _boot(
    command: list[str], directory: Path, look_at: dict[int, int], sign: str, timeout: float
) -> Outcome:
    console = directory / "console"
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + timeout
        while process.poll() is None and time.monotonic() < end:
            if console.exists() and sign in console.read_text(errors="replace"):
                break
            time.sleep(0.05)
        text = console.read_text(errors="replace") if console.exists() else ""
        if process.poll() is not None and sign not in text:
            text += f"\nQEMU ended: {process.stderr.read() if process.stderr else ''}"
        outcome = Outcome(text.replace("\r", ""))
        if process.poll() is None:
            for address, length in look_at.items():
                outcome.memory[address] = _read_memory(directory, address, length)
        return outcome
    finally:
        process.kill()
        process.wait()


def _read_memory(directory: Path, address: int, length: int) -> bytes:
    target = directory / f"memory-{address:x}"
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(30)
        monitor.connect(str(directory / "monitor"))
        _until_prompt(monitor)
        monitor.sendall(f'pmemsave {address:#x} {length:#x} "{target}"\n'.encode())
        _until_prompt(monitor)
    return target.read_bytes()


def _until_prompt(monitor: socket.socket) -> None:
    seen = b""
    while not seen.rstrip().endswith(b"(qemu)"):
        data = monitor.recv(4096)
        if not data:
            raise RuntimeError("QEMU's monitor closed")
        seen += data


def failures(outcome: Outcome) -> list[str]:
    """What the script found wrong; a script that did not reach its end is wrong, too."""
    found = re.findall(r"^(FAIL .*)$", outcome.console, re.MULTILINE)
    if END not in outcome.console:
        found.append("FAIL the scenario did not reach its end")
    for trouble in ("BUG:", "WARNING:", "Oops", "Kernel panic"):
        if trouble in outcome.console:
            found.append(f"FAIL the kernel said {trouble}")
    return found


def newest_module(directory: Path, flavour: str) -> Path:
    """The module built for the kernel release that matches the regular expression `flavour`."""
    candidates = sorted(p for p in directory.glob("*/hadump.ko") if re.fullmatch(flavour, p.parent.name))
    if not candidates:
        raise SystemExit(f"no module for a kernel {flavour} below {directory}: build hadump_module")
    return candidates[-1]


def keep_log(outcome: Outcome) -> None:
    """The console where a failed test prints it, and in a file when HADUMP_GUEST_LOG names one."""
    print(outcome.console)
    if path := os.environ.get("HADUMP_GUEST_LOG"):
        Path(path).write_text(outcome.console, encoding="utf-8")
