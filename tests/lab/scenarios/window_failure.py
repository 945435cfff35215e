# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose kernel dies again in its window, before its dump is saved: it serves in the end, and the
first crash's memory is not lost.

Parameters: memory, load (MiB), dies=once|always|small|services (in the window; small: for want of memory,
while it is small; services: a Debian guest, when its system starts, as long as a dump waits), end=panic|hang
(how; a guest that hangs has not loaded the module), policy=restart|capture (what hadumpd does when it always
dies), free (MiB that the host has besides the guest and its save area), initramfs=initramfs-tools|dracut (the
Debian guest's).
"""

import json
from typing import Any

from hadump_lab import debian_rescue, truth
from hadump_lab.guest import GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.overlay import Overlay
from hadump_lab.product import Agent
from hadump_lab.rescue import SAVE_AREA_MIB, Crash, Rescue
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

NAME = "fails"
TARGET = "/scratch/captures"
TIMEOUT_S = 100  # Of a guest that hangs in any case. Others have hadumpd's default.
CONFIG = f"""[default]
max-crashes = 9
on-window-failure = {{policy}}
{{more}}
capture-to = {TARGET}/
capture-dump-level = 0
"""
# Before the saver; on the disk is how often.
DIE = """[ -e /proc/vmcore ] || exit 0
echo x >>/var/crash/deaths
[ "$(wc -l </var/crash/deaths)" -le %d ] || exit 0
sync
echo 1 >/proc/sys/kernel/sysrq
echo c >/proc/sysrq-trigger
"""
# More than a window of 256 MiB has, for a moment.
HOG_MIB = 280
HOG = f"""[ -e /proc/vmcore ] || exit 0
mkdir -p /run/hog
mount -t tmpfs -o size=1g hog /run/hog
echo 1 >/proc/sys/vm/panic_on_oom
dd if=/dev/zero of=/run/hog/file bs=1M count={HOG_MIB}
echo "HADUMP-LAB hog of $(du -m /run/hog/file | cut -f1) MiB"
umount /run/hog
echo 0 >/proc/sys/vm/panic_on_oom
"""
# Of a system that is not able to start while a dump waits.
POLICY = "max-crashes = 9\nwindow = 256M\nwindow-max = 256M"  # No larger one is tried.
DOOM = """cat >/etc/systemd/system/doom.service <<'EOF'
[Unit]
ConditionPathExists=/sys/kernel/release_region
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger'
[Install]
WantedBy=sysinit.target
EOF
systemctl -q enable doom && sync
"""
# Before the module, and for ever.
HANG = "while [ -e /proc/vmcore ]; do sleep 1; done\n"


class _Doomed(Rescue):
    """Dies in its window."""

    def overlay(self) -> Overlay:
        overlay = super().overlay()
        if self.lab.parameters.get("end", "panic") == "hang":
            return overlay.script("00-a-hang", HANG, early=True)
        if self.lab.parameters.get("dies") == "small":
            return overlay.script("40-hog", HOG)
        times = 1 if self.lab.parameters.get("dies", "always") == "once" else 1000
        return overlay.script("40-die", DIE % times)


def run(lab: Lab) -> None:
    if lab.parameters.get("dies") == "services":
        return _dies_in_services(lab)
    small = lab.parameters.get("dies") == "small"
    memory = lab.number("memory", 768 if small else 512)
    policy = lab.parameters.get("policy", "restart")
    host = lab.host(HostConfig(guests_mib=memory + SAVE_AREA_MIB + lab.number("free", 512)))
    host.exec(f"mkdir -m 700 -p {TARGET}")
    hangs = lab.parameters.get("end") == "hang"
    more = f"window-boot-timeout = {TIMEOUT_S}\n" if hangs else ""
    more += "window = 256M" if small else "window-max = 384M"  # Then no larger one is tried.
    agent = Agent(host, config=CONFIG.format(policy=policy, more=more))
    agent.install()
    agent.start()
    rescue = _Doomed(lab, agent, GuestConfig(NAME, memory, xen_scripts=True))
    rescue.fill(lab.number("load", 48))
    domid = rescue.guest.domid()
    crash = rescue.crash()
    if lab.parameters.get("dies", "always") == "once":
        _dies_once(lab, agent, rescue, crash, domid)
    elif small:
        _is_small(lab, agent, rescue, crash, domid)
    else:
        _dies_always(lab, agent, rescue, crash, domid)


def _dies_once(lab: Lab, agent: Agent, rescue: Rescue, crash: Crash, domid: int) -> None:
    panic = rescue.guest.wait_for("Kernel panic - not syncing", 200, crash.mark)
    up = rescue.wait_back(panic.index)
    agent.log.wait_for("boot 1 in the window crashed before the dump was being saved", 10, crash.agent_mark)
    dump = agent.status(NAME)["dump"]
    lab.check(dump["boots"] == 2, "the same window was booted once more")
    lab.check(dump["window"]["failed"] == 1, "and hadump status --json says why")
    rescue.wait_saved(up.index)
    rescue.compare(crash, rescue.dumps()[-1])
    lab.check(rescue.guest.domid() == domid, "it is the same domain")


def _is_small(lab: Lab, agent: Agent, rescue: Rescue, crash: Crash, domid: int) -> None:
    """Two boots run out of memory; the third has a larger window, and the dump has moved before it."""
    mark = crash.mark
    for boot in (1, 2):
        oom = rescue.guest.wait_for("Kernel panic - not syncing: Out of memory", 200, mark)
        mark = oom.index
    up = rescue.wait_back(mark)
    for said in (
        "boot 1 in the window crashed before the dump was being saved",
        "boot 2 in the window crashed before the dump was being saved; booting it in a larger window, "
        "of 512 MiB instead of 256 MiB",
    ):
        agent.log.wait_for(said, 10, crash.agent_mark)
    lab.check(True, "the log says what was tried, and why")
    rescue.guest.wait_for(f"HADUMP-LAB hog of {HOG_MIB} MiB", 60, mark)
    listing = agent.host.exec("hadump list; hadump status; xl list").output
    lab.note(listing)
    lab.check("a window of 512 MiB instead of 256 MiB" in listing, "hadump list shows it")
    dump = agent.status(NAME)["dump"]
    lab.check((dump["boots"], dump["window_bytes"]) == (3, 512 << 20), "the third boot has 512 MiB")
    lab.check("other_area" not in dump, "the smaller save area is given back")
    rescue.wait_saved(up.index)
    rescue.compare(crash, rescue.dumps()[-1])
    lab.check(rescue.guest.domid() == domid, "it is the same domain")


def _dies_in_services(lab: Lab) -> None:
    """Two boots die when the system starts; the third saves before it does, in the initramfs."""
    rescue = debian_rescue.start(lab, policy=POLICY)
    guest, agent, name = rescue.guest, rescue.agent, rescue.guest.config.name
    rescue.boot(rescue.before.index)
    guest.exec(f"{debian_rescue.ZERO_PAGES_TOO}; {DOOM}", timeout=60)
    rescue.fill(lab.number("load", 32))
    domid = guest.domid()
    crash = rescue.crash()
    mark = crash.mark
    for _ in (1, 2):
        mark = guest.wait_for("Kernel panic - not syncing: sysrq", 300, mark).index
    begun = guest.wait_for("hadump-rescue: saving the crashed kernel's memory before", 300, mark)
    said = (
        "boot 2 in the window crashed before the dump was being saved; a rescue boot: its initramfs "
        "saves the dump before the system starts"
    )
    agent.log.wait_for(said, 10, crash.agent_mark)
    listing = agent.host.exec("hadump list; hadump status").output
    lab.note(listing)
    lab.check("; a rescue boot was begun then" in listing, "hadump list shows it")
    saved = guest.wait_for(
        r"hadump-rescue: the dump is (not )?saved; the system starts", 600, begun.index
    )
    lab.check(not saved.match.group(1), "it is saved in the initramfs")
    up = rescue.wait_back(saved.index)
    had, has = int(rescue.before.match.group(2)), int(up.match.group(2))
    lab.check(abs(has - had) * 100 <= had, f"the system starts with all memory: {had} KiB, {has} KiB")
    boot = rescue.boot(up.index)
    lab.check(boot.state == "running", f"systemd's state is {boot.state}; {boot.failed}")
    rescue.check_whole()
    window = agent.status(name)["dump"]["window"]
    lab.check((window["failed"], window["rescue_since"]) == (2, 3), f"as the record says: {window}")
    (path,) = rescue.dumps()
    lab.check("/debian-" in path, f"under the machine's name: {path}")
    told = guest.exec("journalctl -b -o cat -t hadump-rescue -t release-region")[1]
    lab.note(told)
    lab.check("the dump is saved; the system starts" in told, "the journal says so")
    rescue.verify(path)
    rescue.compare(crash, path)
    lab.check(guest.domid() == domid, "it is the same domain")


def _dies_always(lab: Lab, agent: Agent, rescue: Rescue, crash: Crash, domid: int) -> None:
    guest = rescue.guest
    done = guest.wait_for("HADUMP-LAB boot complete", 600, crash.mark)
    lab.note(agent.host.exec("hadump list; hadump status; xl list").output)
    lab.check(guest.domid() != domid, "another domain has taken its place, and serves")
    ends = "made no progress and was stopped" if lab.parameters.get("end") == "hang" else "crashed"
    for boot in (1, 2):
        said = f"boot {boot} in the window {ends} before the dump was being saved"
        agent.log.wait_for(said, 10, crash.agent_mark)
    lab.check(True, "after two boots in the window, and the log says so")
    if lab.parameters.get("policy", "restart") == "restart":
        _write_kept(lab, agent, domid)
    wait_until(lambda: _capture(agent)["state"] in ("written", "failed"), 400, "the capture has ended")
    capture = _capture(agent)
    lab.check(capture["state"] == "written" and capture["complete"], f"it is written: {capture['error']}")
    lab.check("sysrq triggered crash" in capture["panic"], f"with the panic: {capture['panic']}")
    _compare(lab, agent, crash, capture)
    names = sorted(line.split()[0] for line in agent.host.exec("xl list").output.splitlines()[1:])
    lab.check(names == ["Domain-0", NAME], f"the old domain is gone: {names}")
    had = int(rescue.before.match.group(2))
    wait_until(lambda: _mem_total(rescue) * 100 >= had * 99, 60, f"the new one has all its memory: {had}")
    guest.wait_for("HADUMP-LAB boot complete", 1, done.index - 1)


def _write_kept(lab: Lab, agent: Agent, domid: int) -> None:
    """The dump is where it was; an admin says where it goes."""
    kept = _capture(agent)
    lab.check(kept["state"] == "kept" and kept["domid"] == domid, f"its dump is kept in domain {domid}")
    lab.check(kept["state"] in agent.host.exec("hadump list").output, "hadump list shows it")
    listing = agent.host.exec("xl list").output
    lab.check(f"{NAME}-{domid}" in listing, "under another name")
    agent.host.exec(f"hadump capture {kept['name']} --mode alias --dump-level 0 --to {TARGET}/")


def _compare(lab: Lab, agent: Agent, crash: Crash, capture: dict[str, Any]) -> None:
    local = lab.directory / "vmcore"
    agent.host.get(capture["file"], local)
    found = truth.compare(crash.truth, local, lab.program("compare-dump"))
    lab.note(f"{found.frames} frames: {found.counts}")
    found.expect_equal()
    lab.check(found.equal + len(found.explained) == crash.truth.present, found.verdict())
    text = json.loads(agent.host.exec(f"cat {capture['metadata']}").output)
    lab.check(text["trailer"]["complete"], "every page of the first crash is in the file")
    lab.check(text["header"]["dump_id"] == capture["waiting_dump"], "under the id that the guest's had")


def _capture(agent: Agent) -> dict[str, Any]:
    found: dict[str, Any] = agent.status(NAME)["captures"][-1]
    return found


def _mem_total(rescue: Rescue) -> int:
    return int(rescue.guest.exec("awk '/^MemTotal/{print $2}' /proc/meminfo")[1])
