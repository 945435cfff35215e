"""What hadumpd does for a domain besides booting it: trigger, reboot, poweroff, refusals, limits.

The first guest is an honest one, the second writes garbage into every key that hadumpd reads.
Parameters: memory (MiB), part=honest|hostile (default: both).
"""

import shlex

from hadump_lab.guest import Guest, GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.product import Agent
from hadump_lab.rescue import SAVE_AREA_MIB, Rescue
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

CONFIG = "[default]\nmax-crashes = 100\n[domain hostile]\n"
NO_KERNEL = CONFIG + "kernel = /work/there-is-no-such-kernel\n"
ONE_CRASH = CONFIG + "max-crashes = 1\n"

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
    "save-area": "over there", "state": "", "dump-id": "", "mem-held": "1e99", "progress": "",
}  # fmt: skip
# Inside the window, where the next kernel is loaded to.
OVERLAPS_WINDOW = {
    "version": "1", "vmcoreinfo": "0x1000 0x10", "page-offset": "0xffff888000000000",
    "mode": "registered", "save-area": "0x1000000 0x8000000", "state": "registered",
    "dump-id": "0" * 32, "mem-held": "18446744073709551615", "progress": "x",
}  # fmt: skip


def run(lab: Lab) -> None:
    memory = lab.number("memory", 512)
    host = lab.host(HostConfig(guests_mib=memory + SAVE_AREA_MIB))
    agent = Agent(host, config=NO_KERNEL)
    agent.install()
    agent.start()
    part = lab.parameters.get("part")
    if part != "hostile":
        _honest(lab, agent, memory)
    if part != "honest":
        _hostile(lab, agent, memory)


def _honest(lab: Lab, agent: Agent, memory: int) -> None:
    rescue = Rescue(lab, agent, GuestConfig("honest", memory, on_reboot="restart"))
    guest = rescue.guest
    mark = guest.mark()
    agent.host.exec("hadump trigger honest")
    up = rescue.wait_back(mark)
    rescue.wait_saved(up.index)
    lab.check(len(rescue.dumps()) == 1, "hadump trigger made a running guest dump")
    refused = agent.host.exec("hadump trigger no-such-guest", check=False)
    lab.check(refused.status != 0, "hadump trigger refuses what does not exist")

    _wait_list_state(agent, "honest", "registered")
    domid, mark = guest.domid(), guest.mark()
    _in_the_background(guest, "/sbin/reboot")
    up = guest.wait_up(120, mark)
    guest.wait_for("HADUMP-LAB boot complete", 30, up.index)
    lab.check(guest.domid() != domid, "a reboot after a rescue makes a new domain, as configured")
    lab.check(up.match.group(2) == rescue.before.match.group(2), "with all of its memory")
    _wait_list_state(agent, "honest", "registered")
    rescue.dump_of(rescue.crash())
    lab.check(len(rescue.dumps()) == 2, "a crash of the new domain is seen to, too")

    _in_the_background(guest, "/sbin/poweroff")
    wait_until(lambda: not guest.state(), 60, "the domain is gone")
    lab.check(True, "a poweroff after a rescue ends the domain")
    wait_until(lambda: "honest" not in agent.host.exec("hadump list").output, 20, "it is forgotten")
    guest.forget()


def _hostile(lab: Lab, agent: Agent, memory: int) -> None:
    rescue = Rescue(lab, agent, GuestConfig("hostile", memory))
    guest = rescue.guest
    _write(agent, guest, GARBAGE)
    crash = rescue.crash()
    _check_left(lab, agent, guest, "the kernel: ")
    _configure(agent, CONFIG)
    rescue.dump_of(crash)
    _check_said(lab, agent, "hostile: ignoring the guest's registration: vmcoreinfo: ")

    _write(agent, guest, OVERLAPS_WINDOW)
    rescue.dump_of(rescue.crash())
    _check_said(lab, agent, "registration: save-area: not inside the memory above the window")
    lab.check(agent.status("hostile")["dump"]["mode"] == "added", "memory was added instead")

    _configure(agent, ONE_CRASH)
    _write(agent, guest, NO_NUMBERS)
    rescue.crash()
    _check_left(lab, agent, guest, "crashed more than 1 times")
    guest.destroy()
    wait_until(lambda: "hostile" not in agent.host.exec("hadump list").output, 20, "forgotten")
    lab.check(not agent.ended(), "hadumpd has survived all of it")


def _check_left(lab: Lab, agent: Agent, guest: Guest, why: str) -> None:
    name = guest.config.name
    agent.log.wait_for(rf"\({name}\): .*{why}.*leav(e|ing) it as it is", 30)
    state = guest.state()
    lab.check("c" in state and "p" not in state, f"left as found, {state}: {why}")
    lab.check(agent.status(name)["state"] == "failed", "and hadump list says so")
    mib = agent.host.exec(f"xl list {name} | awk 'END {{print $3}}'").output.strip()
    lab.check(int(mib) < guest.config.memory_mib + 16, f"nothing was added: {mib} MiB")


def _check_said(lab: Lab, agent: Agent, text: str) -> None:
    lab.check(text in agent.log.text(), f"hadumpd said: {text}")


def _configure(agent: Agent, text: str) -> None:
    agent.host.exec(f"cat >/etc/hadump/hadumpd.conf <<'EOF'\n{text}\nEOF")
    since = agent.log.mark()
    agent.signal("HUP")
    agent.log.wait_for("configuration read again", 60, since)


def _write(agent: Agent, guest: Guest, keys: dict[str, str]) -> None:
    """What the guest itself could write: it owns these keys."""
    if "c" not in guest.state():
        _wait_list_state(agent, guest.config.name, "registered")  # Its module writes nothing now.
    base = f"/local/domain/{guest.domid()}/data/hadump"
    lines = [f"xenstore-write -- {base}/{key} {shlex.quote(value)}" for key, value in keys.items()]
    guest.host.exec(" && ".join(lines))


def _in_the_background(guest: Guest, command: str) -> None:
    guest.exec(f"(sleep 1; {command}) </dev/null >/dev/null 2>&1 &")


def _wait_list_state(agent: Agent, name: str, state: str) -> None:
    wait_until(lambda: bool(agent.status(name)["state"] == state), 20, f"{name} is {state}")
