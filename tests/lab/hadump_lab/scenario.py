# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one scenario: a file of scenarios/ with a function run(lab)."""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from . import machine, post_mortem
from .errors import CheckFailed, LabError
from .host import Host, HostConfig
from .paths import LAB_DIR, SOURCE_DIR
from .plain import PlainConfig, PlainGuest

EXIT_PASS, EXIT_FAIL, EXIT_BROKEN = 0, 1, 99


class Lab:
    """What a scenario works with.  Everything that it starts ends with it."""

    def __init__(self, build: Path, parameters: dict[str, str]) -> None:
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
        host = Host.start(replace(config, xenstored=chosen))
        self._machines.append(host)
        self._stack.callback(host.stop)
        self.note(f"host up, {config.total_mib()} MiB")
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


def run(
    name: str, build: Path, parameters: dict[str, str], report: Path | None, deadline: int = 0
) -> int:
    """Runs scenarios/NAME.py; returns the exit status.

    `deadline`: seconds after which it is broken, whatever it waits for; so that it shows its logs, which
    it could not if somebody else ended it.
    """
    _turn_signals_into_interrupts()
    _set_deadline(deadline)
    lab: Lab | None = None
    try:
        module = _load(name)
        lab = Lab(build, parameters)
        module.run(lab)
        if report:
            report.write_text(json.dumps(lab.report, indent=1) + "\n", encoding="utf-8")
        print(f"PASS {name}", flush=True)
        return EXIT_PASS
    except KeyboardInterrupt:
        print(f"INTERRUPTED {name}", flush=True)
        return 130
    except AssertionError as error:
        _explain(lab, f"FAIL {name}: {error}")
        return EXIT_FAIL
    except Exception as error:  # pylint: disable=broad-exception-caught
        _explain(lab, f"LAB BROKEN {name}: {type(error).__name__}: {error}")
        return EXIT_BROKEN
    finally:
        signal.alarm(0)
        if lab:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Let nothing interrupt the cleaning up.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            lab.close()


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

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, interrupt)
