#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one scenario in a plain guest: guest_test.py --tool … --modules … [--kernel REGEX] NAME."""

import argparse
import json
import re
import signal
import sys
import tempfile
from pathlib import Path

import plain_guest
from plain_guest import Dump, HERE, Outcome, failures, keep_log, newest_module

SAVE = 0x30000000
BLOCKS = SAVE + 0x13000


def _script(name: str) -> str:
    return (HERE / "scenarios" / f"{name}.sh").read_text(encoding="ascii")


def _plain(name: str):  # type: ignore[no-untyped-def]
    """A scenario that is all in its script."""

    def scenario(run) -> tuple[Outcome, list[str]]:  # type: ignore[no-untyped-def]
        outcome = run(_script(name), Dump())
        return outcome, failures(outcome)

    return scenario


def _expect_memory(outcome: Outcome, address: int, wanted: bytes, what: str) -> list[str]:
    got = outcome.memory.get(address)
    return [] if got == wanted else [f"FAIL {what}: wanted {wanted!r}, got {got!r}"]


def release(run) -> tuple[Outcome, list[str]]:  # type: ignore[no-untyped-def]
    """Whole blocks, and what the save area says afterwards."""
    outcome = run(_script("release"), Dump(), look_at={SAVE: 0x200, BLOCKS: 8})
    found = failures(outcome)
    found += _expect_memory(outcome, BLOCKS, bytes([0, 0, 1, 1, 1, 1, 0, 0]), "the block table")
    if b"COMPLETE" in outcome.memory.get(SAVE, b"COMPLETE"):
        found.append("FAIL the save area still says complete")
    return outcome, found


def partial(run) -> tuple[Outcome, list[str]]:  # type: ignore[no-untyped-def]
    """Blocks in pieces, with holes."""
    dump = Dump(holes=((0x10001000, 0x10010000), (0x28000000, 0x30000000)))
    outcome = run(_script("partial"), dump)
    return outcome, failures(outcome)


def regions(run) -> tuple[Outcome, list[str]]:  # type: ignore[no-untyped-def]
    """A long listing, read by two at the same time."""
    holes = tuple((at, at + 0x1000) for block in (0x10001000, 0x20001000)
                  for at in range(block, block + 80 * 0x2000, 0x2000))  # fmt: skip
    outcome = run(_script("regions"), Dump(holes=holes))
    return outcome, failures(outcome)


def second_boot(run) -> tuple[Outcome, list[str]]:  # type: ignore[no-untyped-def]
    """Some blocks were released before the crash that led here."""
    dump = Dump(held=((0x18000000, 0x30000000),), claimed=((0x18000000, 0x38000000),),
                changes=("--released", "10000000-18000000"))  # fmt: skip
    outcome = run(_script("second_boot"), dump)
    return outcome, failures(outcome)


def registered(run) -> tuple[Outcome, list[str]]:  # type: ignore[no-untyped-def]
    """The save area inside the guest's own memory."""
    dump = Dump(mode="registered", save_area=(0x2E000000, 0x36000000),
                held=((0x10000000, 0x2E000000), (0x36000000, 0x38000000)))  # fmt: skip
    outcome = run(_script("registered"), dump)
    return outcome, failures(outcome)


def bad_nodes(run) -> tuple[Outcome, list[str]]:  # type: ignore[no-untyped-def]
    """Trees that make_dump_node spoils, and bytes that are no tree at all."""
    u64 = "{:016x}".format
    spoiled: dict[str, Dump] = {
        "no-marker": Dump(changes=("--drop", "ibm,dump-kernel")),
        "no-held": Dump(changes=("--drop", "hadump,held")),
        "version-2": Dump(changes=("--set", "hadump,version=00000002")),
        "other-dump": Dump(changes=("--set", "hadump,dump-id=" + "00" * 16)),
        "overlap": Dump(changes=("--set", "hadump,held=" + u64(0) + u64(0x8000000))),
        "half-block": Dump(changes=("--set", "hadump,held=" + u64(0x10000000) + u64(0x1000))),
        "table-outside": Dump(changes=("--set", "hadump,block-table=" + u64(0x10000000) + u64(4096))),
        # Well-formed, but no entry of the memory map marks the last block busy.
        "unclaimed": Dump(changes=("--set", "hadump,held=" + u64(0x10000000) + u64(0x20000000)
                                   + u64(0x38000000) + u64(0x8000000))),
    }  # fmt: skip
    trees = {name: run.tree(dump) for name, dump in spoiled.items()}
    good = run.tree(Dump())
    trees["zeros"] = bytes(64)
    trees["truncated"] = good[:0x100] + bytes(len(good) - 0x100)
    trees["huge"] = good[:4] + b"\xff\xff\xff\xff" + good[8:]
    blob = b"".join(tree.ljust(0x10000, b"\0") for tree in trees.values())
    outcome = run(_script("bad_nodes"), Dump(), extra_files={0x34000000: blob},
                  kernel_args="bad_nodes=" + ",".join(trees))  # fmt: skip
    return outcome, failures(outcome)


def queues(run) -> tuple[Outcome, list[str]]:  # type: ignore[no-untyped-def]
    """The same disk with and without the module, both times with a dump waiting."""
    seen: list[tuple[int, int]] = []
    text, found = "", []
    for argument in ("", "without_module"):
        with tempfile.NamedTemporaryFile() as disk:
            disk.truncate(1 << 20)
            outcome = run(
                _script("queues"), Dump(), kernel_args=argument, modules=("virtio_pci", "virtio_blk"),
                qemu_args=("-drive", f"file={disk.name},if=none,id=d,format=raw", "-device",
                           "virtio-blk-pci,drive=d,num-queues=2,queue-size=256"),
            )  # fmt: skip
        text += outcome.console
        found += failures(outcome)
        match = re.search(r"QUEUES (\d+) DEPTH (\d+)", outcome.console)
        seen.append((int(match[1]), int(match[2])) if match else (0, 0))
    # The depth without it is that of the default scheduler, twice 64.
    if seen != [(2, 256), (1, 128)]:
        found.append(f"FAIL (queues, depth) with and without the module: {seen}")
    return Outcome(text), found


def crash(run) -> tuple[Outcome, list[str]]:  # type: ignore[no-untyped-def]
    """A panic in the middle: the table in memory, and the held memory, are as they must be."""
    outcome = run(
        _script("crash"), Dump(), end="end Kernel panic",
        look_at={BLOCKS: 8, SAVE: 0x200, 0x10000000: 8, 0x2FFFF000: 8},
    )  # fmt: skip
    found = re.findall(r"^(FAIL .*)$", outcome.console, re.MULTILINE)
    found += _expect_memory(outcome, BLOCKS, bytes([0, 0, 0, 0, 1, 0, 0, 0]), "the block table")
    for address in (0x10000000, 0x2FFFF000):
        found += _expect_memory(outcome, address, address.to_bytes(8, "little"), f"{address:#x}")
    if b"COMPLETE" not in outcome.memory.get(SAVE, b""):
        found.append("FAIL the save area no longer says complete")
    return outcome, found


def mappings(run) -> tuple[Outcome, list[str]]:  # type: ignore[no-untyped-def]
    """Pages of /proc/vmcore that were mapped before they were released."""
    outcome = run(_script("mappings"), Dump(), programs=(run.mapper,))
    return outcome, failures(outcome)


def mapping_race(run) -> tuple[Outcome, list[str]]:  # type: ignore[no-untyped-def]
    """/proc/vmcore is mapped all the time while it is released."""
    # In the last blocks, which stay: they make a mapping of many loads.
    holes = tuple((at, at + 0x1000) for at in range(0x20100000, 0x30000000, 0x200000))
    outcome = run(_script("mapping_race"), Dump(holes=holes), programs=(run.racer,))
    return outcome, failures(outcome)


def estimate(run) -> tuple[Outcome, list[str]]:  # type: ignore[no-untyped-def]
    """release-region estimate on the running system, by /proc/kcore, with and without KASLR."""
    text, found = "", []
    for argument in ("", "nokaslr"):
        outcome = run(_script("estimate"), None, programs=(run.saver,), kernel_args=argument)
        text += outcome.console
        found += failures(outcome)
        found += _estimate_failures(outcome.console)
    return Outcome(text), found


def _estimate_failures(console: str) -> list[str]:
    line = re.search(r"^ESTIMATE (\{.*\})$", console, re.MULTILINE)
    memory = re.search(r"^MEMORY (\d+) KiB, cached (\d+)$", console, re.MULTILINE)
    if not line or not memory:
        return ["FAIL no estimate, or no /proc/meminfo"]
    seen = json.loads(line[1])
    sizes = {level["level"]: level["bytes"] for level in seen["levels"]}
    total, cached = int(memory[1]) << 10, int(memory[2]) << 10
    facts = {
        # What the firmware and the kernel keep for themselves is in the one figure, not in the other.
        "all of the memory": total <= seen["memory_bytes"] <= 1 << 30,
        # Uncompressed; but most of this memory was never used, and pages of zeros cost nothing.
        "level 0 has what is used": cached < sizes[0] < total,
        "level 2 lacks the page cache": abs(sizes[0] - sizes[2] - cached) < 0.15 * cached,
        "level 31 is the smallest": 0 < sizes[31] < sizes[2],
    }
    return [f"FAIL {fact}: {line[1]}" for fact, holds in facts.items() if not holds]


SCENARIOS = {
    "estimate": estimate,
    "mappings": mappings,
    "mapping_race": mapping_race,
    "release": release,
    "partial": partial,
    "bad_nodes": bad_nodes,
    "queues": queues,
    "second_boot": second_boot,
    "regions": regions,
    "registered": registered,
    "crash": crash,
    **{name: _plain(name) for name in ("refuse", "release_mem", "no_dump")},
}


class Runner:
    """plain_guest with this run's module and tool."""

    def __init__(self, module: Path, tool: Path, saver: Path, mapper: Path, racer: Path) -> None:
        self._module, self._tool = module, tool
        self.saver, self.mapper, self.racer = saver, mapper, racer

    def __call__(self, script: str, dump: Dump | None, **more) -> Outcome:  # type: ignore[no-untyped-def]
        return plain_guest.run(self._module, script, dump, self._tool, **more)

    def tree(self, dump: Dump) -> bytes:
        """The dump node alone."""
        return plain_guest.tree_of(self._tool, dump)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", type=Path, required=True, help="make_dump_node")
    parser.add_argument("--modules", type=Path, required=True, help="directory of RELEASE/hadump.ko")
    parser.add_argument("--saver", type=Path, required=True, help="release-region")
    parser.add_argument("--mapper", type=Path, required=True, help="map_vmcore")
    parser.add_argument("--racer", type=Path, required=True, help="race_vmcore")
    parser.add_argument("--kernel", default=r"6\.1\.0-\d+-amd64", help="release, a regular expression")
    parser.add_argument("scenario", choices=sorted(SCENARIOS))
    arguments = parser.parse_args()

    # CTest ends a test that takes too long like this; QEMU must go with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    module = newest_module(arguments.modules, arguments.kernel)

    outcome, found = SCENARIOS[arguments.scenario](
        Runner(module, arguments.tool, arguments.saver, arguments.mapper, arguments.racer)
    )
    keep_log(outcome)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
