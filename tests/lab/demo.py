# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job on an emulated Xen host, told as a story.  Started by ./demo, which sets things up."""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from hadump_lab import dump_facts, load, memory_map, post_mortem, report_page, truth  # noqa: E402
from hadump_lab.errors import CheckFailed, LabError  # noqa: E402
from hadump_lab.guest import Guest, GuestConfig  # noqa: E402
from hadump_lab.host import Host, HostConfig  # noqa: E402
from hadump_lab.images import STANDARD_KERNEL  # noqa: E402
from hadump_lab.product import Agent, build_dir, guest_overlay, program  # noqa: E402
from hadump_lab.report_drawings import STEPS  # noqa: E402

SCHEMA = "hadump-demo-report-1"
SAVE_AREA_MIB = 640  # Added at a crash: window, tails, and what describes them.
SETTINGS = "FORMAT=kdump\nCOMPRESS=lzo\nDUMP_LEVEL=0\nPORTION=128M\n"
LOG_LINES = 18
LOG_LINES_READ = 400  # An oops before the panic may print much.
# The agent's step that ends the snapshot's reading back; what follows is the boot.
FIRST_STEP_OF_BOOT = "check"
RELEASE_REGION = "userspace/release_region/release-region"


@dataclass
class Account:
    """What happened, as it is found out; to_json() is docs/spec/demo-report.md."""

    guest: dict[str, Any] = field(default_factory=dict)
    timeline: list[tuple[str, float]] = field(default_factory=list)
    agent: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    pages: dict[str, Any] = field(default_factory=dict)
    memory_kib: dict[str, int] = field(default_factory=dict)
    dump: dict[str, Any] = field(default_factory=dict)
    kernel_log_tail: list[str] = field(default_factory=list)
    cpus: list[dict[str, str]] = field(default_factory=list)
    memory_map: list[dict[str, Any]] = field(default_factory=list)
    reboots: int = 0

    def document(self) -> dict[str, Any]:
        timeline = [{"step": step, "at_s": round(at, 2)} for step, at in self.timeline]
        return {
            "schema": SCHEMA, "guest": self.guest, "timeline": timeline,
            "agent_steps_ms": self.agent.get("times_ms", {}), "sizes": self.sizes,
            "pages": self.pages, "memory_kib": self.memory_kib, "dump": self.dump,
            "kernel_log_tail": self.kernel_log_tail, "reboots": self.reboots, "cpus": self.cpus,
            "memory_map": self.memory_map,
        }  # fmt: skip

    def write(self, path: Path) -> None:
        """As a page where the name ends like one, else as JSON."""
        is_page = path.suffix in (".html", ".htm")
        document = self.document()
        text = report_page.page(document) if is_page else json.dumps(document, indent=2) + "\n"
        path.write_text(text, encoding="utf-8")


class Story:
    """One crash, from the guest's creation to the dump's comparison with the truth."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.options = options
        self.scratch = scratch
        self.account = Account()
        self._start = time.monotonic()

    def say(self, text: str) -> None:
        """Progress: long steps show what they are doing."""
        print(f"  [{time.monotonic() - self._start:6.1f} s] {text}", flush=True)

    def run(self, host: Host) -> None:
        agent = Agent(host)
        agent.install()
        agent.start()
        self.say("hadumpd runs in dom0")
        guest = self._create(host)
        taken, panic, unseen = self._crash(agent, guest)
        self._come_back(agent, guest, panic, unseen)
        self._wait_for_dump(guest, panic, unseen)
        self._compare(guest, taken)

    def _create(self, host: Host) -> Guest:
        options = self.options
        overlay = load.with_load(
            guest_overlay(options.kernel, SETTINGS), build_dir() / "tests" / "lab" / "lab-load"
        )
        memory_map.with_sampling(overlay)
        guest = host.create_guest(
            GuestConfig("demo", options.memory, vcpus=options.vcpus, kernel=options.kernel,
                        overlay=overlay)
        )  # fmt: skip
        up = guest.wait_up(90)
        guest.wait_for("HADUMP-LAB boot complete", 60)
        release = guest.exec("uname -r")[1].strip()
        self.account.guest = {
            "memory_mib": options.memory, "vcpus": options.vcpus,
            "kernel_package": options.kernel, "kernel_release": release,
        }  # fmt: skip
        self.account.memory_kib["before"] = int(up.match.group(2))
        self.account.sizes["ram_bytes"] = options.memory << 20
        self.say(f"guest up: Linux {release}, {options.memory} MiB, {options.vcpus} vCPUs, disk, network")
        load.start(guest, options.memory // 4)
        self.say(f"{options.memory // 4} MiB of it in use: page cache, anonymous memory, tmpfs, huge pages")
        return guest

    def _crash(self, agent: Agent, guest: Guest) -> tuple[truth.Truth, float, float]:
        """The agent is stopped while the truth is taken; that time counts for nothing."""
        agent.signal("STOP")
        panic = guest.crash().time
        guest.wait_state("c")
        crashed = time.monotonic()
        self.say("the guest has panicked; reading every frame of it for the comparison later")
        taken = truth.take(guest, build_dir() / "tests/lab/truth/take-truth", self.scratch / "truth")
        self.mark = guest.mark()
        agent.signal("CONT")
        self.account.timeline.append(("panic", 0.0))
        return taken, panic, time.monotonic() - crashed

    def _come_back(self, agent: Agent, guest: Guest, panic: float, unseen: float) -> None:
        since = panic + unseen
        up = guest.wait_up(180, self.mark)
        started = agent.log.wait_for(r"started again", 10)
        record = agent.status(guest.config.name)["dump"]
        steps = list(record["times_ms"].items())
        names = [name for name, _ in steps]
        total = sum(ms for _, ms in steps)
        boot_from = names.index(FIRST_STEP_OF_BOOT)
        snapshot = sum(ms for _, ms in steps[:boot_from])
        reset = sum(ms for _, ms in steps[: names.index("reset") + 1])
        kernel = started.time - since
        account = self.account
        account.agent = record
        account.timeline += [
            ("snapshot-done", kernel - (total - snapshot) / 1000),
            ("reset-done", kernel - (total - reset) / 1000),
            ("kernel-started", kernel),
            ("userspace-up", up.time - since),
        ]
        account.memory_kib["at_boot"] = int(up.match.group(2))
        account.sizes["window_bytes"] = record["window_bytes"]
        account.sizes["save_area_bytes"] = record["save_area"]["bytes"]
        account.reboots = record["boots"]
        self.up = up
        self.say(f"back in production {up.time - since:.1f} s after the panic; its dump waits")

    def _wait_for_dump(self, guest: Guest, panic: float, unseen: float) -> None:
        since = panic + unseen
        saved = guest.wait_for(r"HADUMP-LAB done \S*hadump-save\S* status=(\d+)", 900, self.up.index)
        if saved.match.group(1) != "0":
            raise CheckFailed(f"saving ended with status {saved.match.group(1)}:\n{guest.console()[-3000:]}")
        text = guest.exec(
            "awk '/^MemTotal/{print $2}' /proc/meminfo; ls /var/crash/*/vmcore;"
            " stat -c %s /var/crash/*/vmcore; cat /sys/kernel/hadump/mem_held;"
            " stat -c %s /proc/vmcore"
        )[1].split()
        account = self.account
        complete = guest.wait_for(r"release-region: the dump is in", 1, self.up.index)
        back = guest.wait_for(r"release-region: .* all memory is back", 1, self.up.index)
        account.timeline += [
            ("dump-saved", complete.time - since), ("memory-back", back.time - since)
        ]  # fmt: skip
        account.memory_kib["after"] = int(text[0])
        account.sizes["dump_bytes"] = int(text[2])
        account.sizes["vmcore_bytes"] = int(text[4])
        account.dump = {"path": text[1], "format": "kdump-compressed, lzo", "complete": True}
        if text[3] != "0":
            raise CheckFailed(f"{text[3]} bytes of the old memory are still held")
        booted = self.up.time - since - float(self.up.match.group(1))
        account.memory_map = memory_map.samples(guest, booted)
        self.say("dump saved, all memory back")

    def _compare(self, guest: Guest, taken: truth.Truth) -> None:
        path = self.account.dump["path"]
        copy = Path(self.options.output) / "vmcore"
        copy.parent.mkdir(parents=True, exist_ok=True)
        guest.flush()
        guest.get_from_disk(path.removeprefix("/var/crash/"), copy)
        guest.get_from_disk(str(Path(path).parent / "dmesg.txt").removeprefix("/var/crash/"),
                            copy.with_name("dmesg.txt"))  # fmt: skip
        self.account.dump["copy"] = str(copy)
        log = dump_facts.kernel_log(copy, program(RELEASE_REGION), LOG_LINES_READ)
        self.account.kernel_log_tail = dump_facts.last_words(log, LOG_LINES)
        self.account.cpus = dump_facts.registers(copy)
        found = truth.compare(taken, copy, build_dir() / "tests/lab/truth/compare-dump")
        explained = [{"gfn": frame, "why": why} for frame, why in found.explained.items()]
        counts = dict(found.counts)
        by_xen = counts.pop("explained")
        self.account.pages = {
            "compared": taken.present, **counts, "explained_by_xen": by_xen, "explained": explained,
        }  # fmt: skip
        found.expect_equal()
        self.say("every page of the dump compared with the truth")


def print_account(account: Account) -> None:
    """The story for people."""
    memory, pages, sizes = account.memory_kib, account.pages, account.sizes
    print("\nWhat happened (the time in which the lab read the truth is left out)\n")
    for step, at in account.timeline:
        print(f"  {at:8.1f} s  {STEPS[step]}")
    print(f"\nThe guest's memory (MemTotal): {memory['before'] >> 10} MiB before the crash,"
          f" {memory['at_boot'] >> 10} MiB at boot, {memory['after'] >> 10} MiB now")
    print(f"The dump: {account.dump['path']} in the guest, {sizes['dump_bytes'] >> 20} MiB for"
          f" {sizes['ram_bytes'] >> 20} MiB of RAM; a copy is {account.dump['copy']}")
    print(f"Compared with the truth, page by page: {pages['compared']} pages, {pages['equal']} equal,"
          f" {pages['explained_by_xen']} written to by Xen since, {pages['different']} different,"
          f" {pages['missing']} missing")
    print("\nThe crashed kernel's last words, read out of the dump:\n")
    for line in account.kernel_log_tail:
        print(f"  {line}")
    print(f"""
What to try next
  makedumpfile --dump-dmesg {account.dump['copy']} /tmp/dmesg.txt
  crash VMLINUX {account.dump['copy']}      (VMLINUX from linux-image-{account.guest['kernel_release']}-dbg)
  ./demo --report page.html                 this account as a page, with drawings
  ./demo --keep                             to crash it yourself
  ./demo --memory 4096 --vcpus 4            another guest
""")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./demo",
        description="Crashes a Debian guest on an emulated Xen host, and shows how it comes back"
        " with its dump saved and all its memory.",
    )
    parser.add_argument("--memory", type=int, default=768, metavar="MIB",
                        help="the guest's memory, 512 to 5120 (default: 768)")  # fmt: skip
    parser.add_argument("--vcpus", type=int, default=2, choices=range(1, 5))
    parser.add_argument("--kernel", default=STANDARD_KERNEL, metavar="PACKAGE",
                        help=f"a Debian kernel package, NAME or NAME/SUITE (default: {STANDARD_KERNEL})")  # fmt: skip
    parser.add_argument("--report", metavar="FILE", help="write the account, too: a page when FILE ends in .html, else JSON")  # fmt: skip
    parser.add_argument("--output", metavar="DIR", default="build/demo",
                        help="where a copy of the dump goes (default: build/demo)")  # fmt: skip
    parser.add_argument("--keep", action="store_true",
                        help="leave the host running, with a console and a shell")  # fmt: skip
    options = parser.parse_args(arguments)
    if not 512 <= options.memory <= 5120:
        parser.error("--memory must be from 512 to 5120")
    return options


def keep(host: Host) -> None:
    name = host.directory.name
    print(f"""The host keeps running. Its name is {name}.
  tests/lab/lab exec {name} -- hadump status            in dom0: any command, xl too
  tests/lab/lab exec {name} --guest demo -- free -m     in the guest
  tests/lab/lab console {name} demo -f                  the guest's console
  tests/lab/lab guest crash {name} demo                 crash it again
  tests/lab/lab stop {name}                             the end
""")


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    scratch = Path(tempfile.mkdtemp(prefix="hadump-demo-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        story = Story(options, scratch)
        print("An emulated Xen host with one guest (QEMU's software emulation; about two minutes)")
        host = Host.start(HostConfig(guests_mib=options.memory + SAVE_AREA_MIB), detached=options.keep)
        # Until the story has come to its end: nobody plays in a host that went wrong.
        stopping = stack.enter_context(contextlib.ExitStack())
        stopping.callback(host.stop)
        story.say(f"host up: Xen and dom0, {host.machine.directory.name}")
        try:
            story.run(host)
        except (CheckFailed, LabError) as error:
            print(host.tails())
            print(post_mortem.examine(host))
            print(f"\ndemo: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        print_account(story.account)
        if options.report:
            story.account.write(Path(options.report))
            print(f"The same in a file: {options.report}")
        if options.keep:
            stopping.pop_all()
            keep(host)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
