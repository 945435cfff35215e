# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest without disk and network sends files to its host.

What arrives equals what was sent; two arrive at once; a file that is cut off (the guest destroyed,
hadumpd killed, the quota used up) never has its final name; nothing is left of the guest in the end.

Parameters: memory (MiB), part=ends (only what cuts a stream off).
"""

from hadump_lab.guest import Guest, GuestConfig
from hadump_lab.host import Host, HostConfig
from hadump_lab.overlay import Overlay
from hadump_lab.product import Agent
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

NAME = "sender"
DIRECTORY = "/scratch/streams"
FILES = f"{DIRECTORY}/{NAME}"
CONFIG = f"""[domain {NAME}]
stream = yes
stream-max-size = 24M
[streams]
directory = {DIRECTORY}
keep-free = 64M
"""
SEND = "release-region send --to"
USAGE, FULL = 2, 4  # Exit statuses.
RANDOM_MIB = 8
SMALL_MIB = 2
# Sends a little, and then holds its end open. Not a pipeline: the shell would wait for the sleep.
SLOW = (
    "rm -f /run/fifo; mkfifo /run/fifo; (cat /run/small; exec sleep 600) >/run/fifo &"
    f" {SEND} host:slow </run/fifo >/run/slow.log 2>&1; echo $? >/run/slow.rc"
)


def run(lab: Lab) -> None:
    memory = lab.number("memory", 384)
    host = lab.host(HostConfig(guests_mib=memory))
    agent = Agent(host, config=CONFIG)
    agent.install()
    agent.start()
    overlay = Overlay().program(lab.program("release-region"))
    guest = host.create_guest(
        GuestConfig(NAME, memory, disk_gib=0, network=False, overlay=overlay)
    )
    up = guest.wait_up(90)
    guest.wait_for("HADUMP-LAB boot complete", 60, up.index)
    _without_devices(lab, guest)
    guest.exec("modprobe -a xen-gntalloc xen-gntdev xen-evtchn")
    guest.exec(
        "mkdir -p /run;"
        f"dd if=/dev/urandom of=/run/big bs=1M count={RANDOM_MIB} 2>/dev/null;"
        f"dd if=/dev/urandom of=/run/small bs=1M count={SMALL_MIB} 2>/dev/null"
    )
    if lab.parameters.get("part") != "ends":
        _one(lab, guest)
        _two_at_once(lab, guest)
        _refused(lab, agent, guest)
    _garbage(lab, agent, guest)
    _hadumpd_killed(lab, agent, guest)
    _guest_destroyed(lab, agent, guest)


def _files(host: Host) -> list[str]:
    return sorted(host.exec(f"ls {FILES}").output.split())


def _sum(text: str) -> str:
    return text.split()[0]


def _same(lab: Lab, guest: Guest, sent: str, name: str) -> None:
    theirs = _sum(guest.exec(f"sha256sum {sent}")[1])
    ours = _sum(guest.host.exec(f"sha256sum {FILES}/{name}").output)
    lab.check(ours == theirs, f"{name} equals what was sent: {ours[:16]}")


def _without_devices(lab: Lab, guest: Guest) -> None:
    status, said = guest.exec(f"echo x | {SEND} host:", check=False)
    lab.check(status == 1 and "modprobe -a" in said, f"without devices: {said.strip()}")


def _one(lab: Lab, guest: Guest) -> None:
    said = guest.exec(f"{SEND} host:vmcore.flat </run/big 2>&1", timeout=120)[1]
    lab.note(said)
    _same(lab, guest, "/run/big", "vmcore.flat")
    facts = guest.host.exec(f"stat -c '%a %U %s' {FILES}/vmcore.flat {FILES} {DIRECTORY}").output
    lab.note(facts)
    lines = facts.splitlines()
    lab.check(lines[0] == f"600 root {RANDOM_MIB << 20}", "its mode is 0600")
    lab.check(all(line.startswith("700 root") for line in lines[1:]), "its directories' is 0700")


def _two_at_once(lab: Lab, guest: Guest) -> None:
    both = f"{SEND} host:one </run/small & {SEND} host:two </run/big & wait"
    said = guest.exec(both, timeout=120)[1]
    lab.check("as one" in said and "as two" in said, "two at once")
    _same(lab, guest, "/run/small", "one")
    _same(lab, guest, "/run/big", "two")


def _refused(lab: Lab, agent: Agent, guest: Guest) -> None:
    before = _files(guest.host)
    for name in ("../escape", "a/b", ".hidden", "x-incomplete"):
        status = guest.exec(f"{SEND} host:{name} </run/small", check=False)[0]
        lab.check(status == USAGE, f"the name {name} is refused")
    status, said = guest.exec(f"{SEND} host:one </run/small", check=False)
    lab.check(status == 1 and "already" in said, f"a file that is there stays: {said.strip()}")
    since = agent.log.mark()
    status, said = guest.exec(f"{SEND} host:more </run/big", timeout=120, check=False)
    lab.check(status == FULL and "stream-max-size" in said, f"the quota: {said.strip()}")
    agent.log.wait_for("stream failed: this guest has", 60, since)
    lab.check(_files(guest.host) == before, "and nothing is left of it")


def _garbage(lab: Lab, agent: Agent, guest: Guest) -> None:
    """Rings that are not there."""
    since = agent.log.mark()
    base = f"/local/domain/{guest.domid()}/data/hadump/stream/2"
    guest.host.exec(
        f"xenstore-write {base}/ring-ref 4000000000 {base}/event-channel 99999999 {base}/id 00112233445566aa"
    )
    agent.log.wait_for("stream failed: mapping the ring", 60, since)
    guest.host.exec(f"xenstore-rm {base}")
    lab.check(not agent.ended(), "a ring that is not there is one failed stream")


def _begin_slow(guest: Guest) -> None:
    guest.exec(f"rm -f /run/slow.rc; ({SLOW}) </dev/null >/dev/null 2>&1 &")
    wait_until(lambda: "slow-incomplete" in _files(guest.host), 90, "the stream has begun")


def _hadumpd_killed(lab: Lab, agent: Agent, guest: Guest) -> None:
    _begin_slow(guest)
    wait_until(
        lambda: guest.host.exec("hadump list; hadump status").output.count(f"{FILES}/slow") > 1,
        30, "hadump shows the stream",
    )  # fmt: skip
    lab.note(guest.host.exec("hadump list; hadump status").output)
    agent.signal("KILL")
    agent.wait_ended()
    wait_until(
        lambda: guest.exec("cat /run/slow.rc", check=False)[1].strip() == "1",
        90, "the sender has ended",
    )  # fmt: skip
    said = guest.exec("cat /run/slow.log")[1]
    lab.check("the host has closed the stream" in said, f"and says why: {said.strip()}")
    lab.check("slow-incomplete" in _files(guest.host), "the file says that it is incomplete")
    agent.start()
    guest.exec(f"{SEND} host:after </run/small", timeout=120)
    _same(lab, guest, "/run/small", "after")


def _guest_destroyed(lab: Lab, agent: Agent, guest: Guest) -> None:
    host = guest.host
    host.exec(f"rm {FILES}/*")
    _begin_slow(guest)
    since = agent.log.mark()
    guest.destroy()
    line = agent.log.wait_for("stream failed: [^\n]*", 60, since)
    lab.check(True, f"destroyed in the middle: {line.match.group(0)}")
    lab.check(_files(host) == [], "what was not acknowledged is removed")
    wait_until(
        lambda: host.exec("xl list | grep -vc Name").output.strip() == "1",
        20, "no ring of it stays mapped: the domain is gone",
    )  # fmt: skip
    lab.check(not agent.ended(), "hadumpd goes on")
