# SPDX-License-Identifier: GPL-2.0-or-later
"""on-crash = capture: nobody asks for anything, and the guest has none of our programs.

It crashes; another domain takes its place while its memory is written.  Then it crashes until the limit:
the domain is kept.

Parameters: memory, mode=alias|copy|auto.
"""

from hadump_lab import makedumpfile
from hadump_lab.guest import GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.product import Agent
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

NAME = "plain"
TARGET = "/scratch/dumps"
PANIC = "Kernel panic - not syncing: sysrq triggered crash"


def run(lab: Lab) -> None:
    memory = lab.number("memory", 384)
    mode = lab.parameters.get("mode", "auto")
    host = lab.host(HostConfig(guests_mib=2 * memory))
    host.exec(f"mkdir -m 700 -p {TARGET}")
    config = (
        f"[default]\non-crash = capture\ncapture-to = {TARGET}/\ncapture-mode = {mode}\nmax-crashes = 1\n"
    )
    agent = Agent(host, config=config)
    agent.install()
    agent.start()
    guest = host.create_guest(GuestConfig(NAME, memory))
    before = guest.wait_up(90)
    guest.wait_for("HADUMP-LAB boot complete", 30, before.index)
    wait_until(lambda: agent.status(NAME)["state"] == "watching", 20, "hadumpd watches it")
    domid = guest.domid()
    since = guest.mark()
    crash = guest.crash()
    up = guest.wait_up(180, since)
    lab.report["panic_to_userspace_s"] = round(up.time - crash.time, 1)
    lab.note(f"panic to userspace: {lab.report['panic_to_userspace_s']} s")
    guest.wait_for("HADUMP-LAB boot complete", 30, up.index)
    lab.check(guest.domid() != domid, "another domain has taken its place")

    def capture() -> dict[str, object]:
        found: dict[str, object] = agent.status(NAME)["captures"][-1]
        return found

    wait_until(lambda: capture()["state"] in ("written", "failed"), 200, "its capture has ended")
    done = capture()
    lab.note(host.exec("hadump list").output)
    lab.check(done["state"] == "written" and done["complete"], f"it is written: {done['error']}")
    lab.check(done["panic"] == PANIC, f"and says why it died: {done['panic']}")
    expected = "copy" if mode == "copy" else "alias"
    lab.check(done["mode"] == expected, f"in the mode {expected}")
    local = lab.directory / "vmcore"
    host.get(str(done["file"]), local)
    makedumpfile.check(lab, local, PANIC)

    guest.crash()
    wait_until(lambda: agent.status(NAME)["state"] == "failed", 60, "after one more it is kept")
    lab.check(len(agent.status(NAME)["captures"]) == 1, "and not captured again")
    guest.forget()
    names = [line.split()[0] for line in host.exec("xl list").output.splitlines()[1:]]
    lab.check(names == ["Domain-0"], f"no domain is left over: {names}")
