# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose command line asks for huge pages comes back in a window that is too small for them.

Parameters: memory, load (MiB), pages (of 2 MiB; with 64 they would be half of the window), sysctl=1 (an early
boot script asks for them, as procps does where systemd does not run).
"""

from hadump_lab.guest import Guest, GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.overlay import Overlay
from hadump_lab.product import Agent
from hadump_lab.rescue import SAVE_AREA_MIB, Rescue
from hadump_lab.scenario import Lab

# What the lab's init has in place of hadump-memory.service.
EARLY = "/usr/lib/hadump/hadump-memory early\n"
RESTORE = "/usr/lib/hadump/hadump-memory restore\n"
# Before anything is given back.
LOOK = """[ -e /sys/kernel/release_region ] || exit 0
echo "in the window: $(grep HugePages_Total /proc/meminfo)" >/dev/console
"""


class _Configured(Rescue):
    """Boots with what sets its huge pages when all memory is back."""

    def overlay(self) -> Overlay:
        return super().overlay().script("40-look", LOOK).script("60-hadump-memory", RESTORE)


class _BySysctl(_Configured):
    """What asks for them comes after /etc/init.d/hadump-window."""

    def overlay(self) -> Overlay:
        wish = f"echo {self.lab.number('pages', 64)} >/proc/sys/vm/nr_hugepages\n"
        return super().overlay().script("20-window", EARLY).script("30-sysctl", wish)


def run(lab: Lab) -> None:
    memory = lab.number("memory", 768)
    pages = lab.number("pages", 64)
    host = lab.host(HostConfig(guests_mib=memory + SAVE_AREA_MIB))
    agent = Agent(host)
    agent.install()
    agent.start()
    by_sysctl = "sysctl" in lab.parameters
    cmdline = "" if by_sysctl else f"hugepages={pages} cma=16M"
    kind = _BySysctl if by_sysctl else _Configured
    rescue = kind(lab, agent, GuestConfig("huge", memory, cmdline=cmdline))
    guest = rescue.guest
    lab.check(_pages(guest) == pages, f"the kernel has {pages} huge pages")
    rescue.fill(lab.number("load", 60))

    crash = rescue.crash()
    up = rescue.wait_back(crash.mark)
    looked = guest.wait_for(r"in the window: HugePages_Total: *(\d+)", 60, up.index)
    lab.check(looked.match.group(1) == "0", "none of them is taken out of the window")
    saved = rescue.wait_saved(up.index)
    rescue.compare(crash, rescue.dumps()[-1])

    done = guest.wait_for(r"HADUMP-LAB done \S*hadump-memory\S* status=(\d+)", 60, saved.index)
    lab.check(done.match.group(1) == "0", "what was held back is back")
    lab.check(_pages(guest) == pages, f"the kernel has {pages} huge pages again")
    if by_sysctl:
        mounts = guest.exec("grep -c /proc/sys /proc/mounts || :")[1].strip()
        lab.check(mounts == "0", "nothing is mounted over the settings any more")
        return
    said = guest.console(up.index)
    lab.check(f"huge pages of 2048 kB: {pages}" in said, "the log says so")
    lab.check("not before the next reboot: cma" in said, "and what does not come back")
    held = guest.exec("grep -o 'hadump.held=[^ ]*' /proc/cmdline")[1].strip()
    lab.check(held == f"hadump.held=hugepages={pages};cma", f"it was told by {held}")
    unknown = guest.exec("dmesg | grep -c 'unknown parameter' || :")[1].strip()
    lab.check(unknown == "0", "which the module takes for its own")


def _pages(guest: Guest) -> int:
    return int(guest.exec("awk '/^HugePages_Total/{print $2}' /proc/meminfo")[1])
