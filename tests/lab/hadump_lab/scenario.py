# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs scenarios: files of scenarios/ with a function run(lab)."""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from . import machine, post_mortem
from .errors import CheckFailed, LabError
from .host import Host, HostConfig
from .paths import LAB_DIR, SOURCE_DIR
from .plain import PlainConfig, PlainGuest
from .shared_host import SharedHost

EXIT_PASS, EXIT_FAIL, EXIT_BROKEN, EXIT_INTERRUPTED = 0, 1, 99, 130
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Lab:
    """What a scenario works with.  Everything that it starts ends with it."""

    def __init__(
        self, build: Path, parameters: dict[str, str], shared: SharedHost | None = None
    ) -> None:
        """`shared`: the host that others have used before, and will."""
        self._shared = shared
        self.build = build
        os.environ["HADUMP_BUILD"] = str(build)  # For product.py.
        self.parameters = parameters
        self.report: dict[str, Any] = {}
        self._stack = contextlib.ExitStack()
        self._machines: list[Host | PlainGuest] = []
        self._start = time.monotonic()
        self.directory = machine.new_scratch()  # For files that do not outlive the scenario.
        self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)

    def host(self, config: HostConfig = HostConfig()) -> Host:
        """Starts a host.  The parameter xenstored chooses its xenstored."""
        chosen = self.parameters.get("xenstored", config.xenstored)
        config = replace(config, xenstored=chosen)
        if self._shared:
            host = self._shared.get(config)
            self.note("the host is up")
        else:
            host = Host.start(config)
            self._stack.callback(host.stop)
            self.note(f"host up, {config.total_mib()} MiB")
        self._machines.append(host)
        return host

    def plain(self, config: PlainConfig = PlainConfig()) -> PlainGuest:
        """Starts a guest without Xen and waits for its userspace."""
        guest = PlainGuest.start(config)
        self._machines.append(guest)
        self._stack.callback(guest.stop)
        self.note(guest.wait_up().match.group(0))
        return guest

    def program(self, name: str) -> Path:
        """A program of the build tree."""
        for path in sorted(self.build.rglob(name)):
            if path.is_file() and os.access(path, os.X_OK):
                return path
        raise LabError(f"no program {name} below {self.build}")

    def number(self, name: str, default: int) -> int:
        """A parameter NAME=VALUE of the command line."""
        return int(self.parameters.get(name, default))

    def note(self, text: str) -> None:
        """One line of progress, with the time since the start."""
        print(f"[{time.monotonic() - self._start:7.2f}] {text}", flush=True)

    def check(self, fact: object, what: str) -> None:
        """@raises CheckFailed, naming `what`, unless `fact` is true."""
        if not fact:
            raise CheckFailed(what)
        self.note(f"ok: {what}")

    def tails(self) -> str:
        """The logs of everything that was started, and what the hosts are doing."""
        parts = [one.tails() for one in self._machines]
        parts += [post_mortem.examine(one) for one in self._machines if isinstance(one, Host)]
        return "\n".join(parts)

    def close(self) -> None:
        """Ends everything."""
        self._stack.close()


@dataclass(frozen=True)
class Scenario:
    """What to run: scenarios/NAME.py with parameters, known as `title`."""

    title: str
    name: str
    parameters: dict[str, str]


def parse(words: list[str]) -> list[Scenario]:
    """[TITLE:]NAME PARAMETER=VALUE… [+ [TITLE:]NAME …]"""
    found = []
    while words:
        end = words.index("+") if "+" in words else len(words)
        title, _, name = words[0].rpartition(":")
        parameters = dict(word.split("=", 1) for word in words[1:end])
        found.append(Scenario(title or name, name, parameters))
        words = words[end + 1 :]
    return found


def run(
    scenarios: list[Scenario], build: Path, report: Path | None, deadline: int, guests_mib: int
) -> int:
    """Runs them, several on one host; returns the exit status: the worst of them.

    `guests_mib`: memory for all guests of that host.
    `deadline`: seconds after which one is broken, whatever it waits for; so that it shows its logs, which
    it could not if somebody else ended it.
    """
    _turn_signals_into_interrupts()
    shared = SharedHost(guests_mib) if len(scenarios) > 1 else None
    worst = EXIT_PASS
    try:
        for scenario in scenarios:
            started = time.monotonic()
            status = _run_one(scenario, build, shared, report, deadline)
            verdict = {EXIT_PASS: "PASS", EXIT_FAIL: "FAIL"}.get(status, "BROKEN")
            print(f"{verdict} {scenario.title} {time.monotonic() - started:.2f} s", flush=True)
            worst = max(worst, status)
            if status == EXIT_INTERRUPTED:
                break
            if status != EXIT_PASS and shared:
                shared.stop()  # Nobody knows what it is like now.
    finally:
        _ignore_signals()
        if shared:
            shared.stop()
    return worst


def _run_one(
    scenario: Scenario, build: Path, shared: SharedHost | None, report: Path | None, deadline: int
) -> int:
    _set_deadline(deadline)
    lab: Lab | None = None
    try:
        module = _load(scenario.name)
        lab = Lab(build, scenario.parameters, shared)
        module.run(lab)
        if shared:
            lab.note(f"left clean: {shared.clean()}")
        if report:
            report.write_text(json.dumps(lab.report, indent=1) + "\n", encoding="utf-8")
        return EXIT_PASS
    except KeyboardInterrupt:
        print(f"INTERRUPTED {scenario.title}", flush=True)
        return EXIT_INTERRUPTED
    except AssertionError as error:
        _explain(lab, f"FAIL {scenario.title}: {error}")
        return EXIT_FAIL
    except Exception as error:  # pylint: disable=broad-exception-caught
        _explain(lab, f"LAB BROKEN {scenario.title}: {type(error).__name__}: {error}")
        return EXIT_BROKEN
    finally:
        signal.alarm(0)
        if lab:
            with _undisturbed():
                lab.close()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Lets nothing interrupt the cleaning up."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDING_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _ignore_signals() -> None:
    for number in _ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def names() -> list[str]:
    """The scenarios that exist."""
    return sorted(path.stem for path in (LAB_DIR / "scenarios").glob("*.py"))


def default_build() -> Path:
    """The build tree of the release preset, unless HADUMP_BUILD names another."""
    return Path(os.environ.get("HADUMP_BUILD", SOURCE_DIR / "build" / "release"))


def _explain(lab: Lab | None, verdict: str) -> None:
    traceback.print_exc(file=sys.stdout)
    if lab:
        with contextlib.suppress(OSError):
            print(lab.tails())
    print(verdict, flush=True)


def _load(name: str) -> ModuleType:
    path = LAB_DIR / "scenarios" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"scenario_{name}", path)
    if not path.exists() or spec is None or spec.loader is None:
        raise LabError(f"no scenario {name!r}; there are {', '.join(names())}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _set_deadline(seconds: int) -> None:
    def too_late(_number: int, _frame: FrameType | None) -> None:
        raise LabError(f"not finished within {seconds} s")

    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(seconds)


def _turn_signals_into_interrupts() -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in _ENDING_SIGNALS:
        signal.signal(number, interrupt)
