"""Panic, boot in the window, save, release: and every page of the dump equals the truth.

Parameters: memory, maxmem (MiB), vcpus, load (MiB), kernel (a package), kaslr=0, format=elf|kdump,
raw=1 (keep the truth's bytes and show what differs).
"""

import time
from pathlib import Path

from hadump_lab import load, truth
from hadump_lab.errors import CheckFailed
from hadump_lab.guest import Guest, GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.images import STANDARD_KERNEL
from hadump_lab.product import Agent, guest_overlay
from hadump_lab.scenario import Lab
from hadump_lab.waiting import Seen

# All pages, so that all can be compared; a production system leaves zero pages out.
SETTINGS = "FORMAT={format}\nDUMP_LEVEL=0\nPORTION=128M\n"
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
    before = guest.wait_up()
    guest.wait_for("HADUMP-LAB boot complete", 30)
    lab.note(before.match.group(0))
    registered = guest.exec("cat /sys/kernel/hadump/enabled /sys/kernel/hadump/registered")[1]
    lab.check(registered.split() == ["1", "1"], "the module works and is registered")
    lab.note(load.start(guest, lab.number("load", memory // 2)).replace("\n", "; "))

    taken = _crash(lab, agent, guest)
    since = guest.mark()
    agent.signal("CONT")
    after = guest.wait_up(120, since)
    lab.note(after.match.group(0))
    lab.check(after.match.group(4) != before.match.group(4), "the guest has booted again")
    lab.check(after.match.group(3) == before.match.group(3), "with all its CPUs")
    lab.check("release_region" in guest.exec("ls /sys/kernel")[1], "the module has found the dump")
    stays = guest.exec("dmesg | grep -c 'check of every page stays'", check=False)[1].strip()
    lab.check(stays == "0", "reading the dump costs no hypercall for each page")
    done = guest.wait_for(r"HADUMP-LAB done \S*hadump-save\S* status=(\d+)", 600, after.index)
    lab.check(done.match.group(1) == "0", "the dump is saved and the memory given back")
    _check_memory(lab, guest, before)
    lab.check("0% packet loss" in guest.exec("ping -c 2 10.99.0.1")[1], "the network is back")
    lab.report = {
        "agent": agent.status(guest.config.name),
        "agent_continues_to_userspace_s": round(after.time - lab.report["resumed"], 2),
        "userspace_to_saved_s": round(done.time - after.time, 2),
    }
    _compare(lab, guest, taken)


def _guest_config(lab: Lab, memory: int) -> GuestConfig:
    kernel = lab.parameters.get("kernel", STANDARD_KERNEL)
    settings = SETTINGS.format(format=lab.parameters.get("format", "elf"))
    overlay = load.with_load(guest_overlay(kernel, settings), lab.program("lab-load"))
    return GuestConfig(
        "first",
        memory,
        maxmem_mib=lab.number("maxmem", 0) or None,
        vcpus=lab.number("vcpus", 2),
        kernel=kernel,
        cmdline="nokaslr" if lab.parameters.get("kaslr") == "0" else "",
        overlay=overlay,
    )


def _crash(lab: Lab, agent: Agent, guest: Guest) -> truth.Truth:
    """Crashes the guest and takes the truth while the agent is stopped."""
    agent.signal("STOP")
    guest.crash()
    guest.wait_state("c")
    raw = f"{guest.directory}/raw" if "raw" in lab.parameters else None
    taken = truth.take(guest, lab.program("take-truth"), lab.directory / "truth", raw)
    lab.note(f"truth: {taken.present} frames in {taken.seconds} s")
    # Xen has a few frames of its own at the end of RAM. More missing ones: they are somewhere else.
    lab.check(
        taken.present >= guest.config.memory_mib * 256 - 1024, "the truth has all of the memory"
    )
    lab.report["resumed"] = time.monotonic()
    return taken


def _check_memory(lab: Lab, guest: Guest, before: Seen) -> None:
    had = int(before.match.group(2))
    has = int(guest.exec("awk '/^MemTotal/{print $2}' /proc/meminfo")[1])
    lab.note(f"MemTotal before {had} KiB, now {has} KiB")
    lab.check(abs(has - had) * 100 <= had, "MemTotal is within 1 % of what it was")
    lab.check(guest.exec("cat /sys/kernel/hadump/mem_held")[1].strip() == "0", "nothing is held")


def _compare(lab: Lab, guest: Guest, taken: truth.Truth) -> None:
    guest.exec("sync")
    path = guest.exec("ls /var/crash/*/vmcore")[1].split()
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
    lab.check(found.equal == taken.present, "every page equals the truth")
    _check_log(lab, guest, Path(path[0]).parent)


def _show_differences(lab: Lab, guest: Guest, dump: Path, found: truth.Comparison) -> None:
    frames = [frame for start, end in found.different for frame in range(start, end)]
    for frame in frames[:16]:
        raw = f"{guest.directory}/raw"
        for line in truth.differences(guest, raw, dump, lab.program("compare-dump"), frame)[:12]:
            lab.note(line)


def _check_log(lab: Lab, guest: Guest, directory: Path) -> None:
    text = guest.exec(f"cat {directory}/dmesg.txt")[1]
    if "Kernel panic - not syncing: sysrq triggered crash" not in text:
        raise CheckFailed(f"the saved kernel log does not show the panic:\n{text[-2000:]}")
    lab.check(True, "the kernel log that was saved shows the panic")
