# SPDX-License-Identifier: GPL-2.0-or-later
"""libxl hangs in hadumpd while a twin of a domain exists, and hadumpd is killed then.

A domain whose files are ready comes back from a crash all the same; the other one is tried again and
again, with a reason. It hangs once more when the next hadumpd is about to destroy the twin: domains
are looked after all the same. The one after that destroys it, and only it, and brings the other back.

Parameters: memory (MiB, of each of the two).
"""

from dataclasses import replace

from hadump_lab.guest import Guest, GuestConfig
from hadump_lab.host import Host, HostConfig
from hadump_lab.images import STANDARD_KERNEL
from hadump_lab.product import Agent, guest_overlay
from hadump_lab.rescue import SAVE_AREA_MIB
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

OTHER_MIB = 128
OTHER = "hadump-twin-other"  # Like a leftover in all but its UUID.


def run(lab: Lab) -> None:
    memory = lab.number("memory", 384)
    host = lab.host(HostConfig(guests_mib=2 * (memory + SAVE_AREA_MIB) + 2 * OTHER_MIB))
    agent = Agent(host)
    agent.install()
    agent.start()
    config = GuestConfig("ready", memory, disk_gib=0, overlay=guest_overlay(STANDARD_KERNEL))
    ready = host.create_guest(config)
    _wait_boot(ready)
    wait_until(lambda: _tables(host), 30, "the ACPI tables of the first guest are made")
    agent.signal("TERM")
    agent.wait_ended()

    agent.start(hang_at="twin-made")
    # Another number of vCPUs: other tables.
    late = host.create_guest(replace(config, name="late", vcpus=ready.config.vcpus + 1))
    _wait_boot(late)
    wait_until(lambda: len(_twins(host)) == 1, 30, "there is a twin")
    host.exec(
        f"printf 'name=\"{OTHER}\"\\ntype=\"pvh\"\\nmemory=%d\\nkernel=\"%s\"\\n' "
        f"{OTHER_MIB} {late.kernel_path} >other.cfg && xl create -p other.cfg"
    )
    lab.check(ready.wait_up(60, _crash(ready)), "what hangs for one domain is not the other's")

    crash = _crash(late)
    agent.log.wait_for(r"\(late\): no progress for 15 s, before the first step", 20)
    agent.log.wait_for(r"\(late\): the ACPI tables: not ready yet.*retrying in 1 s", 60)
    state = agent.status("late")["state"]
    lab.check(state in ("retrying", "booting"), f"the other one is not given up: {state}")
    lab.check("c" in late.state(), "and as it was found")
    agent.signal("KILL")
    agent.wait_ended()

    since = agent.log.mark()
    agent.start(hang_at="leftovers")
    agent.log.wait_for(r"\(ready\): watching", 30, since)
    lab.check(len(_twins(host)) == 2, "what hangs at the start of hadumpd keeps no domain waiting")
    agent.signal("KILL")
    agent.wait_ended()

    agent.start()
    wait_until(lambda: _twins(host) == [OTHER], 30, "the twins are gone, not others'")
    lab.check(late.wait_up(60, crash), "the next hadumpd has brought it back")
    host.exec(f"xl destroy {OTHER}")


def _wait_boot(guest: Guest) -> None:
    guest.wait_for("HADUMP-LAB boot complete", 60, guest.wait_up().index)


def _crash(guest: Guest) -> int:
    """Returns where on the console what comes after the panic begins."""
    return guest.crash().index + 1


def _tables(host: Host) -> str:
    return host.exec("ls /run/hadump/acpi-*", check=False).output.strip()


def _twins(host: Host) -> list[str]:
    names = host.exec("xl list | awk 'NR > 1 {print $1}'").output.split()
    return [name for name in names if name.startswith("hadump-twin-")]
