# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest on the emulated host: configuration, console, commands, crash, disk image."""

import json
import shlex
import subprocess
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import loader
from .channel import HIDDEN, ConsoleChannel
from .cpio import Tree
from .errors import CheckFailed, CommandFailed
from .images import STANDARD_KERNEL, guest_image
from .kernel import Kernel
from .overlay import Overlay
from .packages import Archive
from .waiting import GrowingLog, Seen, wait_until

if TYPE_CHECKING:
    from .host import Host, Result

_DEVICE_MODEL = Path("/usr/libexec/xen-qemu-system-i386")  # Of qemu-system-xen.
_KEYMAP = Path("/usr/share/qemu/keymaps/en-us")  # It does not start without.
# What an HVM guest boots with: a BIOS, and option ROMs that load kernel and initrd.
_FIRMWARE = [
    *(Path("/usr/share/seabios", name) for name in ("bios-256k.bin", "vgabios-stdvga.bin")),
    *(
        Path("/usr/share/qemu", name)
        for name in ("linuxboot_dma.bin", "linuxboot.bin", "kvmvapic.bin", "pvh.bin")
    ),
]
# As little as a device model can have; the console is the paravirtual one.
_HVM = ['vga="none"', "vnc=0", "sdl=0", "usb=0", 'serial="none"', "xen_platform_pci=1"]
_GONE = 9  # Exit status.
# For kernels under emulation: without this, scenarios take a sixth longer.
QUICK = "mitigations=off cryptomgr.notests pci=noearly 8250.nr_uarts=0"
UP = r"HADUMP-LAB userspace up uptime=([\d.]+) mem=(\d+) cpus=(\d+) boot_id=(\S+)"


@dataclass(frozen=True)
class GuestConfig:
    """How xl is to create the guest."""

    name: str = "guest"
    memory_mib: int = 1024
    maxmem_mib: int | None = None  # Above memory_mib: the guest starts ballooned.
    vcpus: int = 1  # Two wait for each other on the one processor: a boot takes twice as long.
    kernel: str = STANDARD_KERNEL  # A package: NAME or NAME/SUITE.
    compressed: bool = False  # Give Xen the bzImage; takes 15 s longer under emulation.
    boot_loader: bool = False  # Give Xen a GRUB that boots the bzImage.
    cmdline: str = ""
    shipped: bool = False  # As on a user's machine: with what QUICK leaves out, and xen_scripts.
    xen_scripts: bool = False  # Xen's own block and vif-bridge: 15 s more for a life under emulation.
    disk_gib: int = 16  # 0: no disk.  Sparse, ext4, at /var/crash.
    kind: str = "pvh"  # Or pv; or hvm, with a device model, whose boot takes more than a minute.
    qdisk: bool = False  # The disk comes from a QEMU in dom0, as one in qcow2 would.
    network: bool = True
    on_crash: str = "preserve"
    on_reboot: str = "restart"
    extra: str = ""  # Further lines for the configuration.
    # Not compared, not stored: only needed to create it.
    overlay: Overlay | None = field(default=None, compare=False)

    @property
    def is_hvm(self) -> bool:
        """It has a device model."""
        return self.kind == "hvm"


class Guest:
    """Made by Host.create_guest()."""

    mount_point = "/var/crash"  # Of its disk.

    def __init__(self, host: "Host", config: GuestConfig, slot: int) -> None:
        self.host = host
        self.config = config
        self.slot = slot
        self.address = ""
        self._domid = 0  # When it was last typed to.
        self.kernel_path = ""  # In dom0: what a boot loader boots, too.
        self.log = GrowingLog(host.share / "console" / f"guest-{config.name}.log", HIDDEN)
        host.follow(self.log)
        self._channel = ConsoleChannel(self.log, self.type)

    @classmethod
    def load(cls, host: "Host", path: Path) -> "Guest":
        """A guest that another process created on this host."""
        state = json.loads(path.read_text(encoding="utf-8"))
        guest = cls(host, GuestConfig(**state["config"]), state["slot"])
        guest.address = state["address"]
        return guest

    @property
    def directory(self) -> str:
        """Where dom0 has the guest's kernel, initrd and configuration."""
        return f"/scratch/guests/{self.config.name}"

    @property
    def config_path(self) -> str:
        """The xl configuration, in dom0."""
        return f"{self.directory}/{self.config.name}.cfg"

    @property
    def disk_image(self) -> Path:
        """The disk, as a file on this machine."""
        return self.host.directory / f"disk{self.slot}.img"

    def create(self, address: str) -> None:
        """Makes disk and initrd, and creates the domain.  `address`: ADDRESS/BITS."""
        self.address = address.partition("/")[0]
        kernel_path = self._put_files(address)
        if self.config.qdisk or self.config.is_hvm:
            self._install_device_model()
        if self.config.is_hvm:
            self._install_firmware()
        text = self.xl_config(kernel_path)
        self.host.exec(f"cat >{self.config_path} <<'EOF'\n{text}EOF")
        stored = asdict(replace(self.config, overlay=None))
        state = {"config": stored, "slot": self.slot, "address": self.address}
        path = self.host.directory / "guests" / f"{self.config.name}.json"
        path.write_text(json.dumps(state), encoding="utf-8")
        self.host.exec(f"xl create {self.config_path}", timeout=60)

    def _install_device_model(self) -> None:
        """The QEMU that libxl starts for disks; it is as large as all else in dom0's image."""
        if self.host.exec(f"test -e {_DEVICE_MODEL}", check=False).status != 0:
            self.host.install([_DEVICE_MODEL])
            self.host.put(_KEYMAP, str(_KEYMAP))
            installed = f"/usr/sbin/{_DEVICE_MODEL.name}"
            self.host.exec(f"mkdir -p {_DEVICE_MODEL.parent} && mv {installed} {_DEVICE_MODEL}")

    def _install_firmware(self) -> None:
        for path in _FIRMWARE:
            self.host.exec(f"mkdir -p {path.parent}")
            self.host.put(path, str(path))

    def _put_files(self, address: str) -> str:
        """Makes disk and initrd; returns where dom0 has the kernel."""
        config = self.config
        image = guest_image(Archive(), config.kernel)
        if config.disk_gib:
            from .host import make_ext4  # pylint: disable=import-outside-toplevel,cyclic-import

            make_ext4(self.disk_image, config.disk_gib << 30)
        initrd = self.host.share / "in" / f"{config.name}.initrd"
        write_initrd(initrd, image.initrd, config, address)
        self.host.exec(
            f"mkdir -p {self.directory} && cp /share/in/{initrd.name} {self.directory}/initrd"
        )
        self.kernel_path = self._put_kernel(image.kernel)
        if config.boot_loader:
            made = self.host.share / "in" / f"{config.name}.grub"
            loader.standalone(image.kernel.vmlinuz, initrd, self.cmdline, made)
            self.host.exec(f"mv /share/in/{made.name} {self.directory}/grub")
        initrd.unlink()
        return f"{self.directory}/grub" if config.boot_loader else self.kernel_path

    @property
    def cmdline(self) -> str:
        """Of its kernel."""
        quick = "" if self.config.shipped else f"{QUICK} "
        return f"console=hvc0 earlyprintk=xen {quick}{self.config.cmdline}".strip()

    def _put_kernel(self, kernel: Kernel) -> str:
        compressed = self.config.compressed or self.config.is_hvm  # A BIOS boots nothing else.
        path = kernel.vmlinuz if compressed else kernel.vmlinux
        form = "vmlinuz" if compressed else "vmlinux"
        return self.host.put_once(path, f"{form}-{kernel.release}-{kernel.package.sha256[:8]}")

    def xl_config(self, kernel_path: str) -> str:
        """The text of the configuration."""
        config = self.config
        lines = [
            f'name="{config.name}"',
            f'type="{config.kind}"',
            f'kernel="{kernel_path}"',
            f"memory={config.memory_mib}",
            f"vcpus={config.vcpus}",
            'tsc_mode="native"',  # The emulated processor has no RDTSCP for the others.
            f'on_crash="{config.on_crash}"',
            f'on_reboot="{config.on_reboot}"',
        ]
        if not config.boot_loader:
            lines += [f'ramdisk="{self.directory}/initrd"', f'cmdline="{self.cmdline}"']
        if config.maxmem_mib:
            lines.append(f"maxmem={config.maxmem_mib}")
        quick = not (config.xen_scripts or config.shipped or config.is_hvm)
        if config.disk_gib:
            disk = f"vdev=xvda,access=w,target=/dev/lab/disk{self.slot}"
            script = "script=quick-block," if quick else ""
            how = "backendtype=qdisk,format=raw" if config.qdisk else f"{script}backendtype=phy"
            lines.append(f'disk=["{how},{disk}"]')
        if config.network:
            more = ",type=vif" if config.is_hvm else ",script=quick-vif" if quick else ""
            lines.append(f'vif=["mac=00:16:3e:00:00:{self.slot + 2:02x},bridge=xenbr0{more}"]')
        if config.is_hvm:
            lines += _HVM
        return "\n".join([*lines, config.extra, ""])

    # What it shows.

    def console(self, since: int = 0) -> str:
        """The console's text, without the lab's own protocol."""
        return self.log.text(since)

    def mark(self) -> int:
        """The console's end now, for `since`."""
        return self.log.mark()

    def wait_for(self, pattern: str, timeout: float, since: int = 0) -> Seen:
        """Waits for a line on the console."""
        return self.log.wait_for(pattern, timeout, since)

    def wait_up(self, timeout: float = 60, since: int = 0) -> Seen:
        """Waits for userspace: groups are uptime, MemTotal in KiB, CPUs and the boot's id."""
        return self.wait_for(UP, timeout, since)

    # What it is told.

    def type(self, text: str) -> None:
        """Puts text into the console's input."""
        command = f"timeout 60 printf %s {shlex.quote(text)} >$2"
        # It keeps its number until it is created again; asking xl each time takes longer than the rest.
        known = self._domid and self._on_tty(self._domid, command)
        if not known or known.status == _GONE:
            self._domid = self.domid()
            known = self._on_tty(self._domid, command)
        if known.status != 0:
            raise CommandFailed("dom0", command, known.status, known.output)

    def _on_tty(self, domid: int, command: str) -> "Result":
        """A command in dom0 for which $2 is the console, unless the domain is another one."""
        base = f"/local/domain/{domid}"
        return self.host.exec(
            f"set -- $(xenstore-read {base}/name {base}/console/tty) && [ \"$1\" = {self.config.name} ] ||"
            f" exit {_GONE}\n{command}",
            check=False,
        )

    def exec(self, command: str, timeout: float = 60, check: bool = True) -> tuple[int, str]:
        """Runs a shell command in the guest; returns exit status and output."""
        return self._channel.run(command, timeout, check)

    def crash(self, timeout: float = 30) -> Seen:
        """Makes the kernel panic; returns the console's line that says so."""
        since = self.mark()
        self._channel.start("echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger")
        return self.wait_for(r"Kernel panic - not syncing", timeout, since)

    # What Xen knows of it.

    def domid(self) -> int:
        """Its number now."""
        return int(self.host.exec(f"xl domid {self.config.name}").output)

    def state(self) -> str:
        """The state column of "xl list", such as "-b----" or "---sc-"; "" when it does not exist."""
        result = self.host.exec(f"xl list {self.config.name}", check=False)
        return result.output.splitlines()[-1].split()[4] if result.status == 0 else ""

    def wait_state(self, letter: str, timeout: float = 20) -> None:
        """Waits for a letter in the state column: "c" crashed, "s" shut down, "p" paused."""
        what = f"{self.config.name} is in state {letter}"
        wait_until(lambda: letter in self.state(), timeout, what)

    def unplug_network(self) -> None:
        """Takes its interface from the bridge; dom0 has the other end."""
        self.host.exec(f"ip link set dev vif{self.domid()}.0 nomaster")

    def destroy(self) -> None:
        """Ends the domain at once.  Its disk image stays."""
        self.host.exec(f"xl destroy {self.config.name}", timeout=60)

    def forget(self) -> None:
        """Destroys it if it exists, and frees its place."""
        if self.state():
            self.destroy()
        self.host.guests.pop(self.config.name, None)
        (self.host.directory / "guests" / f"{self.config.name}.json").unlink(missing_ok=True)

    def flush(self) -> None:
        """Brings the disk image up to date: what is only synced may be in the journal alone."""
        where = self.mount_point
        self.exec(f"fsfreeze --freeze {where} && fsfreeze --unfreeze {where}")

    def get_from_disk(self, path: str, local: Path) -> None:
        """Copies a file (its path below /var/crash) out of the disk image.

        What the guest has not written out is not there: flush() it, or end it first.
        """
        copy_from_ext4(self.disk_image, path, local)


def copy_from_ext4(image: Path, path: str, local: Path) -> None:
    """Copies one file out of an image without mounting it."""
    local.unlink(missing_ok=True)
    request = f'dump -p "/{path.lstrip("/")}" "{local}"'
    done = subprocess.run(
        ["debugfs", "-R", request, str(image)], text=True, capture_output=True, check=False
    )
    if not local.exists() or "not found" in done.stderr:
        raise CheckFailed(f"no {path} on {image.name}: {done.stderr.strip()}")


def write_initrd(
    target: Path, base: Path, config: GuestConfig, address: str, commands: str = ""
) -> None:
    """The base image, the guest's settings and the caller's files: archives one after the other.

    `commands` is the terminal that commands come from, if not the console.
    """
    settings = Tree(merged_usr=True)
    lines = [
        "HADUMP_LAB_DISK=1" if config.disk_gib else "",
        f"HADUMP_LAB_ADDRESS={address}" if config.network else "",
        f"HADUMP_LAB_COMMANDS={commands}" if commands else "",
    ]
    settings.file("etc/hadump-lab.conf", "\n".join([*filter(None, lines), ""]))
    settings.file("etc/hostname", f"{config.name}\n")
    with open(target, "wb") as output:
        output.write(base.read_bytes())
        settings.write(output)
        if config.overlay:
            config.overlay.tree.write(output)
