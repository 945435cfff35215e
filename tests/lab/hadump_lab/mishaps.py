# SPDX-License-Identifier: GPL-2.0-or-later
"""What is to go wrong at a crash and while its dump is saved, drawn at random."""

import random
from dataclasses import dataclass

STEPS = (
    "paused", "vcpus-saved", "memory-added", "low-copied", "snapshot-complete",
    "backends-disconnected", "reset", "loaded", "reconnected", "vcpus-set", "started", "done",
)  # fmt: skip


@dataclass(frozen=True)
class Mishap:
    """Of a kind, so long after the save was begun, in shares of a save's usual time."""

    kind: str
    after: float
    number: int  # What it needs besides: MiB that stay free, or a seed.


@dataclass(frozen=True)
class Plan:
    """What is to happen in a run: to the agent at the crash, and while the dump is saved."""

    agent: str  # calm, absent, "kill-at STEP[ STEP]", "kill-after SECONDS"
    mishaps: tuple[Mishap, ...]

    def __str__(self) -> str:
        words = [f"{one.kind} at {one.after:.2f}" for one in self.mishaps]
        return f"agent {self.agent}; {', '.join(words) or 'an undisturbed save'}"


def draw_plan(draw: random.Random, kinds: list[str]) -> Plan:
    """Depends on nothing but `kinds` of mishaps and what `draw` was made from."""
    agent = draw.choices(["calm", "step", "steps", "after", "absent"], [3, 4, 2, 3, 1])[0]
    if agent == "step":
        agent = f"kill-at {draw.choice(STEPS)}"
    elif agent == "steps":
        chosen = sorted(draw.sample(range(len(STEPS)), 2))
        agent = "kill-at " + " ".join(STEPS[index] for index in chosen)
    elif agent == "after":
        agent = f"kill-after {draw.uniform(0, 10):.2f}"
    count = draw.choices([0, 1, 2, 3], [1, 4, 3, 2])[0]
    mishaps = [
        Mishap(draw.choice(kinds), draw.uniform(0, 0.9), draw.randrange(2, 40))
        for _ in range(count)
    ]
    return Plan(agent, tuple(mishaps))
