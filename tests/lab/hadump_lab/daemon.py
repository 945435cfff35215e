"""A long-running program in dom0, such as hadumpd, with a log that the scenario follows."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .waiting import GrowingLog, Seen, wait_until

if TYPE_CHECKING:
    from .host import Host


class Daemon:
    """Starts at once.  Ends with the host, or when killed."""

    def __init__(
        self, host: "Host", name: str, command: str, env: Mapping[str, str] | None = None
    ) -> None:
        """`name` names the log, to which a daemon of the same name appends; `command` is bash's.

        HADUMP_KILL_AT=STEP in `env` makes hadumpd kill itself right after that step.
        """
        self.host = host
        self.name = name
        log = host.share / "log" / f"{name}.log"
        self.log = GrowingLog(log)
        host.follow(self.log)
        self._job = host.begin(f"exec {command} >>/share/log/{shlex.quote(log.name)} 2>&1", env)

    def running(self) -> bool:
        """Whether it has not ended."""
        return self.host.finished(self._job) is None

    def wait_for(self, pattern: str, timeout: float, since: int = 0) -> Seen:
        """Waits for a line in its log, which counts from this daemon's start."""
        return self.log.wait_for(pattern, timeout, since)

    def wait_ended(self, timeout: float = 30) -> int:
        """Waits for its end; returns its exit status (128 + N for signal N)."""
        what = f"{self.name} ended"
        return wait_until(lambda: self.host.finished(self._job), timeout, what).status

    def kill(self, signal: str = "KILL", timeout: float = 30) -> int:
        """Signals it and waits for its end."""
        self.host.kill(self._job, signal)
        return self.wait_ended(timeout)
