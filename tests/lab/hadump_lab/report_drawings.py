# SPDX-License-Identifier: GPL-2.0-or-later
"""The two drawings of the demo's page, as SVG: the way back, step by step, and the guest's memory."""

from html import escape
from typing import Any

Account = dict[str, Any]
Region = tuple[int, int, str]

STEPS = {
    "panic": "the kernel panics",
    "snapshot-done": "CPU state, translations and low memory are safe, and verified",
    "reset-done": "devices disconnected, domain reset; RAM untouched",
    "kernel-started": "the same kernel starts, in the window",
    "userspace-up": "userspace is up: back in production",
    "dump-saved": "the dump is complete on the guest's own disk",
    "memory-back": "all memory is back; no second reboot",
}
_LEGEND = {
    "first": "in use, before the crash",
    "window": "the window: in use, by the restarted kernel",
    "held": "held: the crashed kernel's memory",
    "partial": "partly saved",
    "released": "saved and in use again",
    "save-area": "save area, lent by the host",
}
_WIDTH, _LEFT, _RIGHT = 1000.0, 90.0, 14.0
_MIB = 1 << 20


def timeline_drawing(account: Account) -> str:
    """One row a step: a bar from the step before it to its end."""
    steps = [(one["step"], float(one["at_s"])) for one in account["timeline"]]
    end = max(at for _, at in steps) or 1.0
    row, top, left = 30.0, 8.0, 14.0
    scale = (_WIDTH - 2 * left) / end
    height = top + row * len(steps) + 26
    parts = _time_axis(0.0, end, lambda at: left + at * scale, top, top + row * len(steps))
    before = 0.0
    for index, (step, at) in enumerate(steps):
        y = top + index * row
        x, width = left + before * scale, max((at - before) * scale, 3.0)
        kind = "held" if step in ("panic", "snapshot-done", "reset-done") else "window"
        text = f"{at:.1f} s  {STEPS.get(step, step)}"
        parts.append(f'<rect class="{kind}" x="{x:.1f}" y="{y + 6:.1f}" width="{width:.1f}" height="16" rx="3">'
                     f"<title>{escape(text)}</title></rect>")  # fmt: skip
        needed = 7.2 * len(text) + 8
        kind, where, anchor = "", x + width + 8, "start"
        if _WIDTH - (x + width) < needed:  # Left of the bar, or in it.
            kind, where, anchor = ("", x - 8, "end") if x > needed else ("inside", x + 10, "start")
        parts.append(f'<text class="{kind}" x="{where:.1f}" y="{y + 18.5:.1f}" text-anchor="{anchor}">'
                     f"{escape(text)}</text>")  # fmt: skip
        before = at
    return _svg("timeline", height, parts, "The steps from the panic until all memory is back")


def memory_drawing(account: Account) -> str:
    """Columns between the moments at which something changed; rows are the guest's addresses."""
    columns = _columns(account)
    extents = _extents(columns)
    total = sum(stop - start for start, stop in extents)
    start_s, end_s = columns[0][0], columns[-1][1]
    top, tall = 18.0, 330.0
    gap = 14.0  # Between extents: addresses where there is no memory.
    per_byte = (tall - gap * (len(extents) - 1)) / total
    x_scale = (_WIDTH - _LEFT - _RIGHT) / (end_s - start_s)

    def x_of(at: float) -> float:
        return _LEFT + (at - start_s) * x_scale

    def y_of(address: int) -> float:
        y = top + tall
        for begin, stop in extents:
            if address <= stop:
                return y - (address - begin) * per_byte
            y -= (stop - begin) * per_byte + gap
        return top

    parts = _time_axis(start_s, end_s, x_of, top - 6, top + tall)
    for begin, stop, regions in columns:
        for low, high, state in regions:
            y, height = y_of(high), (high - low) * per_byte
            x, width = x_of(begin), (stop - begin) * x_scale
            parts.append(
                f'<rect class="{state}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
                f"<title>{low >> 20} to {high >> 20} MiB: {_LEGEND.get(state, state)}, from {begin:.1f} s</title></rect>"
            )
    for address in sorted({edge for extent in extents for edge in extent}):
        parts.append(f'<text class="soft" x="{_LEFT - 8}" y="{y_of(address) + 4:.1f}" text-anchor="end">'
                     f"{_size(address)}</text>")  # fmt: skip
    at = {one["step"]: one["at_s"] for one in account["timeline"]}
    for step, name in (("panic", "panic"), ("userspace-up", "userspace up"), ("dump-saved", "dump saved")):
        x = x_of(at[step])
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 4}" y2="{top + tall}"/>')
        anchor = "end" if step == "dump-saved" else "start"
        parts.append(f'<text class="soft" x="{x:.1f}" y="{top - 7}" text-anchor="{anchor}">{name}</text>')
    seen = {state for _, _, regions in columns for _, _, state in regions}
    legend = "".join(
        f'<span><svg viewBox="0 0 12 12"><rect class="{state}" width="12" height="12" rx="2"/></svg>{text}</span>'
        for state, text in _LEGEND.items() if state in seen
    )  # fmt: skip
    drawing = _svg("memory", top + tall + 26, parts, "Which memory was whose, over time")
    return f'{drawing}<div class="legend">{legend}</div>'


def _columns(account: Account) -> list[tuple[float, float, list[Region]]]:
    """(from, to, what every address was) from shortly before the panic to shortly after the end."""
    at = {one["step"]: float(one["at_s"]) for one in account["timeline"]}
    samples = [
        (float(one["at_s"]), [(r["start"], r["end"], r["state"]) for r in one["regions"]])
        for one in account.get("memory_map", [])
    ]
    first = samples[0][1] if samples else [(0, account["sizes"]["ram_bytes"], "held")]
    ram = [(low, high) for low, high, state in first if state != "save-area"]
    end = at["memory-back"]
    margin = max(end * 0.04, 1.0)
    columns = [
        (-margin, 0.0, [(low, high, "first") for low, high in ram]),
        (0.0, at["kernel-started"], [(low, high, "held") for low, high in ram]),
    ]
    moment, regions = at["kernel-started"], first
    for when, following in samples[1:]:
        if when > moment:
            columns.append((moment, when, regions))
            moment, regions = when, following
    columns.append((moment, end, regions))
    columns.append((end, end + margin, [(low, high, "released") for low, high in ram]))
    window = [(low, high) for low, high, state in first if state == "window"]
    columns[-1][2].extend((low, high, "window") for low, high in window)
    return columns


def _extents(columns: list[tuple[float, float, list[Region]]]) -> list[tuple[int, int]]:
    """Where there is ever memory, joined."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted({(low, high) for _, _, regions in columns for low, high, _ in regions}):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined


def _time_axis(start: float, end: float, x_of: Any, top: float, bottom: float) -> list[str]:
    step = next(s for s in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800) if (end - start) / s <= 10 or s == 1800)
    parts = []
    tick = 0
    while tick <= end:
        x = x_of(float(tick))
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom + 4:.1f}"/>')
        parts.append(f'<text class="soft" x="{x:.1f}" y="{bottom + 19:.1f}" text-anchor="middle">{tick} s</text>')
        tick += step
    return parts


def _size(address: int) -> str:
    return f"{address / (1 << 30):g} GiB" if address % (1 << 28) == 0 and address else f"{address // _MIB} MiB"


def _svg(name: str, height: float, parts: list[str], label: str) -> str:
    return (f'<svg id="{name}" role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH:.0f} {height:.0f}">'
            f"{''.join(parts)}</svg>")  # fmt: skip
