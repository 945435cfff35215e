# SPDX-License-Identifier: GPL-2.0-or-later
"""The module in a guest on real Xen, with a made-up dump: released memory and the balloon.

A PVH guest lists its own memory as type 6, a test module fills in the save area and gives some frames
back to Xen. Then blocks are released, and the balloon driver's accounts are looked at. Two guests, one
after the other: for both ways to keep holes out of the balloon.

Parameters: kernel (release, a regular expression), way=kprobe|populate (only this one).
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hadump_lab.guest import Guest, GuestConfig
from hadump_lab.host import Host, HostConfig
from hadump_lab.overlay import Overlay, stripped
from hadump_lab.scenario import Lab

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "guest"))

from plain_guest import Dump, newest_module  # noqa: E402

BLOCK_KIB = 128 << 10
HOLES = 257  # 1 MiB at the start of a block, and a single frame in its middle.
HOLES_KIB = HOLES * 4
DUMP = Dump(
    boot_regions=((0, 0x10000),), holes=((0x10000000, 0x10100000), (0x14000000, 0x14001000))
)
BALLOON = "/sys/devices/system/xen_memory/xen_memory0"


@dataclass(frozen=True)
class Accounts:
    """KiB, as the guest's kernel has them."""

    total: int
    target: int
    current: int
    ballooned: int


class Check:
    """Facts, each with a line."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def __call__(self, good: bool, text: str) -> None:
        self._lab.check(good, text)

    def same(self, wanted: object, got: object, text: str) -> None:
        """One exact value."""
        self(wanted == got, text if wanted == got else f"{text}: wanted {wanted}, got {got}")


def accounts(guest: Guest) -> Accounts:
    """What MemTotal and the balloon driver say now."""
    _, text = guest.exec(
        f"sed -n 's/^MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo;"
        f" cat {BALLOON}/target_kb {BALLOON}/info/current_kb {BALLOON}/info/low_kb"
    )
    return Accounts(*map(int, text.split()))


def wait_total(guest: Guest, wanted: int) -> Accounts:
    """The populate way takes the balloon thread a few seconds."""
    for _ in range(30):
        now = accounts(guest)
        if now.total >= wanted and now.target == now.current:
            break
        guest.exec("sleep 1")
    return now


def release(guest: Guest, start: int, length: int) -> None:
    guest.exec(f"echo {start:#x} {length:#x} > /sys/kernel/release_region")


def keys(host: Host, guest: Guest) -> dict[str, str]:
    """data/hadump as dom0 sees it."""
    text = host.exec(f"xenstore-ls /local/domain/{guest.domid()}/data/hadump", check=False).output
    return dict(re.findall(r'^(\S+) = "(.*)"$', text, re.MULTILINE))


def set_target(host: Host, guest: Guest, kib: int) -> None:
    host.exec(f"xenstore-write /local/domain/{guest.domid()}/memory/target {kib}")
    guest.exec("sleep 2")


def claims(guest: Guest) -> dict[str, str]:
    """The outermost entries of /proc/iomem: "start-end" and the name."""
    text = guest.exec("cat /proc/iomem")[1]
    return dict(re.findall(r"^([0-9a-f]+-[0-9a-f]+) : (.*)$", text, re.MULTILINE))


def check_claims(guest: Guest, check: Check) -> None:
    """Nobody else can have what is held: every block has an entry of ours, and it is busy."""
    now = claims(guest)
    ours = {where: name for where, name in now.items() if name.startswith("hadump ")}
    blocks = range(0x10000000, 0x30000000, 0x8000000)
    wanted = {f"{start:08x}-{start + 0x7FFFFFF:08x}": "hadump held" for start in blocks}
    wanted["30000000-37ffffff"] = "hadump save area"
    check.same(wanted, ours, "every held block and the save area are claimed")
    check("Unknown E820 type" not in now.values(), "no entry of the memory map is left over them")
    # Pages at the edges and within; the hole, too, which is where Xen's drivers look for room. The
    # module that played the agent has done its work, and comes again as a driver.
    guest.exec("rmmod poke", check=False)
    for address in (0x10000000, 0x17FFF000, 0x2FFFF000, 0x30000000, 0x37FFF000):
        error = guest.exec(f"insmod /root/poke.ko request={address:#x} 2>&1", check=False)[1]
        check("busy" in error, f"a driver that asks for {address:#x} is refused: {error.strip()}")


def check_cleared(guest: Guest, check: Check, populate: bool) -> None:
    """What has gone to Xen by now, of memory that was full of old contents, was zeros."""
    parameters = "/sys/module/poke/parameters"
    given, dirty = map(int, guest.exec(f"cat {parameters}/given {parameters}/dirty")[1].split())
    # All of two blocks but the holes, or as many frames as there are holes at the start of one.
    wanted = 2 * BLOCK_KIB // 4 - HOLES if populate else HOLES - 1
    check.same(wanted, given, "frames that went to Xen")
    check.same(0, dirty, "and none of them had anything left in it")


def check_blocks(host: Host, guest: Guest, check: Check, populate: bool) -> None:
    """Two blocks come back, one of them with holes; then the toolstack fills the holes."""
    before = accounts(guest)
    waiting = keys(host, guest)
    check.same("waiting", waiting.get("state"), "xenstore says that a dump waits")
    check.same(str((512 << 20) - HOLES * 4096), waiting.get("mem-held"), "and how much is held")

    release(guest, 0x18000000, 0x8000000)
    now = wait_total(guest, before.total + BLOCK_KIB)
    check.same(before.total + BLOCK_KIB, now.total, "all of a block without holes comes back")
    check.same((before.target, before.current, 0), (now.target, now.current, now.ballooned),
               "the balloon does not know of it")  # fmt: skip
    release(guest, 0x10000000, 0x8000000)
    full = before.total + 2 * BLOCK_KIB
    now = wait_total(guest, full - HOLES_KIB)
    check.same(full - HOLES_KIB, now.total, "a block with holes comes back without them")
    check.same(HOLES_KIB, now.ballooned, "the holes are in the balloon")
    check_cleared(guest, check, populate)
    check.same((before.target - HOLES_KIB, now.target), (now.current, now.current),
               "and it neither grows nor shrinks")  # fmt: skip
    guest.exec("sleep 2")
    check.same("saving", keys(host, guest).get("state"), "xenstore says that it is being saved")

    static_max = 1024 << 10
    set_target(host, guest, static_max - HOLES_KIB)
    check.same(now, accounts(guest), "the toolstack's target from before the crash fits")
    set_target(host, guest, static_max)
    now = accounts(guest)
    check.same((full, 0), (now.total, now.ballooned), "a higher target populates the holes")
    if not populate:
        check_again(guest, check, now)


def check_again(guest: Guest, check: Check, now: Accounts) -> None:
    """A block that goes offline and online again does not end in the balloon."""
    block = "/sys/devices/system/memory/memory3"
    guest.exec(f"echo offline > {block}/state")
    check.same(now.total - BLOCK_KIB, accounts(guest).total, "a released block can go offline")
    guest.exec(f"echo online > {block}/state")
    check.same(now, accounts(guest), "and online again")


def check_end(host: Host, guest: Guest, check: Check) -> None:
    """The rest, the save area, and the agent's answers."""
    release(guest, 0x20000000, 0x10000000)
    release(guest, 0x30000000, 0x8000000)
    guest.exec("sleep 2")
    check.same("done", keys(host, guest).get("state"), "xenstore says that the dump is over")
    claimed = guest.exec("grep -c 'hadump save area' /proc/iomem", check=False)[1].strip()
    check.same("1", claimed, "the save area stays claimed until the agent has it")

    agent = f"/local/domain/{guest.domid()}/hadump"
    host.exec(f"xenstore-write {agent}/version 1 {agent}/window 268435456 {agent}/mode registered"
              f" {agent}/reserve 67108864 {agent}/state save-area-returned;"
              f" xenstore-chmod -r {agent} n0 r{guest.domid()}")  # fmt: skip
    guest.exec("sleep 3")
    now = keys(host, guest)
    check.same("registered", now.get("state"), "the guest is registered again")
    claimed = guest.exec("grep -c 'hadump save area' /proc/iomem", check=False)[1].strip()
    check.same("0", claimed, "and has let go of the save area")
    start, length = (int(text, 16) for text in now.get("save-area", "0 0").split())
    check(start >= 256 << 20 and start % (2 << 20) == 0 and length == 64 << 20,
          f"it has reserved {length >> 20} MiB at {start:#x}, as the agent asked")  # fmt: skip
    guest.exec("echo 0 > /sys/kernel/hadump/registered")
    check.same({}, keys(host, guest), "unregistering removes every key")
    guest.exec("echo 1 > /sys/kernel/hadump/registered")
    check.same("registered", keys(host, guest).get("state"), "and registering brings them back")


def check_way(host: Host, release_name: str, overlay: Overlay, check: Check, populate: bool) -> None:
    """One guest, from its claims to the end of its dump."""
    guest = host.create_guest(
        GuestConfig("populate" if populate else "kprobe", 1024, kernel=f"linux-image-{release_name}",
                    disk_gib=0, network=False, overlay=overlay,
                    cmdline="memmap=0x28000000%0x10000000-1+6")
    )  # fmt: skip
    guest.wait_up(180)
    guest.exec(
        "cd /root; echo online > /sys/devices/system/memory/auto_online_blocks;"
        " insmod poke.ko file=save.bin address=0x30000000 hole=0x10000000 hole_frames=256;"
        " rmmod poke; insmod poke.ko hole=0x14000000 hole_frames=1;"
        f" insmod hadump.ko node=0x30001000 populate={int(populate)}; sleep 2"
    )
    check_claims(guest, check)
    guest.exec("insmod /root/poke.ko watch=0x10000000 watch_bytes=0x20000000")
    check_blocks(host, guest, check, populate)
    check_end(host, guest, check)
    guest.forget()


def run(lab: Lab) -> None:
    module = newest_module(
        lab.build / "guest" / "module", lab.parameters.get("kernel", r"6\.1\.0-\d+-amd64")
    )
    release_name = module.parent.name
    dump = lab.directory / "dump"
    dump.mkdir()
    command = [lab.program("make_dump_node"), *DUMP.arguments(), "--output", str(dump)]
    subprocess.run(command, check=True)
    overlay = Overlay()
    overlay.file("root/save.bin", (dump / "save.bin").read_bytes())
    overlay.file("root/hadump.ko", stripped(module))
    poke = lab.build / "tests" / "guest" / "poke" / release_name / "poke.ko"
    overlay.file("root/poke.ko", stripped(poke))
    host = lab.host(HostConfig(guests_mib=1100))
    ways = (lab.parameters["way"],) if "way" in lab.parameters else ("kprobe", "populate")
    for way in ways:
        lab.note("with a kprobe" if way == "kprobe" else "without a kprobe")
        check_way(host, release_name, overlay, Check(lab), way == "populate")
