# SPDX-License-Identifier: GPL-2.0-or-later
"""Panic, boot in the window, save, release: and every page of the dump equals the truth.

Parameters: memory, maxmem (MiB), vcpus, maxvcpus (those above vcpus are never started), load (MiB),
kernel (a package), compressed=1 (boot its bzImage), kaslr=1 (a boot loader starts it, and it
randomises its layout), scatter and singles (MiB): all but the former is free in single pages only,
and the balloon takes what lies together and the latter; format=elf|kdump, raw=1 (keep the truth's
bytes and show what differs), qdisk=1 (a QEMU in dom0 serves the disk), shipped=1 (a command line without
what makes a boot quicker here, and Xen's scripts), scripts=1 (Xen's own scripts for disk and network),
leaks=1 (afterwards a new domain gets all free memory, and nothing of this guest's is in it).
"""

import re
import time
from pathlib import Path

from hadump_lab import leaks, load, makedumpfile, notes, truth
from hadump_lab.errors import CheckFailed
from hadump_lab.guest import Guest, GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.images import STANDARD_KERNEL
from hadump_lab.product import Agent, guest_overlay
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

# All pages, so that all can be compared; a production system leaves zero pages out.
SETTINGS = "FORMAT={format}\nDUMP_LEVEL=0\nPORTION=128M\n"
PAGE_OFFSET = "0xffff888000000000"  # Without KASLR.
Registers = list[list[int] | None]
MANY_HOLES = 1000
# MiB of free blocks of four pages and more; field 5 counts the single pages.
TOGETHER = (
    "{ size = 4; for (i = 7; i <= NF; i++) { pages += $i * size; size *= 2 } } "
    "END { print int(pages / 256) + 1 }"
)
SINGLES = "{ pages += $5 } END { print pages + 0 }"
# Held memory with its holes: those of a scattered balloon would be too much for a console.
JOINED = (
    "function out() { if (s) print s, e, state; s = 0 } "
    '$3 != "held" && $3 != "hole" { out(); next } '
    '!s || $1 != e { out(); s = $1; state = "hole" } '
    '$3 == "held" { state = $3 } { e = $2 } END { out() }'
)
# The save begins when all has been looked at that it changes, however slow the machine is.
HOLD = """[ -e /sys/kernel/release_region ] || exit 0
until [ -e /run/looked ]; do sleep 0.3; done
"""
SAVE_AREA_MIB = 640  # Added at a crash: window, tails, and what describes them.


def run(lab: Lab) -> None:
    memory = lab.number("memory", 1024)
    config = _guest_config(lab, memory)
    span = config.maxmem_mib or memory
    host = lab.host(HostConfig(guests_mib=span + SAVE_AREA_MIB))
    agent = Agent(host)
    agent.install()
    agent.start()
    lab.note("hadumpd runs")

    guest = host.create_guest(config)
    before = guest.wait_up(90)
    if config.boot_loader:
        _boot_without_loader(lab, agent, guest)
    guest.wait_for("HADUMP-LAB boot complete", 30)
    lab.note(before.match.group(0))
    registered = guest.exec("cat /sys/kernel/hadump/enabled /sys/kernel/hadump/registered")[1]
    lab.check(registered.split() == ["1", "1"], "the module works and is registered")
    lab.note(load.start(guest, lab.number("load", memory // 2)).replace("\n", "; "))
    has = _scatter(lab, guest) if "scatter" in lab.parameters else int(before.match.group(2))

    if "leaks" in lab.parameters:
        leaks.prepare(guest)
    accounts = _accounts(guest)
    taken, registers = _crash(lab, agent, guest)
    # Xen has a few frames of its own at the end of RAM. More missing ones: they are somewhere else.
    lab.check(
        taken.present >= lab.number("target", memory) * 256 - 1024, "the truth has all of the memory"
    )
    since = guest.mark()
    agent.signal("CONT")
    after = guest.wait_up(120, since)
    lab.note(after.match.group(0))
    lab.check(after.match.group(4) != before.match.group(4), "the guest has booted again")
    lab.check(after.match.group(3) == before.match.group(3), "with all its CPUs")
    _check_waiting(lab, guest)
    saving = time.monotonic()
    done = guest.wait_for(r"HADUMP-LAB done \S*hadump-save\S* status=(\d+)", 600, after.index)
    lab.check(done.match.group(1) == "0", "the dump is saved and the memory given back")
    _check_memory(lab, guest, has)
    _check_accounts(lab, guest, accounts)
    lab.report = {
        "agent": agent.status(guest.config.name),
        "agent_continues_to_userspace_s": round(after.time - lab.report["resumed"], 2),
        "save_s": round(done.time - saving, 2),
    }
    _compare(lab, guest, taken, registers)
    if "leaks" in lab.parameters:
        leaks.check(lab, host)


def _guest_config(lab: Lab, memory: int) -> GuestConfig:
    kernel = lab.parameters.get("kernel", STANDARD_KERNEL)
    settings = SETTINGS.format(format=lab.parameters.get("format", "elf"))
    overlay = load.with_load(guest_overlay(kernel, settings), lab.program("lab-load"))
    overlay.script("40-hold", HOLD)
    if "scatter" in lab.parameters:
        load.with_scatter(overlay, lab.program("lab-scatter"))
    return GuestConfig(
        "first",
        memory,
        maxmem_mib=lab.number("maxmem", 0) or None,
        vcpus=lab.number("vcpus", 2),
        kernel=kernel,
        compressed=lab.number("compressed", 0) == 1,
        boot_loader=lab.number("kaslr", 0) == 1,
        qdisk=lab.number("qdisk", 0) == 1,
        shipped=lab.number("shipped", 0) == 1,
        xen_scripts=lab.number("scripts", 0) == 1,
        extra=f"maxvcpus={lab.parameters['maxvcpus']}" if "maxvcpus" in lab.parameters else "",
        overlay=overlay,
    )


def _boot_without_loader(lab: Lab, agent: Agent, guest: Guest) -> None:
    """The window's memory map is for the kernel itself: the loader's files are named to the agent."""
    key = f"/local/domain/{guest.domid()}/data/hadump/page-offset"
    offset = agent.host.exec(f"xenstore-read {key}").output.strip()
    lab.check(offset != PAGE_OFFSET, f"KASLR has moved the direct map to {offset}")
    agent.configure(
        f"[domain {guest.config.name}]\nkernel = {guest.kernel_path}\n"
        f"ramdisk = {guest.directory}/initrd\ncmdline = {guest.cmdline}\n"
    )


def _crash(lab: Lab, agent: Agent, guest: Guest) -> tuple[truth.Truth, Registers]:
    """Crashes the guest and takes the truth while the agent is stopped."""
    agent.signal("STOP")
    guest.crash()
    guest.wait_state("c")
    raw = f"{guest.directory}/raw" if "raw" in lab.parameters else None
    taken = truth.take(guest, lab.program("take-truth"), lab.directory / "truth", raw)
    lab.note(f"truth: {taken.present} frames in {taken.seconds} s")
    registers = truth.registers(guest, lab.program("take-registers"))
    lab.report["resumed"] = time.monotonic()
    return taken, registers


def _check_waiting(lab: Lab, guest: Guest) -> None:
    """What is there while the dump waits; lets the saver begin. One command: each costs seconds."""
    regions = "/sys/kernel/hadump/regions"
    found, holes, stays, claims = guest.exec(
        f"ls /sys/kernel | grep -c release_region; grep -c hole {regions};"
        " dmesg | grep -c 'check of every page stays';"
        f" cat /proc/iomem; awk '{JOINED}' {regions}; touch /run/looked"
    )[1].split("\n", 3)
    lab.check(found == "1", "the module has found the dump")
    if "scatter" in lab.parameters:
        lab.check(int(holes) > MANY_HOLES, f"the balloon has left {holes} holes")
    lab.check(stays == "0", "reading the dump costs no hypercall for each page")
    _check_claims(lab, claims)


def _check_claims(lab: Lab, lines: str) -> None:
    """Nobody else can take what is held."""
    held = _ranges(r"^([0-9a-f]+)-([0-9a-f]+) : hadump", lines, end_is_last=True)
    wanted = _ranges(r"^0x([0-9a-f]+) 0x([0-9a-f]+) held", lines, end_is_last=False)
    claimed = sum(end - start for start, end in held)
    lab.check(wanted and claimed, "regions lists what is held, and /proc/iomem who claims it")
    open_ends = [one for one in wanted if not _covered(one, held)]
    lab.check(not open_ends, f"every held range is claimed in /proc/iomem: {claimed >> 20} MiB")


def _ranges(pattern: str, text: str, end_is_last: bool) -> list[tuple[int, int]]:
    found = re.findall(pattern, text, re.MULTILINE)
    return sorted((int(start, 16), int(end, 16) + end_is_last) for start, end in found)


def _covered(one: tuple[int, int], by: list[tuple[int, int]]) -> bool:
    at, end = one
    for start, stop in by:
        at = stop if start <= at < stop else at
    return at >= end


def _scatter(lab: Lab, guest: Guest) -> int:
    """Balloons the guest down page by page; returns MemTotal in KiB then."""
    load.scatter(guest, lab.number("scatter", 0))
    # The balloon takes what lies together first. How much that is, the kernel may change meanwhile.
    together = int(guest.exec(f"awk '{TOGETHER}' /proc/buddyinfo")[1])
    target = lab.number("memory", 1024) - together
    lab.note(f"{together} MiB lie together")
    for _ in range(3):
        target -= lab.number("singles", 0)
        before = int(guest.exec(f"awk '{SINGLES}' /proc/buddyinfo")[1])
        guest.host.exec(f"xl mem-set {guest.config.name} {target}m")
        wait_until(
            lambda: int(_accounts(guest)[0]) <= target, 300, f"the guest is down to {target} MiB"
        )
        taken = before - int(guest.exec(f"awk '{SINGLES}' /proc/buddyinfo")[1])
        lab.note(f"at {target} MiB, the balloon has taken {taken} single pages")
        if taken > 2 * MANY_HOLES:
            break
    lab.parameters["target"] = str(target)
    return _mem_total(guest)


def _mem_total(guest: Guest) -> int:
    return int(guest.exec("awk '/^MemTotal/{print $2}' /proc/meminfo")[1])


def _check_memory(lab: Lab, guest: Guest, had: int) -> None:
    """A guest that was ballooned gives back soon after what its window had too much."""

    now = "awk '/^MemTotal/{print $2}' /proc/meminfo; cat /sys/kernel/hadump/mem_held"

    def near() -> list[str] | None:
        seen = guest.exec(now)[1].split()
        return seen if abs(int(seen[0]) - had) * 100 <= had else None

    has, held = wait_until(
        near, 20, lambda: f"MemTotal is within 1 % of {had} KiB: now {_mem_total(guest)}"
    )
    lab.check(True, f"MemTotal is within 1 % of what it was: {had} KiB before, {has} KiB now")
    lab.check(held == "0", "nothing is held")


def _accounts(guest: Guest) -> list[str]:
    """What Xen and the toolstack say: MiB of the domain, and the balloon's target in KiB."""
    return guest.host.exec(
        f"xl list {guest.config.name} | awk 'END {{print $3}}';"
        f" xenstore-read /local/domain/{guest.domid()}/memory/target"
    ).output.split()


def _check_accounts(lab: Lab, guest: Guest, before: list[str]) -> None:
    """The agent takes its memory back when the guest says that the dump is over: soon after."""
    wait_until(lambda: _accounts(guest)[0] == before[0], 20, f"Xen counts {before[0]} MiB again")
    now = _accounts(guest)
    lab.check(now == before, f"memory and balloon target are Xen's again as before: {before}")


def _compare(lab: Lab, guest: Guest, taken: truth.Truth, registers: Registers) -> None:
    guest.flush()
    reached, paths, log = guest.exec(
        "ping -c 2 10.99.0.1 | grep -c ' 0% packet loss'; ls /var/crash/*/vmcore | xargs;"
        " cat /var/crash/*/dmesg.txt"
    )[1].split("\n", 2)
    lab.check(reached == "1", "the network is back")
    path = paths.split()
    lab.check(len(path) == 1, f"one dump: {path}")
    local = lab.directory / "vmcore"
    guest.get_from_disk(path[0].removeprefix("/var/crash/"), local)
    lab.note(f"the dump has {local.stat().st_size >> 20} MiB")
    found = truth.compare(taken, local, lab.program("compare-dump"))
    lab.note(f"{found.frames} frames: {found.counts}")
    lab.report["comparison"] = {"frames": found.frames, **found.counts}
    if "raw" in lab.parameters:
        _show_differences(lab, guest, local, found)
    found.expect_equal()
    lab.check(found.equal + len(found.explained) == taken.present, found.verdict())
    _check_log(lab, log)
    _check_registers(lab, notes.registers(local), registers)
    makedumpfile.check(lab, local, "sysrq triggered crash")


def _check_registers(lab: Lab, noted: list[list[int]], true: Registers) -> None:
    lab.check(len(noted) == len(true), f"a CPU note for each of {len(true)} vCPUs")
    wrong = [cpu for cpu, one in enumerate(true) if one is not None and noted[cpu] != one]
    lab.check(not wrong, f"with the registers that Xen has of it{wrong or ''}")


def _show_differences(lab: Lab, guest: Guest, dump: Path, found: truth.Comparison) -> None:
    frames = [frame for start, end in found.different for frame in range(start, end)]
    for frame in frames[:16]:
        raw = f"{guest.directory}/raw"
        for line in truth.differences(guest, raw, dump, lab.program("compare-dump"), frame)[:12]:
            lab.note(line)


def _check_log(lab: Lab, text: str) -> None:
    if "Kernel panic - not syncing: sysrq triggered crash" not in text:
        raise CheckFailed(f"the saved kernel log does not show the panic:\n{text[-2000:]}")
    lab.check(True, "the kernel log that was saved shows the panic")
