# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands inside a guest, over its console: that needs no disk, no network and no xenstore.

images/guest-agent is the other end and describes the lines.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from .errors import CommandFailed, DeadlineExceeded
from .waiting import GrowingLog, scaled

HIDDEN = r"@(@|put |go |again )"  # Lines of this protocol; the console's text leaves them out.
_CHUNK = 480  # Bytes of a line; a terminal takes 4095 and the console ring 1024.
_RETRY_SECONDS = 4.0  # Of silence, before a damaged result is asked for again.


@dataclass
class _Reply:
    """What has arrived of one command's result."""

    damaged: bool = False  # Or not all there yet.
    status: int | None = None
    output: bytes = b""


class ConsoleChannel:
    """One command after another; the guest's side could do several at once."""

    def __init__(self, log: GrowingLog, send: Callable[[str], None]) -> None:
        """`send` puts text into the console's input."""
        self._log = log
        self._send = send

    def run(self, command: str, timeout: float, check: bool = True) -> tuple[int, str]:
        """Exit status and output (the last 256 KiB) of a shell command."""
        identity, since = self.start(command)
        end = time.monotonic() + scaled(timeout)
        arrived, arrived_at = since, time.monotonic()
        while (reply := _parse(self._log.hidden(since), identity)).status is None:
            now = time.monotonic()
            if now > end:
                raise DeadlineExceeded(
                    f"guest: not finished within {scaled(timeout):.0f} s: {command}"
                )
            lines = len(self._log.hidden())
            if lines != arrived:
                arrived, arrived_at = lines, now
            elif reply.damaged and now - arrived_at > _RETRY_SECONDS:
                # A message of the kernel came between.  The other end has kept the result.
                self._send(f"@again {identity}\n")
                since, arrived_at = lines, now
            time.sleep(0.02)
        output = reply.output.decode(errors="replace")
        if check and reply.status != 0:
            raise CommandFailed("guest", command, reply.status, output)
        return reply.status, output

    def start(self, command: str) -> tuple[str, int]:
        """Starts a command; returns its name and where in the hidden lines to look for it."""
        script = command.encode() + b"\n"
        encoded = base64.b64encode(script).decode()
        digest = hashlib.md5(script, usedforsecurity=False).hexdigest()
        for _ in range(5):
            identity = secrets.token_hex(3)
            pieces = [encoded[at : at + _CHUNK] for at in range(0, len(encoded), _CHUNK)]
            lines = [f"@put {identity} {piece}\n" for piece in pieces]
            since = len(self._log.hidden())
            self._send("".join(lines) + f"@go {identity} {digest}\n")
            end = time.monotonic() + scaled(5)
            while time.monotonic() < end:
                text = self._log.hidden(since)
                if f"@@ack {identity}" in text or _parse(text, identity).status is not None:
                    return identity, since
                if f"@@bad {identity}" in text:
                    break
                time.sleep(0.02)
        raise DeadlineExceeded(f"the guest's console does not answer: {command}")


def _parse(lines: list[str], identity: str) -> _Reply:
    reply = _Reply()
    pieces: list[str] = []
    for line in lines:
        fields = line.split()
        if fields[:2] == ["@@d", identity]:
            pieces += fields[2:]
        elif fields[:2] == ["@@end", identity]:
            try:
                _, _, status, digest = fields
                output = base64.b64decode("".join(pieces), validate=True)
                if hashlib.md5(output, usedforsecurity=False).hexdigest() == digest:
                    return _Reply(status=int(status), output=output)
            except ValueError:
                pass
            reply.damaged = True
            pieces = []
    reply.damaged = reply.damaged or bool(pieces)
    return reply
