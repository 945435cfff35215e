# SPDX-License-Identifier: GPL-2.0-or-later
"""Deadlines, and files that grow."""

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .errors import DeadlineExceeded

T = TypeVar("T")
_POLL_SECONDS = 0.02


def scaled(seconds: float) -> float:
    """A deadline for this machine: HADUMP_LAB_PATIENCE multiplies every one of them."""
    return seconds * float(os.environ.get("HADUMP_LAB_PATIENCE", "3"))


def wait_until(
    fact: Callable[[], T | None], timeout: float, what: str | Callable[[], str]
) -> T:
    """Returns the first true value of fact(); raises DeadlineExceeded, naming `what`.

    A `what` that is called says what was seen instead, too.
    """
    end = time.monotonic() + scaled(timeout)
    while True:
        value = fact()
        if value:
            return value
        if time.monotonic() > end:
            text = what if isinstance(what, str) else what()
            raise DeadlineExceeded(f"not within {scaled(timeout):.0f} s: {text}")
        time.sleep(_POLL_SECONDS)


@dataclass(frozen=True)
class Seen:
    """A line in a log that something waited for."""

    match: re.Match[str]
    index: int  # Of the line; wait_for(since=index + 1) looks after it.
    time: float  # time.monotonic() when the line was complete, to about 20 ms.


class GrowingLog:
    """A text file that others append to, as complete lines with the time they arrived.

    Thread-safe.  A line that is not complete yet is not seen.
    """

    def __init__(self, path: Path, hide: str = r"(?!)") -> None:
        """Lines that `hide` matches from their start do not count as lines."""
        self.path = path
        self._hide = re.compile(hide)
        self._lock = threading.Lock()
        self._offset = path.stat().st_size if path.exists() else 0
        self._rest = b""
        self._lines: list[tuple[float, str]] = []
        self._hidden: list[str] = []

    def poll(self) -> None:
        """Takes in what was appended since the last call."""
        with self._lock:
            try:
                with open(self.path, "rb") as handle:
                    handle.seek(self._offset)
                    data = handle.read()
            except FileNotFoundError:
                return
            if not data:
                return
            self._offset += len(data)
            now = time.monotonic()
            *complete, self._rest = (self._rest + data).split(b"\n")
            for raw in complete:
                line = raw.decode(errors="replace").strip("\r")
                if self._hide.match(line):
                    self._hidden.append(line)
                else:
                    self._lines.append((now, line))

    def mark(self) -> int:
        """The index of the next line: what comes from now on is at or after it."""
        self.poll()
        with self._lock:
            return len(self._lines)

    def text(self, since: int = 0) -> str:
        """All complete lines from index `since` on."""
        self.poll()
        with self._lock:
            return "\n".join(line for _, line in self._lines[since:])

    def hidden(self, since: int = 0) -> list[str]:
        """The hidden lines from index `since` on; they are numbered apart."""
        self.poll()
        with self._lock:
            return self._hidden[since:]

    def find(self, pattern: str, since: int = 0) -> Seen | None:
        """The first line from index `since` on in which `pattern` is found."""
        self.poll()
        expression = re.compile(pattern)
        with self._lock:
            lines = self._lines[since:]
        for index, (when, line) in enumerate(lines, start=since):
            match = expression.search(line)
            if match:
                return Seen(match, index, when)
        return None

    def wait_for(self, pattern: str, timeout: float, since: int = 0) -> Seen:
        """Waits until find() succeeds; the deadline is scaled()."""
        what = f"{self.path.name} shows {pattern!r}"
        return wait_until(lambda: self.find(pattern, since), timeout, what)


class Follower:
    """A thread that polls logs, so that arrival times are right while the scenario does other work."""

    def __init__(self) -> None:
        self._logs: list[GrowingLog] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-follower", daemon=True)
        self._thread.start()

    def follow(self, log: GrowingLog) -> None:
        """Polls `log` from now on."""
        self._logs.append(log)

    def stop(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            for log in list(self._logs):
                log.poll()
