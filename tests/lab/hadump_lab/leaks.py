# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host hands to the next domain: nothing of the last owner's."""

from collections.abc import Iterator
from contextlib import contextmanager

from .guest import Guest
from .host import Host
from .scenario import Lab

TEXT = "SENTINEL-OF-THE-CRASHED-KERNEL"
_KERNEL = "/run/hadump/twin-kernel"  # hadumpd's: it does nothing, and the builder writes a few pages.
_OVERHEAD_MIB = 40  # What Xen needs beside a domain's memory, most of it for its page tables.
# The kernel, the start info, ACPI tables, and what else the builder writes.
_BUILDERS_FRAMES = 128


def prepare(guest: Guest) -> None:
    """Plants a text, and clears what is free: Xen clears the memory of a domain that ends.

    The text goes into the kernel's log, which is in low memory and so in a copy of it.  What was free
    since the host's boot still has pieces of its boot image.
    """
    guest.exec(f"echo {TEXT} >/dev/kmsg")
    with _taker(guest.host):
        pass


def check(lab: Lab, host: Host) -> None:
    """Gives all free memory to a domain that never runs, and looks at every frame of it."""
    host.install([lab.program("find-leaks")])
    with _taker(host) as memory:
        found = host.exec(f"find-leaks $(xl domid taker) {memory} {TEXT}", timeout=300)
    lab.note(found.output)
    frames, not_zero, with_text = (int(number) for number in found.output.split()[-3:])
    lab.check(frames > memory * 250, f"a new domain over all free memory has {frames} frames")
    lab.check(with_text == 0, f"{with_text} of them have a text of the crashed kernel")
    lab.check(
        not_zero <= _BUILDERS_FRAMES,
        f"{not_zero} of them are not zero, and the domain's builder writes as many",
    )


@contextmanager
def _taker(host: Host) -> Iterator[int]:
    """A paused domain over all free memory; yields its size in MiB."""
    memory = int(host.exec("xl info free_memory").output) - _OVERHEAD_MIB
    settings = (
        'name="taker"', 'type="pvh"', f'kernel="{_KERNEL}"', f"memory={memory}", "vcpus=1",
        'on_crash="destroy"',
    )  # fmt: skip
    lines = "\n".join(settings)
    host.exec(f"cat >/run/taker.cfg <<'EOF'\n{lines}\nEOF")
    host.exec("xl create -p /run/taker.cfg", timeout=120)
    try:
        yield memory
    finally:
        host.exec("xl destroy taker", timeout=120)
