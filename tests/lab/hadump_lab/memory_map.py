# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of a guest's memory is whose while its dump is saved: it writes that down itself, cheaply."""

import base64
import gzip
from typing import Any

from .guest import Guest
from .overlay import Overlay

# Each second while a dump waits, when something has changed. Ends by itself.
_SAMPLE = """[ -e /sys/kernel/hadump/regions ] || exit 0
while :; do
  now=$(cat /sys/kernel/hadump/regions)
  if [ "$now" != "$last" ]; then
    echo "@ $(cut -d' ' -f1 /proc/uptime)"
    echo "$now"
    last=$now
  fi
  [ "$(cat /sys/kernel/hadump/mem_held)" != 0 ] || exit 0
  sleep 1
done >/run/regions.log 2>/dev/null &
"""


def with_sampling(overlay: Overlay) -> Overlay:
    """Lets a guest do so at every boot, before it begins to save."""
    return overlay.script("45-memory-map", _SAMPLE)


def samples(guest: Guest, booted: float) -> list[dict[str, Any]]:
    """What the guest has written down; `booted` is when its uptime was 0."""
    sent = guest.exec("gzip -c /run/regions.log | base64")[1]
    return parse(gzip.decompress(base64.b64decode(sent)).decode(), booted)


def parse(text: str, booted: float) -> list[dict[str, Any]]:
    """Samples in the form of docs/spec/demo-report.md."""
    found: list[dict[str, Any]] = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["@"]:
            found.append({"at_s": round(booted + float(words[1]), 2), "regions": []})
        elif len(words) == 3 and found:
            region = {"start": int(words[0], 16), "end": int(words[1], 16), "state": words[2]}
            found[-1]["regions"].append(region)
    return [sample for sample in found if sample["regions"]]
