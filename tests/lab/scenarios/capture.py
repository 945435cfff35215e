# SPDX-License-Identifier: GPL-2.0-or-later
"""A crashed guest's memory is written to a file in dom0: every page equals the truth.

The guest has none of our programs and no module: what is needed is found in its memory.  It is created
anew when its memory is safe, with its disk as it was, and nothing is left over.

With mode=alias the new domain runs while the old one's memory is written, and gets that memory as it
is given back; a third domain finds nothing of it.

Parameters: memory, load (MiB), vcpus, mode=copy|alias, format=kdump|elf, level (what else is captured,
filtered), pages=1 (and once more, some listed pages), kill=1 (hadumpd is killed at each step of the
capture, and while it writes), free (MiB that the host has besides the guest), mount=1 (and is mounted
and read meanwhile), leaks=1 (afterwards a new domain gets all free memory and looks for anything of the
old one), qdisk=1 (a QEMU in dom0 serves the disk), kind=pv|hvm (an HVM guest has a device model; its
kernel says that it has crashed only when its command line wants that).
"""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from hadump_lab import leaks, load, makedumpfile, notes, truth
from hadump_lab.guest import Guest, GuestConfig
from hadump_lab.host import Host, HostConfig
from hadump_lab.overlay import Overlay
from hadump_lab.product import Agent
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

# It leaves a crashed domain as it is at once, for the admin to decide.
CONFIG = "[default]\nmax-crashes = 0\n"
CONFIG_OF_OTHERS = CONFIG + "on-crash = capture\n"  # What is not booted in place is ignored otherwise.
NAME = "captured"
TARGET = "/scratch/captures"
MARK = "written before the crash"
PANIC = "Kernel panic - not syncing: sysrq triggered crash"
SIGKILL_STATUS = 128 + 9
NO_SUCH_DOMAIN = 3  # hadump(8), exit status
DIRECT_MAP = 0xFFFF888000000000
LISTED = range(0x1000, 0x1010)  # Frames of the kernel's text.
MANY_FRAMES = 2000
LIVE = "/mnt/live"
HOST_FREE_MIB = 600  # Of a host without any memory for guests.


def run(lab: Lab) -> None:
    memory = lab.number("memory", 512)
    host = lab.host(HostConfig(guests_mib=memory + lab.number("free", 728) - HOST_FREE_MIB))
    host.exec(f"mkdir -m 700 -p {TARGET}")
    kind = lab.parameters.get("kind", "pvh")
    agent = Agent(host, config=CONFIG if kind == "pvh" else CONFIG_OF_OTHERS)
    agent.install()
    agent.start()
    guest = host.create_guest(
        GuestConfig(
            NAME, memory, vcpus=lab.number("vcpus", 2), qdisk="qdisk" in lab.parameters,
            kind=kind, xen_scripts=True, cmdline="xen_legacy_crash" if kind == "hvm" else "",
            overlay=load.with_load(Overlay(), lab.program("lab-load")),
        )
    )  # fmt: skip
    before = guest.wait_up(200 if kind == "hvm" else 90)
    guest.wait_for("HADUMP-LAB boot complete", 30, before.index)
    load.start(guest, lab.number("load", memory // 8))
    guest.exec(f"echo '{MARK}' >/var/crash/mark; sync")
    if "leaks" in lab.parameters:
        leaks.prepare(guest)
    free = _free_memory(host)
    domid = guest.domid()

    guest.crash()
    guest.wait_state("c")
    taken = truth.take(guest, lab.program("take-truth"), lab.directory / "truth")
    registers = truth.registers(guest, lab.program("take-registers"))
    wait_until(lambda: _state(agent) == "failed", 20, "hadumpd leaves the domain as it is")
    if "level" in lab.parameters:
        _capture_filtered(lab, agent, taken)
    if "pages" in lab.parameters:
        _capture_listed(lab, agent, taken)
    if kind == "pv":
        _capture_for_crash(lab, agent, taken)
    mark = guest.mark()
    if _mode(lab) == "alias":
        capture = _alias(lab, agent, guest, mark, taken)
    else:
        capture = (_capture_killed if "kill" in lab.parameters else _capture)(lab, agent)

    after = guest.wait_up(200 if kind == "hvm" else 120, mark)
    guest.wait_for("HADUMP-LAB boot complete", 30, after.index)
    lab.check(guest.domid() != domid, "another domain has taken its place")
    lab.check(after.match.group(3) == before.match.group(3), "with its CPUs")
    full = int(before.match.group(2))
    wait_until(lambda: _mem_total(guest) >= full, 60, f"and with its memory, {full} KiB")
    lab.check(abs(_free_memory(host) - free) <= 2, f"the host has as much as before, {free} MiB")
    lab.check(guest.exec("cat /var/crash/mark")[1].strip() == MARK, "and with its disk")
    reached = guest.exec("ping -c 2 10.99.0.1 | grep -c ' 0% packet loss'")[1]
    lab.check(reached.strip() == "1", "and with its network")
    _check_dump(lab, host, capture, taken, registers)
    host.exec(f"hadump discard {capture['name']}")
    gone = host.exec(f"test ! -e {Path(capture['file']).parent}", check=False).status == 0
    lab.check(gone, "hadump discard deletes its files")
    _check_nothing_left(lab, agent, guest, domid)


def _mode(lab: Lab) -> str:
    return lab.parameters.get("mode", "copy")


def _free_memory(host: Host) -> int:
    return int(host.exec("xl info free_memory").output)


def _mem_total(guest: Guest) -> int:
    return int(guest.exec("awk '/^MemTotal/ { print $2 }' /proc/meminfo")[1])


def _command(lab: Lab, *more: str) -> str:
    words = ["hadump capture", NAME, f"--mode {_mode(lab)}", "--compress lzo"]
    words += [f"--format {lab.parameters.get('format', 'kdump')}", *more]
    return " ".join(words)


def _state(agent: Agent) -> str:
    return str(agent.status(NAME)["state"])


def _capture_now(agent: Agent) -> dict[str, Any]:
    """The newest capture."""
    found: dict[str, Any] = agent.status(NAME)["captures"][-1]
    return found


def _capture(lab: Lab, agent: Agent) -> dict[str, Any]:
    """All pages, and the domain is started anew."""
    words = _command(lab, f"--to {TARGET}/", "--dump-level 0", "--restart", "--follow")
    job = agent.host.begin(words)
    wait_until(lambda: _state(agent) == "capturing", 20, "hadump list shows the capture")
    status = _capture_now(agent)
    lab.check(status["state"] in ("examining", "writing"), f"it is {status['state']}")
    result = wait_until(lambda: agent.host.finished(job), 300, "the capture has ended")
    lab.note(result.output)
    lab.check(result.status == 0, "hadump capture --follow says that it has succeeded")
    lab.check("MiB written" in result.output, "and has shown how far it was")
    done = _capture_now(agent)
    lab.check(done["state"] == "written" and done["complete"], "it is written and complete")
    lab.check(done["panic"] == PANIC, f"hadump status says why it died: {done['panic']}")
    lab.report = {"capture": done, "capture_s": (done["ended_ms"] - done["begun_ms"]) / 1000}
    lab.note(agent.host.exec("hadump list; hadump status").output)
    return done


def _capture_filtered(lab: Lab, agent: Agent, taken: truth.Truth) -> None:
    """A small dump of the same crash before: what the guest's struct pages call free is not in it."""
    level = lab.parameters["level"]
    target = f"{TARGET}/filtered"
    words = _command(lab, f"--to {target}", f"--dump-level {level}", "--follow")
    agent.host.exec(words, timeout=300)
    done = _capture_now(agent)
    lab.check(done["state"] == "written", f"level {level}: {done['file_bytes'] >> 10} KiB")
    wait_until(lambda: _state(agent) == "captured", 20, "the domain stays as it is")
    text = json.loads(agent.host.exec(f"cat {done['metadata']}").output)
    left_out = text["trailer"]["frames_left_out"]
    lab.check(left_out * 2 > taken.present, f"{left_out} of {taken.present} frames are left out")
    seconds = (done["ended_ms"] - done["begun_ms"]) / 1000
    lab.note(f"level {level} took {seconds} s")
    local = lab.directory / "filtered"
    agent.host.get(target, local)
    found = truth.compare(taken, local, lab.program("compare-dump"))
    lab.check(not found.different, f"what is in it equals the truth: {found.counts}")


def _capture_listed(lab: Lab, agent: Agent, taken: truth.Truth) -> None:
    """Sixteen pages of the direct map, which is where it is without KASLR, and their page tables."""
    target = f"{TARGET}/listed"
    agent.host.exec(f"echo '{DIRECT_MAP + LISTED[0] * 4096:#x} {len(LISTED)}' >{TARGET}/list")
    agent.host.exec(_command(lab, f"--to {target}", f"--pages {TARGET}/list", "--follow"), timeout=300)
    done = _capture_now(agent)
    lab.check(done["complete"], f"the listed pages: {done['memory_bytes'] >> 12} frames")
    text = json.loads(agent.host.exec(f"cat {done['metadata']}").output)
    lab.check(text["header"]["pages"] == {"asked": len(LISTED), "unmapped": 0}, "all are mapped")
    local = lab.directory / "listed"
    agent.host.get(target, local)
    found = truth.compare(taken, local, lab.program("compare-dump"))
    lab.check(not found.different, f"what is in it equals the truth: {found.counts}")
    lab.check(len(LISTED) < found.equal < MANY_FRAMES, "and is what was listed, and the log")
    log = agent.host.exec(f"cat {target}-dmesg.txt").output
    lab.check(PANIC in log, "which shows the panic")


def _capture_for_crash(lab: Lab, agent: Agent, taken: truth.Truth) -> None:
    """In the form that crash wants of a PV guest; without the free pages, which are holes in it."""
    target = f"{TARGET}/for-crash"
    words = f"hadump capture {NAME} --mode copy --format xen --dump-level 16 --to {target} --follow"
    agent.host.exec(words, timeout=300)
    lab.check(_capture_now(agent)["complete"], "a domain's core, for crash")
    core, local = lab.directory / "core", lab.directory / "converted"
    agent.host.get(target, core)
    tool = lab.program("release-region")
    subprocess.run([tool, "convert", core, local, "--progress", "none"], check=True, capture_output=True)
    core.unlink()
    found = truth.compare(taken, local, lab.program("compare-dump"))
    lab.check(not found.different and found.equal > MANY_FRAMES, f"equals the truth: {found.counts}")


def _capture_killed(lab: Lab, agent: Agent) -> dict[str, Any]:
    """The same, with a hadumpd that does not live long."""
    words = _command(lab, f"--to {TARGET}/", "--dump-level 0", "--restart")
    _start_to_be_killed(agent, "capture-examining")
    agent.host.exec(words, check=False)
    _check_killed(lab, agent, "capture-examining")
    agent.start(kill_at="capture-writing")
    _check_killed(lab, agent, "capture-writing")
    agent.start()
    # Some of it is durable then, and continued in place.
    wait_until(lambda: _capture_now(agent).get("done_bytes", 0) > 200 << 20, 120, "it writes")
    agent.signal("KILL")
    agent.wait_ended()
    agent.start(kill_at="capture-written")
    _check_killed(lab, agent, "capture-written")
    agent.start()
    done = _capture_now(agent)
    lab.check(done["state"] == "written" and done["complete"], "it is written and complete")
    return done


def _alias(
    lab: Lab, agent: Agent, guest: Guest, mark: int, taken: truth.Truth
) -> dict[str, Any]:
    """The new domain is up, and its memory grows, while the old one's is written."""
    live = ""
    words = _command(lab, f"--to {TARGET}/", "--dump-level 0")
    if "kill" in lab.parameters:
        for step in ("capture-examining", "capture-leaving"):
            if not agent.ended():
                agent.signal("TERM")
                agent.wait_ended()
            agent.start(kill_at=step)
            agent.host.exec(words if step == "capture-examining" else "true", check=False)
            _check_killed(lab, agent, step)
        agent.start(kill_at="capture-writing")
        _check_killed(lab, agent, "capture-writing")
        agent.start()
        wait_until(lambda: _capture_now(agent).get("given_back_bytes", 0) > 0, 200, "it gives back")
        agent.signal("KILL")
        agent.wait_ended()
        agent.start(kill_at="capture-written")
        _check_killed(lab, agent, "capture-written")
        agent.start()
    else:
        agent.host.exec(words)
        if "mount" in lab.parameters:
            live = _mount_meanwhile(lab, agent, taken)
        up = guest.wait_up(120, mark)
        now = _capture_now(agent)
        lab.note(f"when the new domain is up, {up.match.group(2)} KiB: {now}")
        ping = agent.host.exec(f"ping -c 1 -W 5 {guest.address}", check=False)
        lab.check(ping.status == 0, "the new domain answers")
        lab.check("crash" not in agent.host.exec("hadump list").output, "nothing is down")
    wait_until(lambda: _capture_now(agent)["state"] in ("written", "failed"), 400, "it has ended")
    done = _capture_now(agent)
    lab.note(agent.host.exec("hadump list").output)
    lab.check(done["state"] == "written" and done["complete"], f"it is written: {done['error']}")
    lab.check(done["panic"] == PANIC, f"hadump status says why it died: {done['panic']}")
    given = done["given_back_bytes"]
    lab.check(given > 0.9 * done["memory_bytes"], f"{given >> 20} MiB were given back as it was written")
    if "leaks" in lab.parameters:
        leaks.check(lab, agent.host)
    if live:
        again = agent.host.exec(f"md5sum <{LIVE}/vmcore; umount {LIVE}", timeout=300).output.split()[0]
        lab.check(again == live, "what was mounted meanwhile is still the same, from the file alone")
    return done


def _mount_meanwhile(lab: Lab, agent: Agent, taken: truth.Truth) -> str:
    """Reads all of it while it goes from the domain to the file. Returns the MD5 of what was read."""
    agent.host.exec(f"mkdir -p {LIVE} && modprobe fuse")
    words = f"hadump mount {_capture_now(agent)['name']} {LIVE}"
    wait_until(lambda: agent.host.exec(words, check=False).status == 0, 60, words)
    begun = _capture_now(agent)
    lab.check(begun["state"] in ("leaving", "writing"), "it is mounted before it is written")
    local = lab.directory / "live"
    agent.host.get(f"{LIVE}/vmcore", local)
    ended = _capture_now(agent)
    lab.note(f"given back: {[now['given_back_bytes'] >> 20 for now in (begun, ended)]} MiB")
    truth.compare(taken, local, lab.program("compare-dump")).expect_equal()
    lab.check(True, "every page that was read meanwhile equals the truth")
    with open(local, "rb") as file:
        digest = hashlib.file_digest(file, "md5").hexdigest()
    local.unlink()
    return digest


def _start_to_be_killed(agent: Agent, step: str) -> None:
    agent.signal("TERM")
    agent.wait_ended()
    agent.start(kill_at=step)


def _check_killed(lab: Lab, agent: Agent, step: str) -> None:
    agent.wait_ended(300)
    result = agent.host.finished(agent.job or "")
    lab.check(result and result.status == SIGKILL_STATUS, f"hadumpd was killed at {step}")


def _check_dump(
    lab: Lab,
    host: Host,
    capture: dict[str, Any],
    taken: truth.Truth,
    registers: list[list[int] | None],
) -> None:
    local = lab.directory / "vmcore"
    host.get(capture["file"], local)
    lab.note(f"the dump has {local.stat().st_size >> 20} MiB")
    found = truth.compare(taken, local, lab.program("compare-dump"))
    lab.note(f"{found.frames} frames: {found.counts}")
    found.expect_equal()
    lab.check(found.equal + len(found.explained) == taken.present, found.verdict())
    noted = notes.registers(local)
    lab.check(len(noted) == len(registers), f"a CPU note for each of {len(registers)} vCPUs")
    wrong = [cpu for cpu, one in enumerate(registers) if one is not None and noted[cpu] != one]
    lab.check(not wrong, f"with the registers that Xen has of it{wrong or ''}")
    makedumpfile.check(lab, local, PANIC)
    _check_mounted(lab, host, capture, taken)
    _check_files(lab, host, Path(capture["file"]).parent)


def _check_mounted(lab: Lab, host: Host, capture: dict[str, Any], taken: truth.Truth) -> None:
    """The same as files in a directory, whatever its format."""
    host.exec(f"mkdir -p /mnt/dump && modprobe fuse; hadump mount {capture['name']} /mnt/dump")
    lab.check(host.exec("ls /mnt/dump").output.split() == ["dmesg.txt", "metadata.json", "vmcore"],
              "hadump mount shows it as files")  # fmt: skip
    lab.check(PANIC in host.exec("cat /mnt/dump/dmesg.txt").output, "with the log")
    local = lab.directory / "mounted"
    host.get("/mnt/dump/vmcore", local)
    host.exec("umount /mnt/dump")
    truth.compare(taken, local, lab.program("compare-dump")).expect_equal()
    lab.check(True, "and every page equals the truth")


def _check_files(lab: Lab, host: Host, directory: Path) -> None:
    listing = host.exec(f"cd {directory} && stat -c '%n %a' * .[!.]* 2>/dev/null | sort").output
    expected = ["dmesg.txt 600", "metadata.json 600", "vmcore 600"]
    lab.check(listing.split("\n")[:-1] == expected, f"the files are {listing.split()}")
    log = host.exec(f"cat {directory}/dmesg.txt").output
    lab.check(PANIC in log, "the kernel log that was saved shows the panic")
    text = json.loads(host.exec(f"cat {directory}/metadata.json").output)
    lab.check(text["header"]["panic"] == PANIC, "the metadata says why it died")
    lab.check(text["trailer"]["complete"], "and that the dump is whole")


def _check_nothing_left(lab: Lab, agent: Agent, guest: Guest, domid: int) -> None:
    domains = agent.host.exec("xl list").output.splitlines()[1:]
    names = sorted(line.split()[0] for line in domains)
    lab.check(names == ["Domain-0", NAME], f"no domain is left over: {names}")
    paths = agent.host.exec(f"xenstore-ls -f /local/domain/0/backend | grep -c '/{domid}/'", check=False)
    lab.check(paths.output.strip() == "0", "nor a backend of the old one")
    state = agent.host.exec(
        "find /var/lib/hadump/captures -type f; find /var/lib/hadump/domains -name '*.successor'",
        check=False,
    ).output.split()
    lab.check(not state, f"nor a file of hadumpd's own: {state}")
    wait_until(lambda: _state(agent) == "watching", 20, "hadumpd looks after the new domain")
    guest.forget()

    def is_unknown() -> bool:
        result = agent.host.exec(f"hadump status {NAME}", check=False)
        return result.status == NO_SUCH_DOMAIN or "gone" in result.output  # with other captures

    wait_until(is_unknown, 20, "hadumpd knows that the domain is gone")
