# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose disk has no room sends its dump to the host, and gets its memory back for that.

The boot script finds no room and keeps the memory; "save --to host:" gives it back as the host has it
durable. The host's file equals the truth. Then hadumpd is killed in the middle: what was given back
by then is in the host's incomplete file, everything else is held, and a save to the disk has the rest.

Parameters: memory, load (MiB).
"""

import subprocess
from pathlib import Path

from hadump_lab import truth
from hadump_lab.dump_state import Frames, Held, says_incomplete
from hadump_lab.guest import GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.product import Agent
from hadump_lab.rescue import SAVE_AREA_MIB, Crash, Rescue
from hadump_lab.scenario import Lab
from hadump_lab.waiting import Seen, wait_until

NAME = "saver"
DIRECTORY = "/scratch/streams"
FILES = f"{DIRECTORY}/{NAME}"
CONFIG = f"""[default]
max-crashes = 100
[domain {NAME}]
stream = yes
[streams]
directory = {DIRECTORY}
keep-free = 64M
"""
# More than the disk has: the boot script leaves the dump alone.
SETTINGS = "MIN_FREE_MB=900000\n"
DEVICES = "modprobe -a xen-gntalloc xen-gntdev xen-evtchn"
SAVE = "release-region save --dump-level 0 --progress plain"
FULL, WITH_LOSS = 4, 5  # Exit statuses.


def run(lab: Lab) -> None:
    memory = lab.number("memory", 512)
    host = lab.host(HostConfig(guests_mib=memory + SAVE_AREA_MIB))
    agent = Agent(host, config=CONFIG)
    agent.install()
    agent.start()
    rescue = Rescue(lab, agent, GuestConfig(NAME, memory, vcpus=1), SETTINGS)
    _whole(lab, rescue)
    _cut_off(lab, rescue)


def _crash(lab: Lab, rescue: Rescue) -> tuple[Crash, Seen]:
    """Back in its window, with all of the old memory held."""
    rescue.fill(lab.number("load", 48))
    crash = rescue.crash()
    up = rescue.wait_back(crash.mark)
    done = rescue.guest.wait_for(r"HADUMP-LAB done \S*hadump-save\S* status=(\d+)", 60, up.index)
    lab.check(int(done.match.group(1)) == FULL, "the boot script finds no room and keeps the memory")
    rescue.guest.exec(DEVICES)
    return crash, up


def _convert(rescue: Rescue, name: str) -> Path:
    """The host's flattened file as one that can be compared, on this machine."""
    sent, local = rescue.lab.directory / "sent", rescue.lab.directory / "vmcore"
    rescue.agent.host.get(f"{FILES}/{name}", sent)
    local.unlink(missing_ok=True)
    # What is incomplete stays so, and says so by its status.
    convert = [rescue.lab.program("release-region"), "convert", sent, local, "--dump-level", "0"]
    subprocess.run(convert, capture_output=True, check=False)
    if not local.exists():
        local = sent.with_name("vmcore-incomplete")
    return local


def _whole(lab: Lab, rescue: Rescue) -> None:
    crash, _ = _crash(lab, rescue)
    status, said = rescue.guest.exec(f"{SAVE} --to host: 2>&1", timeout=300, check=False)
    lab.note(said)
    lab.check(status == 0, "the dump is with the host")
    rescue.wait_all_back()
    (name,) = rescue.agent.host.exec(f"ls {FILES}").output.split()
    found = truth.compare(crash.truth, _convert(rescue, name), lab.program("compare-dump"))
    found.expect_equal()
    lab.check(found.equal + len(found.explained) == crash.truth.present, found.verdict())
    rescue.agent.host.exec(f"rm {FILES}/*")


def _cut_off(lab: Lab, rescue: Rescue) -> None:
    guest, agent = rescue.guest, rescue.agent
    crash, _ = _crash(lab, rescue)
    guest.exec(
        f"(until grep -q ' released$' /sys/kernel/hadump/regions; do :; done; killall -STOP release-region)"
        f" </dev/null >/dev/null 2>&1 &"
        f" ({SAVE} --to host:cut --portion 64M >/run/cut.log 2>&1; echo $? >/run/cut.rc)"
        f" </dev/null >/dev/null 2>&1 &"
    )
    wait_until(
        lambda: " released\n" in guest.exec("cat /sys/kernel/hadump/regions")[1],
        240, "a part of the memory was given back",
    )  # fmt: skip
    agent.signal("KILL")
    agent.wait_ended()
    guest.exec("killall -CONT release-region")
    wait_until(lambda: guest.exec("cat /run/cut.rc", check=False)[1].strip() != "", 90, "the save ends")
    status, said = guest.exec("cat /run/cut.rc /run/cut.log")[1].split("\n", 1)
    lab.note(said)
    lab.check(status == "1" and "keep it" in said, "and says what the host has, and to keep it")

    partial = _convert(rescue, "cut-incomplete")
    lab.check(says_incomplete(lab.program("release-region"), partial), "the file is incomplete")
    found = truth.compare(crash.truth, partial, lab.program("compare-dump"))
    lab.check(not found.different + found.extra, "no page of it is wrong")
    nowhere = Frames(found.missing).without(Held.of(guest).kept())
    lab.check(not nowhere.ranges, f"every page is in it or held: {nowhere.ranges[:8]}")

    agent.start()
    status_of_rest, said = guest.exec(
        f"{SAVE} --to /var/crash/ --without-earlier 2>&1", timeout=300, check=False
    )
    lab.note(said)
    lab.check(status_of_rest == WITH_LOSS, "the rest goes to the disk; it says that a part is elsewhere")
    rescue.wait_all_back()
    rest = rescue.comparison(crash, rescue.dumps()[-1])
    lab.check(not rest.different + rest.extra, "no page of the rest is wrong")
    nowhere_else = Frames(found.missing)
    nowhere_else = nowhere_else.without(nowhere_else.without(Frames(rest.missing)))
    lab.check(not nowhere_else.ranges, f"every page is in one of the two: {nowhere_else.ranges[:8]}")
