# SPDX-License-Identifier: GPL-2.0-or-later
"""What hadumpd does for a domain besides booting it: trigger, reboot, poweroff, refusals, limits.

part=hostile: a guest that writes garbage into every key that hadumpd reads, and crashes too often.
part=hung: hadump trigger makes a guest crash; it reboots while its dump waits.
part=honest: a crash that nobody watched, in a guest with a save area of its own; a reboot, a
    poweroff.
part=renamed: a reboot after a rescue, in a guest with on_reboot="rename-restart".
Without `part` the others are seen to beside the hostile one, which stays crashed to the end.

Parameters: memory (MiB), honest (MiB: of that guest), part=A,B,…
"""

import shlex

from hadump_lab.guest import Guest, GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.product import Agent
from hadump_lab.rescue import SAVE_AREA_MIB, Crash, Rescue
from hadump_lab.scenario import Lab
from hadump_lab.waiting import Seen, wait_until

CONFIG = "[default]\nmax-crashes = 100\n[domain honest]\nsave-area = registered\n"
# Room for window and save area, and a rest of no whole block. In less, the struct pages of the save
# area, which cannot lie in it, are more than 1 % of MemTotal.
HONEST_MIB = 704
NO_KERNEL = CONFIG + "[domain hostile]\nkernel = /scratch/there-is-no-such-kernel\n"
ONE_CRASH = CONFIG + "[domain hostile]\nmax-crashes = 1\n"

# Each value is a kind of absurd of its own; xenstore's own limit is 4096 bytes a message.
GARBAGE = {
    "version": "1",
    "vmcoreinfo": "0xfffffffffffff000 0xffffffffffffffff",
    "page-offset": "0x1234",
    "mode": "A" * 3000,
    "save-area": "0x0 0x" + "f" * 300,
    "state": "done\n\x1b[31mdone",
    "dump-id": "g" * 32,
    "mem-held": "-99999999999999999999999",
    "progress": "%s%n" + "\x07" * 900,
}
NO_NUMBERS = {
    "version": "\x01" * 200, "vmcoreinfo": "", "page-offset": "zz", "mode": "registered",
    "save-area": "over there", "state": "", "dump-id": "", "mem-held": "1e99",
    "progress": "\x1b[2J",
}  # fmt: skip
# Inside the window, where the next kernel is loaded to.
OVERLAPS_WINDOW = {
    "version": "1", "vmcoreinfo": "0x1000 0x10", "page-offset": "0xffff888000000000",
    "mode": "registered", "save-area": "0x1000000 0x8000000", "state": "registered",
    "dump-id": "0" * 32, "mem-held": "18446744073709551615", "progress": "x",
}  # fmt: skip


def run(lab: Lab) -> None:
    memory = lab.number("memory", 384)
    parts = lab.parameters.get("part", "hostile,hung,honest,renamed").split(",")
    honest = lab.number("honest", HONEST_MIB)
    others = max(
        memory if "hung" in parts else 0,
        honest if "honest" in parts else 0,
        2 * memory if "renamed" in parts else 0,  # Before and after.
    )
    hostile_mib = memory if "hostile" in parts else 0
    host = lab.host(HostConfig(guests_mib=hostile_mib + others + SAVE_AREA_MIB))
    agent = Agent(host, config=NO_KERNEL)
    agent.install()
    agent.start()
    if "hostile" in parts:
        hostile, crash = _hostile(lab, agent, memory)
    if "hung" in parts:
        _hung(lab, agent, memory)
    if "honest" in parts:
        _honest(lab, agent, honest)
    if "renamed" in parts:
        _renamed(lab, agent, memory)
    if "hostile" in parts:
        _check_untouched(lab, hostile, crash)
        hostile.guest.destroy()
        _wait_forgotten(agent, "hostile")
    lab.check(not agent.ended(), "hadumpd has survived all of it")


def _triggered(lab: Lab, agent: Agent, config: GuestConfig) -> tuple[Rescue, int, Seen]:
    """A guest that an admin has made dump, its domain's number before, and its coming back."""
    rescue = Rescue(lab, agent, config)
    _wait_state(agent, config.name, "registered")
    mark, domid = rescue.guest.mark(), rescue.guest.domid()
    agent.host.exec(f"hadump trigger {config.name}")
    return rescue, domid, rescue.wait_back(mark)


def _hung(lab: Lab, agent: Agent, memory: int) -> None:
    rescue, domid, up = _triggered(lab, agent, GuestConfig("hung", memory, on_reboot="restart"))
    guest = rescue.guest
    waits = agent.status("hung")["state"]
    lab.check(waits in ("waiting", "saving"), f"hadump status: {waits}")
    guest.exec("until ls /var/crash/*/.*journal 2>/dev/null; do sleep 0.2; done")
    _in_the_background(guest, "reboot -f")
    up = rescue.wait_back(up.index + 1)
    lab.check(
        agent.status("hung")["dump"]["boots"] == 2,
        "a reboot while a dump waits boots the guest with the dump",
    )
    rescue.wait_saved(up.index)
    lab.check(len(rescue.dumps()) == 1, "hadump trigger made a running guest dump")
    lab.check(guest.domid() == domid, "the domain is the same to this day")
    guest.forget()
    _wait_forgotten(agent, "hung")


def _honest(lab: Lab, agent: Agent, memory: int) -> None:
    config = GuestConfig("honest", memory, on_reboot="restart")
    rescue = Rescue(lab, agent, config)
    guest = rescue.guest
    area = _registered_area(lab, agent, guest)
    had = _domain_mib(guest)
    agent.signal("TERM")
    agent.wait_ended()
    crash = rescue.crash_unseen()
    agent.start()
    up = rescue.wait_back(crash.mark)
    lab.check(True, "a crash while hadumpd did not run is seen to")
    dump = agent.status("honest")["dump"]
    named = (dump["save_area"]["address"], dump["save_area"]["bytes"])
    lab.check(
        dump["mode"] == "registered" and named == (area[0], area[1] - area[0]),
        "the agent has used the save area that the guest had registered",
    )
    lab.check(_domain_mib(guest) == had, f"and has added nothing to its {had} MiB")
    rescue.wait_saved(up.index)
    rescue.compare(crash, rescue.dumps()[-1], area)
    _registered_area(lab, agent, guest)

    domid, mark = guest.domid(), guest.mark()
    _in_the_background(guest, "reboot -f")
    up = guest.wait_up(120, mark)
    guest.wait_for("HADUMP-LAB boot complete", 30, up.index)
    lab.check(guest.domid() != domid, "a reboot after a rescue makes a new domain, as configured")
    lab.check(up.match.group(2) == rescue.before.match.group(2), "with all of its memory")
    _wait_state(agent, "honest", "registered")

    _in_the_background(guest, "poweroff -f")
    wait_until(lambda: not guest.state(), 60, "the domain is gone")
    lab.check(True, "a poweroff after that ends the domain")
    _wait_forgotten(agent, "honest")
    guest.forget()


def _renamed(lab: Lab, agent: Agent, memory: int) -> None:
    config = GuestConfig("renamed", memory, on_reboot="rename-restart", xen_scripts=True)
    rescue, domid, up = _triggered(lab, agent, config)
    guest = rescue.guest
    rescue.wait_saved(up.index)
    mark = guest.mark()
    _in_the_background(guest, "reboot -f")
    up = guest.wait_up(120, mark)
    lab.check(guest.domid() != domid, "a reboot makes a new domain of this name")
    lab.check(up.match.group(2) == rescue.before.match.group(2), "with all of its memory")
    kept = agent.host.exec(f"xl list {domid}").output.splitlines()[-1].split()
    lab.check(kept[0] == f"renamed-{domid}", f"the old one is kept under another name: {kept[0]}")
    lab.check("s" in kept[4], f"and as its reboot has left it: {kept[4]}")
    _wait_state(agent, "renamed", "registered")
    agent.host.exec(f"xl destroy {domid}", timeout=60)
    guest.forget()
    _wait_forgotten(agent, "renamed")


def _hostile(lab: Lab, agent: Agent, memory: int) -> tuple[Rescue, Crash]:
    """Returns the guest in a crash that is one too many."""
    rescue = Rescue(lab, agent, GuestConfig("hostile", memory))
    guest = rescue.guest
    _wait_state(agent, "hostile", "registered")
    _write(guest, NO_NUMBERS)
    _wait_state(agent, "hostile", "watching")  # a registration without numbers
    _write(guest, GARBAGE)
    listed = agent.host.exec("hadump list; hadump status hostile").output
    lab.check(listed.replace("\n", "").isprintable(), "hadump list prints nothing of the guest's")
    crash = rescue.crash()
    _check_left(lab, agent, rescue, crash, "the kernel: ")

    _take_free_memory(lab, agent)
    since = agent.log.mark()
    agent.configure(CONFIG)  # Makes it try again.
    why = "adding .* for the save area"
    agent.log.wait_for(rf"\(hostile\): .*{why}.*retrying in 1 s", 30, since)
    lab.check(agent.status("hostile")["state"] in ("retrying", "booting"), "and goes on trying")
    _check_said(lab, agent, "hostile: ignoring the guest's registration: vmcoreinfo: ")

    _write(guest, OVERLAPS_WINDOW)
    agent.host.exec("xl destroy hog")
    rescue.dump_of(crash)  # The next attempt has its memory.
    _check_said(lab, agent, "registration: save-area: not inside the memory above the window")
    dump = agent.status("hostile")["dump"]
    lab.check(dump["mode"] == "added", "memory was added instead")
    lab.check(len(dump["crashes"]) == 1, "one crash, tried many times, is one crash")

    agent.configure(ONE_CRASH)
    crash = rescue.crash()
    _check_left(lab, agent, rescue, crash, "crashed more than 1 times within 3600 s; its memory")
    guest.unplug_network()  # Its backend is connected: what others broadcast would go into its memory.
    return rescue, crash


def _take_free_memory(lab: Lab, agent: Agent) -> None:
    """Leaves less of the host's memory than a save area needs, in a domain that is not watched."""
    agent.host.exec(
        "free=$(xl info | awk '/^free_memory/ {print $3}')\n"
        "cat >/scratch/hog.cfg <<EOF\n"
        'name="hog"\ntype="pvh"\nvcpus=1\non_crash="destroy"\nmemory=$((free - 128))\n'
        "kernel=\"$(ls /scratch/files/vmlinux-* | head -n 1)\"\nEOF\n"
        "xl create -p /scratch/hog.cfg",
        timeout=60,
    )
    _wait_state(agent, "hog", "ignored")
    refused = agent.host.exec("hadump trigger hog", check=False)
    lab.check(refused.status == 1, f"hadump trigger: {refused.output.strip()}")
    lab.check("c" not in agent.host.exec("xl list hog | awk 'END {print $5}'").output, "it lives")
    refused = agent.host.exec("hadump trigger no-such-guest", check=False)
    lab.check(refused.status == 3, f"hadump trigger: {refused.output.strip()}")


def _check_left(
    lab: Lab, agent: Agent, rescue: Rescue, crash: Crash, why: str, since: int = 0
) -> None:
    name = rescue.guest.config.name
    since = max(since, crash.agent_mark)
    agent.log.wait_for(rf"\({name}\): .*{why}.*leaving it as it is", 30, since)
    lab.check(agent.status(name)["state"] == "failed", f"hadumpd has given up: {why}")
    _check_untouched(lab, rescue, crash)


def _check_untouched(lab: Lab, rescue: Rescue, crash: Crash) -> None:
    guest = rescue.guest
    state = guest.state()
    lab.check("c" in state and "p" not in state, f"{guest.config.name} is as it was found: {state}")
    changed = rescue.changed_since(crash)
    lab.check(not changed, f"no page of it has changed: {[hex(frame) for frame in changed[:9]]}")
    mib = _domain_mib(guest)
    lab.check(mib < guest.config.memory_mib + 16, f"nothing was added: {mib} MiB")


def _registered_area(lab: Lab, agent: Agent, guest: Guest) -> tuple[int, int]:
    """The save area [start, end) in bytes, once the guest has registered one."""
    _wait_state(agent, guest.config.name, "registered")
    base = f"/local/domain/{guest.domid()}/data/hadump"
    mode = guest.host.exec(f"xenstore-read {base}/mode").output.strip()
    lab.check(mode == "registered", f"the guest has registered in mode {mode}")
    area = guest.host.exec(f"xenstore-read {base}/save-area").output
    start, length = (int(text, 16) for text in area.split())
    lab.note(f"save area {start:#x}, {length >> 20} MiB")
    return start, start + length


def _domain_mib(guest: Guest) -> int:
    return int(guest.host.exec(f"xl list {guest.config.name} | awk 'END {{print $3}}'").output)


def _check_said(lab: Lab, agent: Agent, text: str) -> None:
    lab.check(text in agent.log.text(), f"hadumpd said: {text}")


def _write(guest: Guest, keys: dict[str, str]) -> None:
    """What the guest itself could write: it owns these keys, and its module writes nothing now."""
    base = f"/local/domain/{guest.domid()}/data/hadump"
    lines = [f"xenstore-write -- {base}/{key} {shlex.quote(value)}" for key, value in keys.items()]
    guest.host.exec(" && ".join(lines))


def _in_the_background(guest: Guest, command: str) -> None:
    guest.exec(f"(sleep 1; {command}) </dev/null >/dev/null 2>&1 &")


def _wait_state(agent: Agent, name: str, state: str) -> None:
    def there() -> bool:
        listed = agent.host.exec("hadump list").output
        return name in listed and bool(agent.status(name)["state"] == state)

    wait_until(there, 20, f"{name} is {state}")


def _wait_forgotten(agent: Agent, name: str) -> None:
    what = f"{name} is forgotten"
    wait_until(lambda: name not in agent.host.exec("hadump list").output, 20, what)
