# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain keeps pages mapped that a guest had granted to it, over the guest's crash.

The next kernel has other memory there: what that domain writes reaches neither it nor the dump, and
hadumpd names the domain. When it has let go, nothing is left.

Parameters: memory (MiB), pages.
"""

from hadump_lab.guest import GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.overlay import Overlay
from hadump_lab.product import Agent
from hadump_lab.rescue import SAVE_AREA_MIB, Rescue
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

NAME = "granting"
HELD = "/scratch/hold.log"


class _Granting(Rescue):
    def overlay(self) -> Overlay:
        return super().overlay().program(self.lab.program("lab-grant"), "usr/sbin/lab-grant")


def run(lab: Lab) -> None:
    pages = lab.number("pages", 40)
    memory = lab.number("memory", 384)
    host = lab.host(HostConfig(guests_mib=memory + SAVE_AREA_MIB))
    agent = Agent(host)
    agent.install()
    host.install([lab.program("lab-hold")])
    agent.start()
    rescue = _Granting(lab, agent, GuestConfig(NAME, memory, vcpus=1))
    guest = rescue.guest
    guest.exec("modprobe xen-gntalloc && mkdir -p /run")
    guest.exec(f"setsid lab-grant 0 {pages} >/run/grants 2>&1 </dev/null &")
    wait_until(
        lambda: "grants:" in guest.exec("cat /run/grants")[1], 20,
        lambda: f"the guest grants pages: {guest.exec('cat /run/grants')[1]}",
    )  # fmt: skip
    references = guest.exec("sed -n 's/^grants: //p' /run/grants")[1].strip()
    host.exec(f"(setsid lab-hold {guest.domid()} {references} >{HELD} 2>&1 </dev/null &)")
    wait_until(lambda: host.exec(f"cat {HELD}").output.strip() == "holds", 20, "dom0 maps them")

    crash = rescue.crash()
    up = rescue.wait_back(crash.mark)
    said = agent.log.wait_for(r"still mapped, by domain 0 \((\d+) pages", 5, crash.agent_mark)
    named = said.match.group(0)
    lab.check(said.match.group(1) == str(pages), f"hadumpd names who maps what: {named}")
    host.exec("kill -USR1 $(pidof lab-hold)")
    wait_until(lambda: "wrote" in host.exec(f"cat {HELD}").output, 10, "dom0 has written to them")
    rescue.wait_saved(up.index)
    rescue.compare(crash, rescue.dumps()[-1])
    lab.check(True, "what was written is in none of the pages of the dump")
    host.exec("kill $(pidof lab-hold)")
    again = rescue.crash()
    rescue.dump_of(again)
    quiet = "still mapped" not in agent.log.text(again.agent_mark)
    lab.check(quiet, "after it has let go, a crash is as any other")
