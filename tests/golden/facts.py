#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a sample's guest has said on its console about itself, and whether a reader of its dump finds it.

    facts.py log CONSOLE FILE         FILE is the kernel's log
    facts.py crash CONSOLE DIRECTORY  it has the files sys, bt, log, ps and kmem of crash

None of it comes from a dump. Exit status 0 when the reader is right.
"""

import re
import sys
from pathlib import Path

COMM = 15  # Bytes of a task's name in its task_struct; /proc shows more of some.
PANIC = "Kernel panic - not syncing: sysrq triggered crash"
# The stack of the task that has crashed, innermost first; more may be between.
STACK = ["panic", "sysrq_handle_crash", "write_sysrq_trigger", "ksys_write"]


def expect(holds: object, what: str) -> None:
    """Ends with status 1 and a line that says why."""
    if not holds:
        raise SystemExit(f"FAIL: {what}")


def is_worker(name: str) -> bool:
    """These come and go by themselves, and /proc adds to their names what they do."""
    return name.startswith("kworker/")


class Facts:
    """The console of tests/lab/vmcore/init."""

    def __init__(self, path: str) -> None:
        text = Path(path).read_bytes().decode("utf-8", "replace").replace("\r", "")
        said, _, self._rest = text.partition("FACTS-BEGIN\n")[2].partition("FACTS-END\n")
        tasks = re.findall(r"^task (\d+) (.+)$", said, re.M)
        self.tasks = {int(pid): name[:COMM] for pid, name in tasks if not is_worker(name)}
        self.workers = len(tasks) - len(self.tasks)
        self.release = self._of(r"^release (\S+)$", said)
        self.node = self._of(r"^node (\S+)$", said)
        self.cpus = int(self._of(r"^cpus (\d+)$", said))
        self.mem_total_kib = int(self._of(r"^MemTotal: +(\d+) kB$", said))
        self.panic_cpu = int(self._of(r"^\[.{12}\] CPU: (\d+) (?:UID: 0 )?PID: 1 Comm: init ", self._rest))
        # From here on nothing but the kernel writes to the console.
        self.last_log = re.findall(r"^\[ *\d+\.\d{6}\] .*$", self._rest, re.M)
        expect(any(line.endswith(f"] {PANIC}") for line in self.last_log), "the console has no panic")
        expect(self.last_log[-1].endswith(f"---[ end {PANIC} ]---"), "the console goes on after it")
        expect(self.tasks.get(1) == "init" and len(self.tasks) > 20, "the console has no tasks")

    @staticmethod
    def _of(pattern: str, text: str) -> str:
        found = re.search(pattern, text, re.M)
        if not found:
            raise SystemExit(f"FAIL: the console has no {pattern}")
        return found[1]

    def check_log(self, text: str) -> None:
        """The log ends as the console does, line by line."""
        count = len(self.last_log)
        # A record has no spaces at its end on the console.
        lines = [line.rstrip() for line in text.splitlines()]
        wanted = [line.rstrip() for line in self.last_log]
        expect(lines[-count:] == wanted, f"the log ends with {lines[-3:]}, not as the console: {wanted[-3:]}")
        expect(f"] Linux version {self.release} " in lines[0], f"the log begins with {lines[0]}")

    def check_tasks(self, found: dict[int, str]) -> None:
        """All tasks are there under their names, and no others; the idle ones do not count."""
        named = {pid: name for pid, name in found.items() if not is_worker(name)}
        expect(named == self.tasks, f"other tasks than the guest's: {self._differences(named)}")
        workers = len(found) - len(named)
        # Between the last fact and the crash one may have ended or begun; not all of them.
        expect(abs(workers - self.workers) <= 2, f"{workers} workers, the guest had {self.workers}")

    def check_some_tasks(self, found: dict[int, str]) -> None:
        """PID 1 is there, and no task that the guest did not have."""
        named = {pid: name for pid, name in found.items() if not is_worker(name)}
        expect(named.get(1) == "init", f"PID 1 is not there, but {named}")
        expect(named.items() <= self.tasks.items(), f"other tasks: {self._differences(named)}")

    def _differences(self, named: dict[int, str]) -> str:
        return str(sorted(set(named.items()) ^ set(self.tasks.items())))


def check_stack(frames: list[str]) -> None:
    """The functions that lead to the panic are there in their order."""
    rest = iter(frames)
    expect(all(name in rest for name in STACK), f"no stack of the crash: {frames}")


def check_crash(facts: Facts, found: Path) -> None:
    """What crash shows of a dump, with the debug kernel."""
    words = dict(re.findall(r"^ *([A-Z ]+): +(.*)$", (found / "sys").read_text(), re.M))
    expect(words["RELEASE"] == facts.release, f"crash: RELEASE {words['RELEASE']}")
    expect(words["NODENAME"] == facts.node, f"crash: NODENAME {words['NODENAME']}")
    expect(words["CPUS"].split()[0] == str(facts.cpus), f"crash: CPUS {words['CPUS']}")
    expect(words["PANIC"] == f'"{PANIC}"', f"crash: PANIC {words['PANIC']}")
    trace = (found / "bt").read_text()
    who = re.search(r'^PID: (\d+) +TASK: \S+ +CPU: (\d+) +COMMAND: "(.*)"$', trace, re.M)
    expect(who and who.groups() == ("1", str(facts.panic_cpu), "init"), f"crash: {trace[:80]}")
    check_stack(re.findall(r"^ *#\d+ \[\w+\] (\S+) at ", trace, re.M))
    facts.check_log((found / "log").read_text())
    pages = re.search(r"^ *TOTAL MEM +(\d+) ", (found / "kmem").read_text(), re.M)
    expect(pages and int(pages[1]) * 4 == facts.mem_total_kib, f"crash: TOTAL MEM of {pages}")
    listed = re.findall(r"^>? +(\d+) +\d+ +\d+ +\w+ +\w+ +[\d.]+ +\d+ +\d+ +(.*)$", (found / "ps").read_text(), re.M)
    idle = [name for pid, name in listed if pid == "0"]
    expect(idle == [f"[swapper/{cpu}]" for cpu in range(facts.cpus)], f"crash: idle tasks: {idle}")
    tasks = {int(pid): name.strip("[]") for pid, name in listed if pid != "0"}
    if len(tasks) == 1:
        print("note: this crash knows no tasks of this kernel but the ones that run")
        facts.check_some_tasks(tasks)
    else:
        facts.check_tasks(tasks)


def main() -> None:
    """Ends with status 1 and a line that says why when a reader is wrong."""
    what, console, found = sys.argv[1:]
    facts = Facts(console)
    if what == "log":
        facts.check_log(Path(found).read_text(encoding="utf-8", errors="replace"))
    else:
        check_crash(facts, Path(found))


if __name__ == "__main__":
    main()
