# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab itself: a host, a guest on disk and network, a preserved crash, and the truth about it.

Parameters: memory, vcpus, core=1 (the guest's core is dumped by libxl, too, which takes minutes).
"""

import struct
from pathlib import Path

from hadump_lab import truth
from hadump_lab.guest import Guest, GuestConfig
from hadump_lab.host import Host
from hadump_lab.overlay import Overlay
from hadump_lab.scenario import Lab

SNIPPET = "echo snippet ran; seq 1 100000 | sed 's/.*/MARK-&-LAB/' >/dev/shm/marks\n"


def run(lab: Lab) -> None:
    memory = lab.number("memory", 512)
    vcpus = lab.number("vcpus", 2)
    host = lab.host()
    lab.check("hvm" in host.exec("xl info").output, "Xen offers HVM")
    overlay = Overlay().script("50-marks", SNIPPET)
    guest = host.create_guest(GuestConfig("t1", memory, vcpus=vcpus, overlay=overlay))
    up = guest.wait_up()
    lab.note(up.match.group(0))
    lab.check(int(up.match.group(3)) == vcpus, f"the guest has {vcpus} CPUs")
    guest.wait_for("HADUMP-LAB boot complete", 30)
    lab.check("snippet ran" in guest.console(), "boot snippets run")

    lab.check("0% packet loss" in guest.exec("ping -c 2 10.99.0.1")[1], "the network works")
    guest.exec("dd if=/dev/zero bs=1M count=8 2>/dev/null | tr '\\0' 'x' >/var/crash/file; sync")
    guest.flush()
    _check_disk(lab, guest)
    status, output = guest.exec("seq 1 5000; exit 3", check=False)
    lab.check(status == 3 and output.split()[-1] == "5000", "commands return output and status")

    guest.crash()
    guest.wait_state("c")
    lab.check(True, "the crashed domain is preserved")
    taken = truth.take(guest, lab.program("take-truth"), lab.directory / "truth", "/scratch/raw")
    lab.note(f"truth: {taken.present} frames in {taken.seconds} s")
    # Xen puts a few frames of its own at the end of RAM; libxl gives the rest of a MiB or two less.
    lab.check(abs(taken.present - memory * 256) < 1024, "the truth has all of the memory")
    _compare_with_itself(lab, host, taken)
    _check_contracts(lab, host, guest)
    guest.forget()


def _check_contracts(lab: Lab, host: Host, guest: Guest) -> None:
    """The agent's seams to Xen do here what the unit tests expect of their fakes."""
    host.install([lab.program("xen-contract")])
    above = 2 * guest.config.memory_mib
    core = "/scratch" if lab.number("core", 0) else ""
    timeout = 600 if core else 60
    done = host.exec(f"xen-contract {guest.domid()} {above} {core}", timeout=timeout, check=False)
    lab.note(done.output)
    lab.check(done.status == 0, "the seams to Xen keep their contracts")


def _check_disk(lab: Lab, guest: Guest) -> None:
    local = lab.directory / "file"
    guest.get_from_disk("file", local)
    lab.check(local.read_bytes() == b"x" * (8 << 20), "a file comes out of the disk image")


def _compare_with_itself(lab: Lab, host: Host, taken: truth.Truth) -> None:
    """The frames themselves, wrapped as an ELF core: equal; with one byte changed: not."""
    marks = host.exec("grep -a -o 'MARK-[0-9]*-LAB' /scratch/raw | sort -u | wc -l", timeout=120)
    lab.check(
        int(marks.output) > 99000, f"{marks.output.strip()} of 100000 marks are in the memory"
    )
    raw = lab.directory / "raw"
    host.exec("head -c 64M /scratch/raw >/scratch/head")
    host.get("/scratch/head", raw)
    program = lab.program("compare-dump")
    core = lab.directory / "core"
    _write_core(core, raw.read_bytes())
    same = truth.compare(taken, core, program)
    present_low = same.counts["equal"]
    lab.check(present_low == 16384 - _holes(same), "the first 64 MiB equal the truth")
    data = bytearray(core.read_bytes())
    data[4096 + 100 * 4096 + 17] ^= 1
    core.write_bytes(data)
    changed = truth.compare(taken, core, program)
    lab.check(changed.different == [(100, 101)], "one changed bit is found, in its frame")


def _holes(found: truth.Comparison) -> int:
    return sum(end - start for start, end in found.extra)


def _write_core(path: Path, memory: bytes) -> None:
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 7, 4096, 0, 0, len(memory), len(memory), 0)
    path.write_bytes((header + load).ljust(4096, b"\0") + memory)
