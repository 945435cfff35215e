# SPDX-License-Identifier: GPL-2.0-or-later
"""kdump-tools in the same Debian guest: it stays away from hadump's boot, and saves for it when asked.

Parameters: memory (MiB), vcpus, load (MiB), saver=hadump|kdump-tools|both, unguarded=1
(only what happens without the drop-ins).
"""

from pathlib import Path

from hadump_lab import makedumpfile
from hadump_lab.debian_rescue import ZERO_PAGES_TOO, DebianRescue, start
from hadump_lab.rescue import Crash
from hadump_lab.scenario import Lab
from hadump_lab.waiting import Seen

# makedumpfile's package wants all of Perl for a script that nobody needs here.
PACKAGES, PROGRAMS = ("kdump-tools",), (Path("/usr/bin/makedumpfile"),)
DROP_INS = "/usr/lib/systemd/system/kdump*.service.d/hadump.conf"
UNITS = "kdump-tools kdump-tools-dump"
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


def run(lab: Lab) -> None:
    rescue = start(lab, packages=PACKAGES, programs=PROGRAMS)
    rescue.boot(rescue.before.index)
    guest = rescue.guest
    facts = guest.exec(
        f"systemctl is-enabled kdump-tools; systemctl show -P ConditionResult kdump-tools; ls {DROP_INS};"
        " /usr/lib/hadump/hadump-save --check && echo checked"
    )[1].splitlines()
    lab.check(facts[:2] == ["enabled", "yes"], f"kdump-tools starts in an ordinary boot: {facts}")
    lab.check(facts[-1] == "checked", "hadump-save --check has nothing to say")
    guest.exec(ZERO_PAGES_TOO)
    if lab.number("unguarded", 0):
        _unguarded(lab, rescue)
        return
    saver = lab.parameters.get("saver", "both")
    if saver in ("hadump", "both"):
        _saved_by_us(lab, rescue)
    if saver in ("kdump-tools", "both"):
        _saved_by_kdump_config(lab, rescue)


def _unguarded(lab: Lab, rescue: DebianRescue) -> None:
    """Why there are drop-ins."""
    rescue.guest.exec(f"rm {DROP_INS}; sync")
    crash = rescue.crash()
    restart = rescue.guest.wait_for("reboot: Restarting system", 400, crash.mark)
    lab.note(restart.match.group(0))
    rescue.guest.wait_for("reboot: Restarting system", 400, restart.index + 1)
    lab.check(True, "without the drop-ins kdump-tools reboots the system, again and again")


def _crash(lab: Lab, rescue: DebianRescue) -> tuple[Crash, Seen, str]:
    rescue.fill(lab.number("load", 64))
    crash = rescue.crash()
    up = rescue.wait_back(crash.mark)
    boot = rescue.boot(up.index)
    lab.check(boot.state == "running", f"systemd's state is {boot.state}; {boot.failed}")
    return crash, up, rescue.guest.exec(BOOT_ID)[1]


def _saved_by_us(lab: Lab, rescue: DebianRescue) -> None:
    guest = rescue.guest
    crash, up, boot_id = _crash(lab, rescue)
    rescue.wait_saved(up.index)
    (path,) = rescue.dumps()
    rescue.verify(path)
    rescue.compare(crash, path)
    _check_away(lab, rescue, boot_id)
    # As a package's upgrade does, and an admin.
    guest.exec(f"systemctl restart {UNITS}; /etc/init.d/kdump-tools start; sleep 5", check=False)
    _check_away(lab, rescue, boot_id)


def _check_away(lab: Lab, rescue: DebianRescue, boot_id: str) -> None:
    text = rescue.guest.exec(
        f"ls -s /proc/vmcore >/dev/null && echo vmcore; {BOOT_ID};"
        f" for u in {UNITS}; do systemctl show -P ConditionResult -P ActiveState $u | xargs; done;"
        " ls -d /var/crash/2* 2>/dev/null",
        check=False,
    )[1]
    wanted = f"vmcore\n{boot_id}" + "inactive no\n" * 2
    lab.check(text == wanted, f"kdump-tools stays away, and nothing reboots: {text!r}")


def _saved_by_kdump_config(lab: Lab, rescue: DebianRescue) -> None:
    """SAVER=kdump-tools: its file in its directory, all memory back, and no reboot."""
    guest = rescue.guest
    guest.exec(
        "rm -rf /var/crash/*; sed -i s/^SAVER=.*/SAVER=kdump-tools/ /etc/hadump/release-region.conf;"
        # All pages, so that all can be compared.
        " echo 'MAKEDUMP_ARGS=\"-l -d 0\"' >>/etc/default/kdump-tools;"
        " /usr/lib/hadump/hadump-save --check; sync"
    )
    crash, up, boot_id = _crash(lab, rescue)
    shown = guest.exec(
        "while systemctl -q is-active hadump-save; do sleep 2; done;"
        " systemctl show -P Result -P ExecMainStatus hadump-save;"
        " journalctl -u hadump-save -b --no-pager -o short-monotonic --no-hostname",
        timeout=900,
    )[1]
    lab.note(shown)
    lab.check(shown.split("\n")[:2] == ["success", "0"], "the systemd unit has saved the dump")
    rescue.check_whole()
    lab.check(guest.exec(BOOT_ID)[1] == boot_id, "nothing has rebooted")
    files = guest.exec("ls /var/crash/*/dump.* /var/crash/*/vmcore 2>/dev/null", check=False)[1].split()
    lab.check(len(files) == 1, f"the dump is kdump-config's, and the only one: {files}")
    status, text = guest.exec(f"release-region info {files[0]}", timeout=300, check=False)
    lab.note(text)
    lab.check(status == 0, "release-region info reads it, and finds it whole")
    # As the flattened file is made for a pipe.
    guest.exec(f"makedumpfile -R /var/crash/whole <{files[0]}", timeout=300)
    rescue.compare(crash, "/var/crash/whole")
    makedumpfile.check(lab, rescue.vmcore, "sysrq triggered crash")
