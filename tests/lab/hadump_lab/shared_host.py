# SPDX-License-Identifier: GPL-2.0-or-later
"""One emulated host for several scenarios, one after the other: each finds it as the first one did."""

from dataclasses import replace

from .errors import CheckFailed, DeadlineExceeded, LabError
from .host import Host, HostConfig
from .waiting import wait_until

# Ends what scenarios start, and removes what they and hadumpd leave. Programs stay.
_CLEAN = """pidof hadumpd >/dev/null && kill -TERM $(pidof hadumpd)
for _ in $(seq 300); do pidof hadumpd >/dev/null || break; sleep 0.2; done
rm -rf /var/lib/hadump /run/hadump /etc/hadump /scratch/guests /scratch/*.cfg; mkdir /run/hadump
"""
# Xen frees a domain's last pages a while after the domain is gone, and keeps a few for itself.
_FREE_MIB_MAY_DIFFER = 8
_STATE = r"""free=$(xl info | awk '/^free_memory/ {print $3}')
xl list | awk 'NR > 1 && $1 != "Domain-0" {printf "domain %s\n", $1}'
xenstore-list /local/domain | sed '/^0$/d; s/^/domain in xenstore /'
pidof hadumpd | sed 's/^/hadumpd /'
for directory in /var/lib/hadump /run/hadump /etc/hadump; do
  ls -A $directory 2>/dev/null | sed "s|^|file $directory/|"
done
echo "$free"
"""


class HostState:
    """What a host was like when nothing had used it yet, and should be like between uses."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._free_mib, _ = _look_at(host)

    def clean(self) -> str:
        """Ends what its user has left, and says what the host is like then.

        @raises CheckFailed when it is not as it was.
        """
        host = self._host
        for guest in list(host.guests.values()):
            guest.forget()
        free, left = _look_at(host, _CLEAN)
        try:
            if not self._is_clean(free, left):
                wait_until(lambda: self._is_clean(*_look_at(host)), 20, "the host is as it was")
        except DeadlineExceeded as error:
            free, left = _look_at(host)
            raise CheckFailed(f"{error}: {free} MiB free of {self._free_mib}, {left}") from error
        return f"no domain, no hadumpd, none of its files, {self._free_mib} MiB free"

    def _is_clean(self, free_mib: int, left: list[str]) -> bool:
        return abs(free_mib - self._free_mib) <= _FREE_MIB_MAY_DIFFER and not left


class SharedHost:
    """Starts the host when the first scenario asks for it."""

    def __init__(self, guests_mib: int) -> None:
        """`guests_mib`: of the greediest scenario."""
        self._guests_mib = guests_mib
        self._host: Host | None = None
        self._config: HostConfig | None = None
        self._state: HostState | None = None

    def get(self, config: HostConfig) -> Host:
        """The host, clean.  @raises LabError when `config` asks for what it is not."""
        if config.guests_mib > self._guests_mib or config.memory_mib:
            raise LabError(f"the shared host has {self._guests_mib} MiB for guests, not {config}")
        wanted = replace(config, guests_mib=self._guests_mib)
        if self._host is None:
            self._host, self._config = Host.start(wanted), wanted
            self._state = HostState(self._host)
        if self._config != wanted:
            raise LabError(f"the shared host is another one: {self._config}, not {wanted}")
        return self._host

    def clean(self) -> str:
        """As HostState.clean(), after a scenario."""
        return self._state.clean() if self._state else "no host was needed"

    def stop(self) -> None:
        """Ends the host; the next scenario gets a new one."""
        if self._host:
            self._host.stop()
        self._host = self._state = None


def _look_at(host: Host, before: str = "") -> tuple[int, list[str]]:
    """MiB that Xen has free, and what a host that has just started does not have.

    `before`: commands that come first; each command to dom0 costs a second.
    """
    *left, free = host.exec(before + _STATE, timeout=90).output.splitlines()
    return int(free), left
