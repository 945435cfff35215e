# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's command line: play with a host by hand, or run a scenario."""

import argparse
import os
import shlex
import sys
from pathlib import Path

from . import machine, scenario
from .errors import LabError
from .guest import Guest, GuestConfig
from .host import Host, HostConfig
from .images import CLOUD_KERNEL, STANDARD_KERNEL, dom0_image, guest_image
from .overlay import Overlay
from .packages import Archive
from .paths import cache_dir

EXIT_BROKEN = 99


def main() -> int:
    """Parses, runs, reports."""
    arguments = _parser().parse_args()
    try:
        status: int = arguments.run(arguments)
        return status
    except LabError as error:
        print(f"lab: broken: {error}", file=sys.stderr)
        return EXIT_BROKEN
    except AssertionError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="download packages and build the images")
    build.add_argument(
        "--kernel", action="append", help="guest kernel packages (NAME or NAME/SUITE)"
    )
    build.set_defaults(run=_build)
    _host_parsers(commands)
    _dom0_parsers(commands)
    _scenario_parser(
        commands.add_parser(
            "scenario", help="run a scenario, or several on one host; without a name, list them"
        )
    )
    _guest_parser(commands.add_parser("guest", help="create, crash, destroy guests"))
    return parser


def _host_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    start = commands.add_parser("start", help="start a host in the background")
    start.add_argument("name")
    start.add_argument(
        "--guests-mib", type=int, default=2048, help="memory for all guests together"
    )
    start.add_argument("--dom0-mib", type=int, default=1536)
    start.add_argument("--memory-mib", type=int, help="of the whole machine, instead of the sum")
    start.add_argument("--xen", default="", help="further arguments for the hypervisor")
    start.set_defaults(run=_start)

    for name, run, text in (
        ("stop", _stop, "end a host and remove everything of it"),
        ("logs", _logs, "the ends of a host's logs"),
        ("shell", _shell, "commands from the terminal, one by one, in dom0"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("name")
        command.set_defaults(run=run)
    commands.add_parser("list", help="the running hosts").set_defaults(run=_list)


def _dom0_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    execute = commands.add_parser("exec", help="run a command in dom0: exec NAME -- COMMAND…")
    execute.add_argument("name")
    execute.add_argument("--timeout", type=float, default=600)
    execute.add_argument("--guest", help="run it in this guest instead")
    execute.add_argument(
        "words", nargs="+", help="one word: a shell command; several: its arguments"
    )
    execute.set_defaults(run=_exec)

    for name, run, text in (
        ("put", _put, "copy a file or directory into dom0"),
        ("get", _get, "copy a file or directory out of dom0"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("name")
        command.add_argument("source")
        command.add_argument("target")
        command.set_defaults(run=run)

    install = commands.add_parser("install", help="install programs in dom0 with their libraries")
    install.add_argument("name")
    install.add_argument("programs", nargs="+", type=Path)
    install.set_defaults(run=_install)

    console = commands.add_parser("console", help="a guest's console so far (-f: follow it)")
    console.add_argument("name")
    console.add_argument("guest")
    console.add_argument("-f", "--follow", action="store_true")
    console.set_defaults(run=_console)


def _scenario_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="[TITLE:]NAME PARAMETER=VALUE… [+ …]",
        help="what follows a + is run on the same host, which must be clean by then",
    )  # fmt: skip
    parser.add_argument("--build", type=Path, default=scenario.default_build())
    parser.add_argument("--report", type=Path, help="write the scenario's figures as JSON")
    parser.add_argument(
        "--deadline", type=int, default=0, metavar="SECONDS",
        help="of each: show the logs and end after that",
    )  # fmt: skip
    parser.add_argument("--guests-mib", type=int, default=2560, help="of a host for several")
    parser.set_defaults(run=_scenario)


def _guest_parser(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    create = commands.add_parser("create", help="create a guest and wait for its userspace")
    create.add_argument("name", help="the host's")
    create.add_argument("guest")
    create.add_argument("--memory", type=int, default=1024, help="MiB")
    create.add_argument("--maxmem", type=int, help="MiB; above --memory, it starts ballooned")
    create.add_argument("--vcpus", type=int, default=2)
    create.add_argument("--kernel", default=STANDARD_KERNEL, help="package: NAME or NAME/SUITE")
    create.add_argument("--compressed", action="store_true", help="boot the bzImage")
    create.add_argument("--cmdline", default="")
    create.add_argument("--disk-gib", type=int, default=16)
    create.add_argument("--no-network", action="store_true")
    create.add_argument("--on-crash", default="preserve")
    create.add_argument("--overlay", type=Path, help="a directory laid over the guest's root")
    create.add_argument("--program", type=Path, action="append", default=[],
                        help="into its /usr/sbin, with libraries")  # fmt: skip
    create.add_argument("--no-wait", action="store_true")
    create.set_defaults(run=_guest_create)
    for name, run in (("crash", _guest_crash), ("destroy", _guest_destroy)):
        command = commands.add_parser(name)
        command.add_argument("name")
        command.add_argument("guest")
        command.set_defaults(run=run)
    fetch = commands.add_parser("fetch", help="copy a file out of its disk")
    for argument in ("name", "guest", "path", "target"):
        fetch.add_argument(argument)
    fetch.set_defaults(run=_guest_fetch)


def _build(arguments: argparse.Namespace) -> int:
    archive = Archive()
    dom0_image(archive)
    for spec in arguments.kernel or [STANDARD_KERNEL, CLOUD_KERNEL]:
        image = guest_image(archive, spec)
        print(f"{spec}: Linux {image.kernel.release}")
    print(f"images are current in {cache_dir()}")
    return 0


def _start(arguments: argparse.Namespace) -> int:
    config = HostConfig(
        arguments.dom0_mib, arguments.guests_mib, arguments.memory_mib, arguments.xen
    )
    host = Host.start(config, arguments.name, detached=True)
    print(f"{arguments.name}: {(host.directory / 'timing.json').read_text(encoding='utf-8')}")
    print(f"logs: {host.directory}")
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    machine.find(arguments.name).stop()
    return 0


def _list(_: argparse.Namespace) -> int:
    for one in machine.running():
        print(f"{one.directory.name}\tpid {one.pid}\t{one.directory}")
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    print(Host.attach(arguments.name).tails())
    return 0


def _shell(arguments: argparse.Namespace) -> int:
    host = Host.attach(arguments.name)
    while True:
        try:
            line = input("dom0# ")
        except EOFError:
            return 0
        if line.strip():
            result = host.exec(line, timeout=600, check=False)
            print(result.output, end="")


def _exec(arguments: argparse.Namespace) -> int:
    host = Host.attach(arguments.name)
    words = arguments.words
    command = words[0] if len(words) == 1 else shlex.join(words)
    timeout = arguments.timeout
    if arguments.guest:
        guest = _guest(host, arguments.guest)
        status, output = guest.exec(command, timeout, check=False)
    else:
        result = host.exec(command, timeout, check=False)
        status, output = result.status, result.output
    sys.stdout.write(output)
    return status


def _put(arguments: argparse.Namespace) -> int:
    Host.attach(arguments.name).put(Path(arguments.source), arguments.target)
    return 0


def _get(arguments: argparse.Namespace) -> int:
    Host.attach(arguments.name).get(arguments.source, Path(arguments.target))
    return 0


def _install(arguments: argparse.Namespace) -> int:
    Host.attach(arguments.name).install(arguments.programs)
    return 0


def _console(arguments: argparse.Namespace) -> int:
    host = Host.attach(arguments.name)
    path = host.share / "console" / f"guest-{arguments.guest}.log"
    if not path.exists():
        raise LabError(f"no console of {arguments.guest!r}")
    if arguments.follow:
        os.execvp("tail", ["tail", "-n", "+1", "-f", str(path)])
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("@@"):
            print(line)
    return 0


def _scenario(arguments: argparse.Namespace) -> int:
    if not arguments.words:
        print("\n".join(scenario.names()))
        return 0
    return scenario.run(
        scenario.parse(arguments.words), arguments.build, arguments.report, arguments.deadline,
        arguments.guests_mib,
    )  # fmt: skip


def _guest(host: Host, name: str) -> Guest:
    try:
        return host.guests[name]
    except KeyError as error:
        raise LabError(f"the lab created no guest {name!r} on this host") from error


def _guest_create(arguments: argparse.Namespace) -> int:
    overlay = Overlay()
    if arguments.overlay:
        overlay.directory(arguments.overlay)
    for program in arguments.program:
        overlay.program(program)
    config = GuestConfig(
        name=arguments.guest,
        memory_mib=arguments.memory,
        maxmem_mib=arguments.maxmem,
        vcpus=arguments.vcpus,
        kernel=arguments.kernel,
        compressed=arguments.compressed,
        cmdline=arguments.cmdline,
        disk_gib=arguments.disk_gib,
        network=not arguments.no_network,
        on_crash=arguments.on_crash,
        overlay=overlay,
    )
    host = Host.attach(arguments.name)
    if arguments.guest in host.guests:
        host.guests[arguments.guest].forget()
    guest = host.create_guest(config)
    if not arguments.no_wait:
        print(guest.wait_up().match.group(0))
    return 0


def _guest_crash(arguments: argparse.Namespace) -> int:
    guest = _guest(Host.attach(arguments.name), arguments.guest)
    print(guest.crash().match.string)
    return 0


def _guest_destroy(arguments: argparse.Namespace) -> int:
    _guest(Host.attach(arguments.name), arguments.guest).forget()
    return 0


def _guest_fetch(arguments: argparse.Namespace) -> int:
    guest = _guest(Host.attach(arguments.name), arguments.guest)
    guest.get_from_disk(arguments.path, Path(arguments.target))
    return 0
