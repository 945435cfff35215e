# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo's account (docs/spec/demo-report.md) as one page: no script, nothing from elsewhere."""

from html import escape
from typing import Any

from .report_drawings import memory_drawing, timeline_drawing

Account = dict[str, Any]

_STYLE = """
:root { --paper:#fbfaf7; --card:#fff; --ink:#1d2129; --soft:#626a78; --line:#e3e1da; --first:#8a94a6;
 --window:#2f7d5b; --held:#c2452d; --partial:#e08a3c; --released:#7fbf9c; --save:#5b6fb5;
 --hole:#ececec; --accent:#c2452d; --good:#2f7d5b; }
@media (prefers-color-scheme: dark) { :root { --paper:#15181d; --card:#1d2127; --ink:#e8e6e1;
 --soft:#9aa3b2; --line:#31363f; --first:#6d7789; --window:#4aa57c; --held:#d9634b; --partial:#d9904f;
 --released:#3c6e57; --save:#7d90d6; --hole:#2a2e35; --accent:#e5795f; --good:#5cba8f; } }
* { box-sizing:border-box; } body { margin:0; background:var(--paper); color:var(--ink);
 font:15px/1.5 system-ui,"Segoe UI","DejaVu Sans",sans-serif; }
main { max-width:1080px; margin:0 auto; padding:40px 24px 64px; }
h1 { font-size:28px; line-height:1.2; margin:0 0 6px; letter-spacing:-.01em; }
h2 { font-size:18px; margin:0 0 4px; } p { margin:0 0 12px; color:var(--soft); max-width:78ch; }
section { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:22px 24px;
 margin-top:20px; overflow-x:auto; }
.tiles { display:grid; grid-template-columns:repeat(auto-fit,minmax(150px,1fr)); gap:12px; margin-top:24px; }
.tile { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:14px 16px; }
.tile b { display:block; font-size:25px; line-height:1.2; font-variant-numeric:tabular-nums; }
.tile span { color:var(--soft); font-size:13px; }
svg { display:block; width:100%; height:auto; } svg text { fill:var(--ink); font-size:13px; }
svg .soft { fill:var(--soft); font-size:12px; } svg .grid { stroke:var(--line); }
#memory rect { shape-rendering:crispEdges; } svg text.inside { fill:#fff; }
.first { fill:var(--first); } .window { fill:var(--window); } .held { fill:var(--held); }
.partial { fill:var(--partial); } .released { fill:var(--released); } .save-area { fill:var(--save); }
.hole { fill:var(--hole); } .mark { stroke:var(--ink); stroke-dasharray:3 3; opacity:.55; }
.legend { display:flex; flex-wrap:wrap; gap:6px 18px; margin:10px 0 0; font-size:13px; color:var(--soft); }
.legend svg { display:inline-block; width:12px; height:12px; margin-right:6px; vertical-align:-1px; }
table { border-collapse:collapse; font-size:14px; } th, td { text-align:left; padding:4px 20px 4px 0;
 border-bottom:1px solid var(--line); } th { color:var(--soft); font-weight:500; }
td.number { text-align:right; font-variant-numeric:tabular-nums; }
h3 { font-size:14px; margin:0 0 6px; } .cpu + .cpu { margin-top:18px; }
.registers { display:grid; grid-template-columns:repeat(auto-fill,minmax(230px,1fr)); gap:1px 16px; }
.registers span { display:inline-block; width:52px; color:var(--soft); }
pre, code, .registers { font:12.5px/1.55 ui-monospace,"DejaVu Sans Mono",monospace; }
pre { margin:0; white-space:pre-wrap; overflow-wrap:anywhere; } pre .panic { color:var(--accent); font-weight:700; }
.good { color:var(--good); } .bad { color:var(--accent); }
"""


def page(account: Account) -> str:
    """The whole page."""
    guest = account["guest"]
    title = f"A crash of Linux {guest['kernel_release']}, and its way back"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>A guest with {guest['memory_mib']} MiB and {guest['vcpus']} CPUs on an emulated Xen host. It"
        " panicked, hadumpd restarted it in a window of its own memory, it saved its old memory to its own"
        " disk, and it has all of its memory back. Times are seconds since the panic.</p>",
        _tiles(account),
        _section("What happened", "", timeline_drawing(account)),
        _section("The guest's memory over time", "Guest-physical addresses upwards, time to the right. Held"
                 " memory is the crashed kernel's: unusable until it is saved.",
                 memory_drawing(account)),
        _section("The crashed kernel's last words", "Read out of the dump: the panic, its cause, and what"
                 " came after it.", _log(account["kernel_log_tail"])),
        _section("Registers", "Of each CPU at the crash, from the dump's CPU notes.",
                 _registers(account.get("cpus", []))),
        _section("Every page compared", "Before hadumpd touched the crashed guest, an independent program"
                 " read every frame of it. The finished dump, frame by frame:", _pages(account)),
    ]  # fmt: skip
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><link rel=\"icon\" href=\"data:,\"><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _section(title: str, text: str, content: str) -> str:
    about = f"<p>{escape(text)}</p>" if text else ""
    return f"<section><h2>{escape(title)}</h2>{about}{content}</section>"


def _tiles(account: Account) -> str:
    at = {one["step"]: one["at_s"] for one in account["timeline"]}
    pages, memory, sizes = account["pages"], account["memory_kib"], account["sizes"]
    wrong = pages["different"] + pages["missing"]
    tiles = [
        (f"{at['userspace-up']:.1f} s", "from the panic to userspace"),
        (f"{at['memory-back']:.1f} s", "until all memory was back"),
        (f"{wrong}", f"wrong pages of {pages['compared']:,}"),
        (f"{sizes['dump_bytes'] >> 20} MiB", f"dump of {sizes['ram_bytes'] >> 20} MiB of RAM"),
        (f"{memory['after'] >> 10} MiB", f"MemTotal now; {memory['before'] >> 10} MiB before"),
        (f"{account['reboots']}", "reboot in all"),
    ]
    cells = [f'<div class="tile"><b>{escape(big)}</b><span>{escape(small)}</span></div>'
             for big, small in tiles]  # fmt: skip
    return f'<div class="tiles">{"".join(cells)}</div>'


def _log(lines: list[str]) -> str:
    shown = [escape(line) for line in lines]
    if shown:
        shown[0] = f'<span class="panic">{shown[0]}</span>'
    return "<pre>" + "\n".join(shown) + "</pre>"


def _registers(cpus: list[dict[str, str]]) -> str:
    if not cpus:
        return "<p>The account has none.</p>"
    return f'<div class="cpus">{"".join(map(_cpu, range(len(cpus)), cpus))}</div>'


def _cpu(index: int, words: dict[str, str]) -> str:
    """Instruction and stack pointer first, the others beside each other."""
    first = [name for name in ("rip", "rsp", "rflags") if name in words]
    names = [*first, *(name for name in words if name not in first)]
    cells = [f"<div><span>{escape(name)}</span> {escape(words[name])}</div>" for name in names]
    return f'<div class="cpu"><h3>CPU {index}</h3><div class="registers">{"".join(cells)}</div></div>'


def _pages(account: Account) -> str:
    pages = account["pages"]
    meaning = {
        "equal": "equal, byte by byte",
        "explained_by_xen": "written to by Xen since; each change looked at",
        "different": "different",
        "missing": "missing",
        "extra": "in the dump, but not in the guest",
    }
    rows = []
    for key, text in meaning.items():
        bad = key in ("different", "missing", "extra") and pages[key]
        kind = "bad" if bad else "good" if key == "equal" else ""
        rows.append(f'<tr><td class="number {kind}">{pages[key]:,}</td><td>{text}</td></tr>')
    whys = [f"<tr><td><code>{one['gfn']:#x}</code></td><td>{escape(one['why'])}</td></tr>"
            for one in pages["explained"]]  # fmt: skip
    why = f"<table><tr><th>frame</th><th>what Xen wrote there</th></tr>{''.join(whys)}</table>" if whys else ""
    return f"<table>{''.join(rows)}</table>{why}"
