#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo's page in a real browser, and what it is made of.  usage: report_test.py [SCREENSHOT]"""

import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.dont_write_bytecode = True

from hadump_lab import dump_facts, memory_map, report_page  # noqa: E402

ACCOUNT = json.loads((HERE / "account.json").read_text(encoding="utf-8"))
# Nothing of it may ask the network, least of all for what the page does not have.
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-default-apps",
         "--disable-domain-reliability", "--disable-sync", "--no-first-run", "--no-pings",
         "--host-resolver-rules=MAP * ~NOTFOUND")  # fmt: skip


def browse(page: Path, *options: str) -> tuple[str, str]:
    """What Chromium prints, and what it logs: errors on the page's console, too."""
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             f"--user-data-dir={profile}", "--enable-logging=stderr", *QUIET, *options, page.as_uri()],
            text=True, capture_output=True, timeout=100, check=True,
        )  # fmt: skip
    return done.stdout, done.stderr


class Page(unittest.TestCase):
    """Once through the browser, several facts."""

    @classmethod
    def setUpClass(cls) -> None:
        with tempfile.TemporaryDirectory() as name:
            page = Path(name) / "page.html"
            cls.source = report_page.page(ACCOUNT)
            page.write_text(cls.source, encoding="utf-8")
            cls.dom, cls.log = browse(page, "--dump-dom")

    def drawing(self, name: str) -> str:
        match = re.search(rf'<svg id="{name}".*?</svg>', self.dom, re.DOTALL)
        self.assertIsNotNone(match, f"no drawing {name}")
        return match[0]

    def test_the_console_has_no_errors(self) -> None:
        self.assertEqual(re.findall(r".*CONSOLE.*", self.log), [])

    def test_it_needs_nothing_from_elsewhere(self) -> None:
        self.assertEqual(re.findall(r"""(?:src|href)="(?!data:)[^"]*"|url\(|@import|<script""", self.source), [])

    def test_the_timeline_has_a_bar_and_a_text_for_each_step(self) -> None:
        drawing = self.drawing("timeline")
        self.assertEqual(drawing.count("<rect"), len(ACCOUNT["timeline"]))
        for step in ("the kernel panics", "back in production", "all memory is back"):
            self.assertIn(step, drawing)

    def test_the_memory_is_drawn_in_every_state_that_it_had(self) -> None:
        drawing = self.drawing("memory")
        regions = [region for sample in ACCOUNT["memory_map"] for region in sample["regions"]]
        self.assertGreaterEqual(drawing.count("<rect"), len(regions))
        for state in {region["state"] for region in regions} | {"first"}:
            self.assertIn(f'class="{state}"', drawing)
        sizes = [float(size) for size in re.findall(r'(?:width|height)="(-?[\d.]+)"', drawing)]
        self.assertTrue(all(size > 0 for size in sizes), "a rectangle without an area")

    def test_it_has_the_log_the_registers_and_the_comparison(self) -> None:
        text = re.sub(r"<[^>]+>", " ", self.dom)
        self.assertIn("Kernel panic - not syncing: sysrq triggered crash", text)
        self.assertIn("&lt;nobody's &amp; everybody's&gt;", text)
        for cpu in ACCOUNT["cpus"]:
            self.assertIn(cpu["rip"], text)
        self.assertIn("261,884", text)
        self.assertIn("shared info: the wall clock", text)


class LastWords(unittest.TestCase):
    """Of a kernel log."""

    OOPS = [
        "[ 1.0] something before",
        "[ 2.0] BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "[ 2.1] Oops: 0002 [#1] PREEMPT SMP NOPTI",
        "[ 2.2] RAX: 0000000000000000 RBX: ffff888003a5c000",
        "[ 2.3] Kernel panic - not syncing: Fatal exception",
        "[ 2.4] Kernel Offset: disabled",
        "[ 2.5] R10: 0000000000000000 R11: 0000000000000246",
        "[ 2.6] ---[ end Kernel panic - not syncing: Fatal exception ]---",
    ]

    def test_they_begin_with_the_panic_and_its_cause_and_have_no_registers(self) -> None:
        found = dump_facts.last_words(self.OOPS, 10)
        self.assertEqual(found, [self.OOPS[index] for index in (4, 1, 2, 5)])

    def test_a_log_without_a_panic_is_shown_from_its_end(self) -> None:
        self.assertEqual(dump_facts.last_words(["a", "b", "c"], 2), ["b", "c"])


class MemoryMap(unittest.TestCase):
    """The guest's own notes."""

    def test_samples_have_the_time_since_the_panic(self) -> None:
        found = memory_map.parse("@ 12.5\n0x0 0x10000000 window\n0x10000000 0x20000000 held\n@ 80.1\n", 10.0)
        self.assertEqual(len(found), 1, "a sample without regions is none")
        self.assertEqual(found[0]["at_s"], 22.5)
        self.assertEqual(found[0]["regions"][1], {"start": 1 << 28, "end": 1 << 29, "state": "held"})


if __name__ == "__main__":
    if len(sys.argv) == 2:
        target = Path(sys.argv[1])
        target.with_suffix(".html").write_text(report_page.page(ACCOUNT), encoding="utf-8")
        browse(target.with_suffix(".html"), f"--screenshot={target}", "--window-size=1180,2250")
        sys.exit()
    unittest.main()
