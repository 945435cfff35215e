# SPDX-License-Identifier: GPL-2.0-or-later
"""A real Debian guest: systemd, its own initramfs, the product as "cmake --install" leaves it.

Parameters: memory (MiB), vcpus, load (MiB), initramfs=initramfs-tools|dracut, crashes=2|1 (the second
dump is saved by the init.d script), kernel (a package; the cloud flavour has a quarter of the
standard one's modules, and indexing them takes time under emulation).
"""

from hadump_lab.debian_rescue import ZERO_PAGES_TOO, Boot, DebianRescue, start
from hadump_lab.scenario import Lab

# dom0 has one CPU here, and its backends would offer one queue: nothing to lose.
OFFER_QUEUES = (
    "for m in blkback netback; do echo 4 >/sys/module/xen_$m/parameters/max_queues; done"
)
INIT_SCRIPT = "/etc/init.d/hadump-save"


def run(lab: Lab) -> None:
    rescue = start(lab, prepare=OFFER_QUEUES)
    normal = rescue.boot(rescue.before.index)
    _check_normal_boot(lab, rescue, normal)
    _saved_by_systemd(lab, rescue, normal)
    if lab.number("crashes", 2) > 1:
        _saved_by_init_script(lab, rescue)


def _check_normal_boot(lab: Lab, rescue: DebianRescue, normal: Boot) -> None:
    lab.check(normal.state == "running", f"systemd's state is {normal.state}; {normal.failed}")
    status, text = rescue.guest.exec(
        f"cat /sys/kernel/hadump/registered; systemctl is-enabled hadump-save;"
        f" systemctl show -P ConditionResult hadump-save; {INIT_SCRIPT} start; {INIT_SCRIPT} status",
        check=False,
    )
    lab.check(text.split("\n")[:2] == ["1", "enabled"], "registered, and the unit is enabled")
    lab.check(text.split("\n")[2] == "no", "without a dump the unit does nothing")
    lab.check(
        text.split("\n")[3:] == ["not running", ""] and status == 3, "nor does the init script"
    )
    rescue.guest.exec(ZERO_PAGES_TOO)
    _check_measured(lab, rescue)


def _check_measured(lab: Lab, rescue: DebianRescue) -> None:
    """The service has measured the end of the boot, or has found that the initramfs took more."""
    result, kib = rescue.guest.exec(
        "while systemctl -q is-active hadump-boot-memory; do sleep 1; done;"
        " systemctl show -P Result hadump-boot-memory; cat /sys/kernel/hadump/boot_memory",
        timeout=120,
    )[1].split()
    lab.check(result == "success", f"the boot's memory is measured: {kib} KiB")
    window = rescue.agent.status(rescue.guest.config.name)["window"]
    lab.check("its boot took" in window["why"], f"hadumpd goes by it: {window}")


def _saved_by_systemd(lab: Lab, rescue: DebianRescue, normal: Boot) -> None:
    rescue.fill(lab.number("load", 128))
    crash = rescue.crash()
    up = rescue.wait_back(crash.mark)
    lab.note(up.match.group(0))
    boot = rescue.boot(up.index)
    lab.check(boot.state == "running", f"systemd's state is {boot.state}; {boot.failed}")
    _check_first_module(lab, boot)
    lab.check(boot.queues == normal.queues, f"queues as before: {boot.queues.split()}")
    rescue.wait_saved(up.index)
    (path,) = rescue.dumps()
    rescue.verify(path)
    rescue.compare(crash, path)
    lab.check("0% packet loss" in rescue.guest.exec("ping -c 2 10.99.0.1")[1], "the network is back")


def _saved_by_init_script(lab: Lab, rescue: DebianRescue) -> None:
    guest = rescue.guest
    guest.exec("systemctl disable hadump-save")
    rescue.fill(lab.number("load", 128))
    crash = rescue.crash()
    up = rescue.wait_back(crash.mark)
    rescue.boot(up.index)
    held = guest.exec("cat /sys/kernel/hadump/mem_held")[1]
    lab.check(int(held) > 0, "a dump waits, and nobody saves it")
    text = guest.exec(
        f"{INIT_SCRIPT} start; {INIT_SCRIPT} status; {INIT_SCRIPT} start;"
        f" {INIT_SCRIPT} stop; {INIT_SCRIPT} status",
        timeout=120, check=False,
    )[1]  # fmt: skip
    lab.note(text)
    said = ["saving the crashed", "running", "hadump-save is already running", "not running"]
    lab.check(
        all(line.startswith(word) for line, word in zip(text.splitlines(), said, strict=True)),
        "the init script starts, knows that it runs, and stops",
    )
    log = guest.exec(
        f"{INIT_SCRIPT} start; while {INIT_SCRIPT} status >/dev/null; do sleep 2; done;"
        " cat /var/log/hadump-save.log",
        timeout=600,
    )[1]
    lab.note(log)
    rescue.check_whole()
    path = rescue.dumps()[-1]
    rescue.verify(path)
    rescue.compare(crash, path)


def _check_first_module(lab: Lab, boot: Boot) -> None:
    """hadump.ko must be there before any driver, so before the root file system's disk."""
    lines = boot.loaded.splitlines()
    lab.note(boot.loaded)
    first = next((i for i, line in enumerate(lines) if "a dump waits" in line), None)
    disk = next((i for i, line in enumerate(lines) if "EXT4-fs" in line), None)
    lab.check(
        first is not None and disk is not None and first < disk,
        "the initramfs loaded the module before the root was mounted",
    )
