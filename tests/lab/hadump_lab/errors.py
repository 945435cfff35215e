# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong, split by whose fault it is: that decides a scenario's exit code."""


class LabError(Exception):
    """The lab itself is broken (no package, no host, no boot): exit code 99."""


class CheckFailed(AssertionError):
    """A fact that a scenario asserts does not hold: exit code 1."""


class DeadlineExceeded(CheckFailed):
    """Something that a scenario waited for did not happen in time."""


class CommandFailed(CheckFailed):
    """A command in dom0 or in a guest ended with a status other than 0."""

    def __init__(self, where: str, command: str, status: int, output: str) -> None:
        tail = output if len(output) <= 4000 else "[...]\n" + output[-4000:]
        super().__init__(f"{where}: exit status {status}: {command}\n{tail}")
        self.status = status
        self.output = output
