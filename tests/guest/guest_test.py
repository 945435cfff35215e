#!/usr/bin/env python3
"""Runs one scenario in a plain guest: guest_test.py --tool … --modules … [--kernel REGEX] NAME."""

import argparse
import sys
from pathlib import Path

import plain_guest
from plain_guest import Dump, HERE, Outcome, failures, keep_log, newest_module

SAVE = 0x30000000
BLOCKS = SAVE + 0x13000


def _script(name: str) -> str:
    return (HERE / "scenarios" / f"{name}.sh").read_text(encoding="ascii")


def release(run) -> tuple[Outcome, list[str]]:  # type: ignore[no-untyped-def]
    outcome = run(_script("release"), Dump(), look_at={SAVE: 0x200, BLOCKS: 8})
    found = failures(outcome)
    if outcome.memory.get(BLOCKS) != bytes([0, 0, 1, 1, 1, 1, 0, 0]):
        found.append(f"FAIL the block table: {outcome.memory.get(BLOCKS)!r}")
    if b"COMPLETE" in outcome.memory.get(SAVE, b"COMPLETE"):
        found.append("FAIL the save area still says complete")
    return outcome, found


SCENARIOS = {"release": release}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", type=Path, required=True, help="make_dump_node")
    parser.add_argument("--modules", type=Path, required=True, help="directory of RELEASE/hadump.ko")
    parser.add_argument("--kernel", default=r"6\.1\.0-\d+-amd64", help="release, a regular expression")
    parser.add_argument("scenario", choices=sorted(SCENARIOS))
    arguments = parser.parse_args()

    module = newest_module(arguments.modules, arguments.kernel)

    def run(script: str, dump: Dump, **more) -> Outcome:  # type: ignore[no-untyped-def]
        return plain_guest.run(module, script, dump, arguments.tool, **more)

    outcome, found = SCENARIOS[arguments.scenario](run)
    keep_log(outcome)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
