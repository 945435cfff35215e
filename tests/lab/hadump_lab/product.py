# SPDX-License-Identifier: GPL-2.0-or-later
"""What the lab tests: this tree's programs and module, as they are installed in dom0 and a guest."""

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .build_root import make_module
from .errors import LabError
from .headers import headers_for
from .kernel import Kernel, kernel
from .overlay import Overlay
from .packages import Archive, say
from .paths import SOURCE_DIR, building, cache_dir, locked
from .waiting import GrowingLog, wait_until

if TYPE_CHECKING:
    from .host import Host

_BOOT = SOURCE_DIR / "guest" / "boot"
_AGENT_LOG = "hadumpd.log"
# What the initramfs hook and the udev rule do on a real guest. modprobe, unlike insmod, passes on
# what the kernel's command line has for the module.
_LOAD = """echo extra/hadump.ko: >>/lib/modules/$(uname -r)/modules.dep
modprobe hadump || echo "hadump.ko does not load"
echo online >/sys/devices/system/memory/auto_online_blocks
"""


def build_dir() -> Path:
    """The CMake build directory whose programs are tested: ${HADUMP_BUILD}, or build/release."""
    return Path(os.environ.get("HADUMP_BUILD") or SOURCE_DIR / "build" / "release")


def program(path: str) -> Path:
    """A built program, by its place in the build directory."""
    found = build_dir() / path
    if not found.exists():
        raise LabError(f"{found} is not built; ./check builds it")
    return found


def module_for(kern: Kernel) -> Path:
    """hadump.ko for a guest's kernel, built when the build tree has none for it."""
    built = build_dir() / "guest" / "module" / kern.release / "hadump.ko"
    if built.exists():
        return built
    archive = Archive()
    headers = headers_for(kern, archive)
    final = cache_dir() / "module" / kern.release
    sources = sorted((SOURCE_DIR / "guest" / "module").iterdir())
    sources.append(SOURCE_DIR / "core" / "abi" / "hadump_abi.h")
    newest = max(path.stat().st_mtime for path in sources)
    with locked(cache_dir() / "module.lock"):
        if not final.exists() or (final / "hadump.ko").stat().st_mtime < newest:
            say(f"building hadump.ko for {kern.release}")
            with building(final) as temporary:
                for path in sources:
                    if path.suffix in (".c", ".h") or path.name in ("Kbuild", "Makefile"):
                        (temporary / path.name).write_bytes(path.read_bytes())
                if headers.has_compiler():
                    _run(["make", "-s", "-C", str(temporary), f"KDIR={headers.tree}"])
                else:
                    make_module(headers, temporary, archive)
    return final / "hadump.ko"


def guest_overlay(kernel_spec: str, settings: str = "") -> Overlay:
    """The guest side: the module as the initramfs hook loads it, the saver, the boot script.

    `settings`: lines for /etc/hadump/release-region.conf, after the shipped ones.
    """
    kern = kernel(Archive(), kernel_spec)
    config = (_BOOT / "release-region.conf").read_text(encoding="utf-8")
    return (
        Overlay()
        .module(module_for(kern), kern.release)
        .program(program("userspace/release_region/release-region"))
        .file("usr/lib/hadump/hadump-save", _BOOT / "hadump-save", 0o755)
        .file("usr/lib/hadump/hadump-boot-memory", _BOOT / "hadump-boot-memory", 0o755)
        .file("usr/lib/hadump/hadump-memory", _BOOT / "hadump-memory", 0o755)
        .file("usr/lib/hadump/held-pages.sh", _BOOT / "held-pages.sh")
        .file("usr/lib/hadump/held-sysctls.sh", _BOOT / "held-sysctls.sh")
        .file("usr/lib/hadump/other-saver.sh", _BOOT / "other-saver.sh")
        .file("usr/lib/hadump/save-conf.sh", _BOOT / "save-conf.sh")
        .file("usr/lib/hadump/save-files.sh", _BOOT / "save-files.sh")
        .file("usr/lib/hadump/save-target.sh", _BOOT / "save-target.sh")
        .file("usr/lib/hadump/trusted-files.sh", _BOOT / "trusted-files.sh")
        .file("etc/hadump/release-region.conf", f"{config}\n{settings}\n")
        .script("00-hadump", _LOAD, early=True)
        .script("50-hadump-save", "/usr/lib/hadump/hadump-save\n")
    )


def _confined() -> str:
    """As systemd confines the service, as far as that can be done without systemd."""
    unit = program("hv/hadumpd/hadumpd.service").read_text()
    dropped = " ".join(re.findall(r"^CapabilityBoundingSet=~(.*)$", unit, re.MULTILINE)).split()
    names = ",".join("-" + name.removeprefix("CAP_").lower() for name in dropped)
    return f"unshare --mount --net -- setpriv --no-new-privs --bounding-set={names} --"


@dataclass
class Agent:
    """hadumpd in dom0."""

    host: "Host"
    config: str = ""
    job: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.log = GrowingLog(self.host.share / "log" / _AGENT_LOG)
        self.host.follow(self.log)

    def install(self) -> None:
        """Copies the programs and writes the configuration."""
        self.host.install([program("hv/hadumpd/hadumpd"), program("hv/hadump/hadump")])
        self._write_config()

    def configure(self, text: str) -> None:
        """Another configuration for the daemon that runs."""
        self.config = text
        self._write_config()
        since = self.log.mark()
        self.signal("HUP")
        self.log.wait_for("configuration read again", 60, since)

    def _write_config(self) -> None:
        self.host.exec(
            f"mkdir -p /etc/hadump && cat >/etc/hadump/hadumpd.conf <<'EOF'\n{self.config}\nEOF"
        )

    def start(self, kill_at: str | None = None, hang_at: str | None = None) -> None:
        """Starts the daemon.  `kill_at`: the step after which it kills itself; docs/testing.md."""
        env = {"HADUMP_KILL_AT": kill_at, "HADUMP_HANG_AT": hang_at}
        env = {name: value for name, value in env.items() if value}
        self.job = self.host.begin(
            f"exec {_confined()} hadumpd >>/share/log/{_AGENT_LOG} 2>&1", env
        )
        wait_until(
            lambda: self.ended() or self.host.exec("hadump list", check=False).status == 0,
            20, "hadumpd answers",
        )  # fmt: skip
        if self.ended() and not kill_at:
            raise LabError(f"hadumpd ended:\n{self.log.text()}")

    def ended(self) -> bool:
        """Whether the process that start() began has ended."""
        return self.job is not None and self.host.finished(self.job) is not None

    def wait_ended(self, timeout: float = 60) -> None:
        """Waits for the end of the process, for a start with `kill_at`."""
        wait_until(self.ended, timeout, "hadumpd has ended")

    def signal(self, name: str) -> None:
        """Sends STOP, CONT, TERM or KILL."""
        self.host.exec(f"kill -{name} $(pidof hadumpd)")

    def status(self, guest: str) -> dict[str, Any]:
        """`hadump status --json` of one domain: the only element of the array that it prints."""
        output = self.host.exec(f"hadump status --json {guest}").output
        found: dict[str, Any] = json.loads(output)[0]
        return found


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout[-3000:]}")
