# SPDX-License-Identifier: GPL-2.0-or-later
"""What an administrator does with xl while a dump waits, or while hadumpd is at work on a crash.

Each operation ends well or is refused; the dump is whole in the end. What takes longer than a crash
run is done in the middle of one whose hadumpd was killed; the next hadumpd must cope with it.

Parameters: memory (MiB).
"""

from hadump_lab.guest import GuestConfig
from hadump_lab.host import Host, HostConfig
from hadump_lab.product import Agent
from hadump_lab.rescue import SAVE_AREA_MIB, SETTINGS, Crash, Rescue
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

NAME = "ops"
SAVED = "/scratch/ops.saved"
# hadump-save starts nothing with it, so the dump waits.
NO_ROOM = "MIN_FREE_MB=99999999"
SLACK_KIB = 8 << 10
# To the same host: nothing but the two ends of a pipe, where ssh would be.
MIGRATE = f"xl migrate -s '' {NAME} 'xl migrate-receive'"


def run(lab: Lab) -> None:
    memory = lab.number("memory", 448)
    host = lab.host(HostConfig(guests_mib=2 * memory + SAVE_AREA_MIB))
    agent = Agent(host, config="[default]\nmax-crashes = 100\n")
    agent.install()
    agent.start()
    rescue = _guest(lab, agent, memory)
    rescue.guest.exec("sync")
    crash = _hung(lab, rescue)
    _mem_set(lab, rescue, memory)
    _pause(lab, rescue)
    _rename(lab, rescue)
    _save(lab, rescue)
    _fails(lab, rescue, MIGRATE)
    _still_waits(lab, rescue)
    _ends(lab, rescue, crash, memory)
    _save_and_restore(lab, rescue)
    _migrate(lab, rescue)
    _after_the_snapshot(lab, rescue, memory)
    _after_the_reset(lab, rescue)
    _during_a_crash_run(lab, rescue)
    _destroyed_unseen(lab, _guest(lab, agent, memory))
    lab.check(not agent.ended(), "hadumpd goes on")


def _guest(lab: Lab, agent: Agent, memory: int) -> Rescue:
    config = GuestConfig(NAME, memory, vcpus=1)
    rescue = Rescue(lab, agent, config, f"{SETTINGS}{NO_ROOM}\n")
    _wait_state(agent, "registered")
    return rescue


def _hung(lab: Lab, rescue: Rescue) -> Crash:
    """A shutdown that the kernel has not taken any more is not the next kernel's."""
    rescue.agent.signal("STOP")
    crash = rescue.crash_unseen()
    base = f"/local/domain/{rescue.guest.domid()}/control"
    rescue.guest.host.exec(f"xenstore-write {base}/shutdown poweroff {base}/sysrq b")
    rescue.agent.signal("CONT")
    up = rescue.wait_back(crash.mark)
    rescue.guest.wait_for("HADUMP-LAB boot complete", 60, up.index)
    boots = rescue.agent.status(NAME)["dump"]["boots"]
    lab.check(boots == 1, f"xl shutdown and sysrq of a guest that hung are not the next one's: {boots}")
    return crash


def _mem_total(rescue: Rescue) -> int:
    return int(rescue.guest.exec("awk '/^MemTotal/{print $2}' /proc/meminfo")[1])


def _target_kib(host: Host, name: str) -> int:
    return int(host.exec(f"xenstore-read /local/domain/$(xl domid {name})/memory/target").output)


def _mem_set(lab: Lab, rescue: Rescue, memory: int) -> None:
    host = rescue.guest.host
    had = _mem_total(rescue)
    since = rescue.agent.log.mark()
    host.exec(f"xl mem-set {NAME} {memory - 100}m")
    rescue.agent.log.wait_for("its memory size was changed while a dump waits in it", 20, since)
    # xl sets the limit and then the target: what hadumpd has undone may be the first only.
    wait_until(lambda: _target_kib(host, NAME) == memory << 10, 20, "xl mem-set is undone")
    lab.check(True, "xl mem-set: its target is as before")

    def window_is_back() -> bool:
        return _mem_total(rescue) >= had - SLACK_KIB

    wait_until(window_is_back, 40, lambda: f"its window is as before: {_mem_total(rescue)} of {had}")
    lab.check(True, f"and the window of {had} KiB is whole")


def _pause(lab: Lab, rescue: Rescue) -> None:
    host = rescue.guest.host
    host.exec(f"xl pause {NAME}")
    lab.check("p" in rescue.guest.state(), "xl pause pauses it")
    state = rescue.agent.status(NAME)["state"]
    lab.check(state in ("waiting", "saving"), f"and its dump waits: {state}")
    host.exec(f"xl unpause {NAME}")
    rescue.guest.exec("true")


def _rename(lab: Lab, rescue: Rescue) -> None:
    host = rescue.guest.host
    host.exec(f"xl rename {NAME} other")
    wait_until(lambda: "other" in host.exec("hadump list").output, 20, "the new name is listed")
    state = rescue.agent.status("other")["state"]
    lab.check(state in ("waiting", "saving"), f"xl rename: under its new name it is {state}")
    host.exec(f"xl rename other {NAME}")
    wait_until(lambda: NAME in host.exec("hadump list").output, 20, "the old name is listed")


def _fails(lab: Lab, rescue: Rescue, command: str) -> None:
    """What would take the domain away from this host fails, and leaves nothing behind."""
    host = rescue.guest.host
    domid, mark = rescue.guest.domid(), rescue.guest.mark()
    done = host.exec(command, check=False, timeout=240)
    what = " ".join(command.split()[:2])
    lab.note(f"{command}: {done.output.strip()[-2000:]}")
    lab.check(done.status != 0, f"{what} is refused")
    lab.check(rescue.guest.domid() == domid, "the domain is still there")
    lab.check("Kernel panic" not in rescue.guest.console(mark), "and has not crashed")
    lab.check("--incoming" not in host.exec("xl list").output, "and no copy of it")
    host.exec(f"rm -f {SAVED}")


def _save(lab: Lab, rescue: Rescue) -> None:
    """While a dump waits its kernel refuses it."""
    _fails(lab, rescue, f"xl save {NAME} {SAVED}")
    said = rescue.guest.exec("dmesg | grep 'hadump: not suspending: a dump waits'", check=False)[1]
    lab.check(said.strip(), f"its kernel says why: {said.strip()}")
    _still_waits(lab, rescue)


def _still_waits(lab: Lab, rescue: Rescue) -> None:
    rescue.guest.exec("true")
    lab.check(True, "its kernel goes on")
    state = rescue.agent.status(NAME)["state"]
    lab.check(state in ("waiting", "saving"), f"and its dump waits: {state}")


def _saves(rescue: Rescue) -> None:
    """Now there is room for the dump."""
    rescue.guest.exec(
        f"sed -i /{NO_ROOM}/d /etc/hadump/release-region.conf && /usr/lib/hadump/hadump-save",
        timeout=300,
    )


def _whole(rescue: Rescue, crash: Crash) -> None:
    """The guest is back from a crash, its dump is saved, and every page of it is right."""
    rescue.wait_back(crash.mark)
    _saves(rescue)
    rescue.compare(crash, rescue.dumps()[-1])


def _wish_takes_effect(lab: Lab, host: Host, memory: int) -> None:
    wish = (memory - 100) << 10
    wait_until(lambda: _target_kib(host, NAME) == wish, 20, "xl mem-set takes effect")
    lab.check(True, "when the dump is over, the target is what xl mem-set has asked for")
    host.exec(f"xl mem-set {NAME} {memory}m")


def _ends(lab: Lab, rescue: Rescue, crash: Crash, memory: int) -> None:
    """The dump is whole, and what was asked for in the meantime takes effect."""
    _saves(rescue)
    rescue.compare(crash, rescue.dumps()[-1])
    _wish_takes_effect(lab, rescue.guest.host, memory)
    _wait_state(rescue.agent, "registered")


def _save_and_restore(lab: Lab, rescue: Rescue) -> None:
    """Without a dump nothing is refused, and a restored guest registers again."""
    host = rescue.guest.host
    host.exec(f"xl save {NAME} {SAVED}", timeout=300)
    wait_until(lambda: NAME not in host.exec("hadump list").output, 20, "it is forgotten")
    host.exec(f"xl restore {SAVED} && rm {SAVED}", timeout=300)
    _wait_state(rescue.agent, "registered")
    rescue.guest.exec("true")
    lab.check(True, "a guest that was saved and restored registers again")


def _migrate(lab: Lab, rescue: Rescue) -> None:
    """The same of a migration: for a moment there are two domains of one UUID."""
    domid = rescue.guest.domid()
    # The console's log is named when it is opened, and the new domain has another name then.
    log = "/share/console/guest-" + NAME
    rescue.guest.host.exec(f"ln -s {log}.log {log}--incoming.log && {MIGRATE}", timeout=300)
    lab.check(rescue.guest.domid() != domid, "without a dump xl migrate works")
    _wait_state(rescue.agent, "registered")
    rescue.guest.exec("true")
    lab.check(rescue.agent.status(NAME)["domid"] != domid, "and the guest registers again")


def _killed_at(rescue: Rescue, step: str) -> Crash:
    """A crash whose run ends with hadumpd after a step."""
    agent = rescue.agent
    agent.signal("TERM")
    agent.wait_ended()
    agent.start(kill_at=step)
    crash = rescue.crash()
    agent.wait_ended()
    return crash


def _after_the_snapshot(lab: Lab, rescue: Rescue, memory: int) -> None:
    """The domain is the crashed one still, and paused."""
    host, agent = rescue.guest.host, rescue.agent
    crash = _killed_at(rescue, "snapshot-complete")
    _fails(lab, rescue, f"xl save {NAME} {SAVED}")
    host.exec(f"xl pause {NAME} && xl mem-set {NAME} {memory - 100}m && xl rename {NAME} other")
    agent.start()
    rescue.wait_back(crash.mark)
    lab.check("p" not in host.exec("xl list other").output.splitlines()[-1].split()[4],
              "xl pause in a crash run ends with it")  # fmt: skip
    wait_until(lambda: "other" in host.exec("hadump list").output, 20, "the new name is listed")
    wait_until(lambda: agent.status("other")["state"] == "waiting", 20, "its dump waits")
    lab.check(_target_kib(host, "other") == memory << 10, "xl mem-set waits for the dump's end")
    host.exec(f"xl rename other {NAME}")
    _whole(rescue, crash)
    _wish_takes_effect(lab, host, memory)
    _wait_state(agent, "registered")


def _after_the_reset(lab: Lab, rescue: Rescue) -> None:
    """The domain is paused, and neither the old kernel's nor the new one's."""
    crash = _killed_at(rescue, "loaded")
    _fails(lab, rescue, MIGRATE)
    rescue.agent.start()
    _whole(rescue, crash)
    _wait_state(rescue.agent, "registered")


def _destroyed_unseen(lab: Lab, rescue: Rescue) -> None:
    """xl destroy in the middle of a crash run, while no hadumpd runs."""
    host, agent = rescue.guest.host, rescue.agent
    _killed_at(rescue, "reconnected")
    host.exec(f"xl destroy {NAME}", timeout=60)
    agent.start()
    lab.check(NAME not in host.exec("hadump list").output, "the next hadumpd does not look for it")
    wait_until(lambda: NAME not in host.exec("cat /var/lib/hadump/* 2>/dev/null", check=False).output,
               20, "and its record goes")  # fmt: skip
    rescue.guest.forget()


def _during_a_crash_run(lab: Lab, rescue: Rescue) -> None:
    """While hadumpd is at work on it: one save, then a crash that ends in xl destroy."""
    host, agent = rescue.guest.host, rescue.agent
    since = agent.log.mark()
    mark = rescue.guest.crash().index + 1
    agent.log.wait_for(rf"\({NAME}\): crashed", 30, since)
    saved = host.exec(f"xl save {NAME} {SAVED}", check=False, timeout=180)
    lab.check(saved.status != 0, f"xl save during a crash run fails: {saved.output.strip()[-120:]}")
    rescue.wait_back(mark)
    _wait_state(agent, "waiting")

    since = agent.log.mark()
    rescue.guest.crash()
    agent.log.wait_for(rf"\({NAME}\): boot 1 in the window crashed", 30, since)
    host.exec(f"xl destroy {NAME}", timeout=60)
    wait_until(lambda: NAME not in host.exec("hadump list").output, 60, "it is forgotten")
    lab.check(True, "xl destroy during a crash run ends it")
    rescue.guest.forget()


def _wait_state(agent: Agent, state: str) -> None:
    def there() -> bool:
        listed = agent.host.exec("hadump list").output
        return NAME in listed and bool(agent.status(NAME)["state"] == state)

    wait_until(there, 40, f"{NAME} is {state}")
