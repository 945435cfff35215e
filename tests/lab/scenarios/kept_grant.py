# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain keeps a page mapped that the crashed kernel had granted to it.

The page is the next kernel's memory.  So the guest gets other memory there, with the same content, and what
the other domain writes is nowhere in the guest.  The other domain is dom0 here, and the page is the disk's
ring.

Parameters: memory (MiB).
"""

from hadump_lab.guest import GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.product import Agent
from hadump_lab.rescue import SAVE_AREA_MIB, Rescue
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

GO = "/scratch/hold-grant.go"
OUTPUT = "/scratch/hold-grant.log"


def run(lab: Lab) -> None:
    memory = lab.number("memory", 384)
    host = lab.host(HostConfig(guests_mib=memory + SAVE_AREA_MIB))
    agent = Agent(host)
    agent.install()
    agent.start()
    host.install([lab.program("hold-grant")])
    rescue = Rescue(lab, agent, GuestConfig("granting", memory, vcpus=1))
    domid = rescue.guest.domid()
    ring = f"/local/domain/{domid}/device/vbd/51712/ring-ref"
    reference = host.exec(f"xenstore-read {ring} 2>/dev/null || xenstore-read {ring}0").output.strip()
    host.begin(f"rm -f {GO}; exec hold-grant {domid} {reference} {memory} {GO} >{OUTPUT} 2>&1")
    wait_until(lambda: "mapped" in _said(rescue), 20, "dom0 has mapped the ring")

    crash = rescue.crash()
    up = rescue.wait_back(crash.mark)
    agent.log.wait_for(
        r"domain 0 still maps 1 pages .*the guest has other memory there now", 10, crash.agent_mark
    )
    lab.check(True, "hadumpd says that dom0 has kept a page, and that the guest has another")
    host.exec(f"touch {GO}")
    wait_until(lambda: "found" in _said(rescue), 60, "dom0 has written to it")
    lab.check("found 0" in _said(rescue), f"what dom0 writes there is not in the guest: {_said(rescue)}")
    rescue.wait_saved(up.index)
    rescue.compare(crash, rescue.dumps()[-1])
    lab.check(not agent.ended(), "hadumpd goes on")


def _said(rescue: Rescue) -> str:
    return rescue.guest.host.exec(f"cat {OUTPUT}", check=False).output.strip()
