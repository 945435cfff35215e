# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages without installing them: resolve names with apt, download, unpack.

No maintainer script runs.  Versions are whatever apt offers now: the archive drops old ones.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import LabError
from .paths import building, cache_dir, locked

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_INDEX_SECONDS = 24 * 3600  # A private index is read again after that.


@dataclass(frozen=True)
class Package:
    """One version of one package, as apt's index describes it."""

    name: str
    version: str
    depends: tuple[str, ...]  # The first alternative of each dependency, without versions.
    sha256: str
    filename: str
    suite: str | None  # None: the machine's own apt configuration offers it.


def say(text: str) -> None:
    """Progress on stderr: long steps show what they are doing."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


def _run(command: Sequence[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, LC_ALL="C", DEBIAN_FRONTEND="noninteractive")
    return subprocess.run(
        command, cwd=cwd, env=environment, text=True, capture_output=True, check=False
    )


class Archive:
    """The machine's own apt configuration, and beside it private ones for further suites."""

    def __init__(self) -> None:
        self._options: dict[str | None, list[str]] = {None: []}
        self._indexes: dict[str | None, dict[str, Package | None]] = {}

    def show(self, names: Iterable[str], suite: str | None = None) -> dict[str, Package]:
        """The candidate version of each package that apt knows; others are left out."""
        index = self._index(suite)
        unknown = sorted(set(names) - index.keys())
        if unknown:
            command = ["apt-cache", *self._apt_options(suite), "show", "--no-all-versions"]
            stanzas = _run([*command, *unknown]).stdout.split("\n\n")
            packages = [package for s in stanzas if (package := _parse_stanza(s, suite))]
            index.update({name: None for name in unknown})
            index.update({p.name: p for p in reversed(packages) if p.name in unknown})
            _save_index(suite, index)
        return {name: package for name in names if (package := index[name])}

    def resolve(self, spec: str) -> Package:
        """`spec` is NAME or NAME/SUITE.  An unknown NAME is looked for in the backports too."""
        name, _, suite = spec.partition("/")
        backports = f"{_codename()}-backports"
        suites: list[str | None] = [suite] if suite else [None, backports]
        for candidate in suites:
            found = self.show([name], candidate).get(name)
            if found:
                return found
        raise LabError(f"apt knows no package {spec!r}; does 'apt-get update' help?")

    def closure(
        self, roots: Iterable[str], without: Iterable[str], suite: str | None = None
    ) -> list[Package]:
        """`roots` and what they depend on, except what `without` (regular expressions) names.

        All of one suite: what it does not have itself is left out, as virtual packages are.
        """
        pruned = re.compile("|".join(f"(?:{pattern})" for pattern in without) or r"(?!)")
        known: dict[str, Package] = {}
        todo = set(roots)
        missing = todo - set(self.show(todo, suite))
        if missing:
            raise LabError(
                f"apt knows no package {', '.join(sorted(missing))}; does 'apt-get update' help?"
            )
        while todo:
            found = self.show(todo, suite)
            known.update(found)
            needed = {name for package in found.values() for name in package.depends}
            todo = {name for name in needed - set(known) if not pruned.fullmatch(name)}
            todo &= set(self.show(todo, suite)) if todo else set()  # Virtual packages have no file.
        return sorted(known.values(), key=lambda package: package.name)

    def fetch(self, packages: Iterable[Package]) -> list[Path]:
        """The .deb files, downloaded unless the cache holds them (by content)."""
        paths = {package: _deb_path(package) for package in packages}
        missing = [package for package, path in paths.items() if not path.exists()]
        if missing:
            with locked(cache_dir() / "debs.lock"):
                self._download([package for package in missing if not paths[package].exists()])
        return list(paths.values())

    def unpack(self, package: Package) -> Path:
        """The package's files below a directory of the cache; shared, so never write there."""
        target = cache_dir() / "trees" / f"{package.name}_{package.sha256[:16]}"
        if not target.exists():
            (deb,) = self.fetch([package])
            with locked(cache_dir() / "trees.lock"):
                if not target.exists():
                    say(f"unpacking {package.name} {package.version}")
                    with building(target) as temporary:
                        subprocess.run(["dpkg-deb", "-x", str(deb), str(temporary)], check=True)
        return target

    def _download(self, packages: list[Package]) -> None:
        debs = cache_dir() / "debs"
        for suite in {package.suite for package in packages}:
            specs = [f"{p.name}={p.version}" for p in packages if p.suite == suite]
            say(f"downloading {len(specs)} packages")
            with building(debs / ".batch") as temporary:
                command = ["apt-get", *self._apt_options(suite), "-q", "download", *specs]
                done = _run(command, cwd=temporary)
                if done.returncode != 0 and os.getuid() == 0 and suite is None:
                    # The index may name files that the archive has replaced since.
                    say("the download failed; refreshing apt's index and trying once more")
                    _run(["apt-get", "update", "-q"])
                    done = _run(command, cwd=temporary)
                if done.returncode != 0:
                    raise LabError(f"downloading {' '.join(specs)}:\n{done.stderr}")
                by_hash = {_sha256(path): path for path in temporary.glob("*.deb")}
                for package in packages:
                    if package.suite == suite and package.sha256 in by_hash:
                        by_hash[package.sha256].rename(_deb_path(package))
            shutil.rmtree(debs / ".batch", ignore_errors=True)
        lost = [package.name for package in packages if not _deb_path(package).exists()]
        if lost:
            raise LabError(
                f"apt's index is out of date for {', '.join(lost)}: run 'apt-get update'"
            )

    def _index(self, suite: str | None) -> dict[str, Package | None]:
        if suite not in self._indexes:
            self._indexes[suite] = _load_index(suite)
        return self._indexes[suite]

    def _apt_options(self, suite: str | None) -> list[str]:
        if suite not in self._options:
            self._options[suite] = _private_configuration(suite or "")
        return self._options[suite]


def _private_configuration(suite: str) -> list[str]:
    """apt options for a suite that the machine is not configured for, with its own index."""
    targets = _run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)",
         "Created-By: Packages"]
    ).stdout.splitlines()  # fmt: skip
    base = next((line.split() for line in targets if line.split()[1:2] == [_codename()]), None)
    if base is None:
        raise LabError(f"no Debian {_codename()} in this machine's apt sources")
    root = cache_dir() / "apt" / suite
    options = [
        "-o", f"Dir::Etc::SourceList={root}/sources.list", "-o", "Dir::Etc::SourceParts=-",
        "-o", f"Dir::State::Lists={root}/lists", "-o", f"Dir::Cache={root}",
        "-o", "APT::Sandbox::User=", "-o", f"APT::Default-Release={suite}",
    ]  # fmt: skip
    lists = list((root / "lists").glob("*Packages*"))
    if lists and time.time() - max(path.stat().st_mtime for path in lists) < _INDEX_SECONDS:
        return options
    signed = f"[signed-by={_KEYRING}] " if Path(_KEYRING).exists() else ""
    for folder in ("lists/partial", "archives/partial"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "sources.list").write_text(f"deb {signed}{base[0]} {suite} main\n", encoding="utf-8")
    say(f"reading the index of {suite}")
    done = _run(["apt-get", *options, "update", "-q"])
    if done.returncode != 0:
        raise LabError(f"reading the index of {suite}:\n{done.stderr}")
    for path in (root / "lists").glob("*Packages*"):
        path.touch()  # apt gives it the server's time; what counts here is when it was read.
    return options


# apt-cache takes half a second for each question, so its answers are kept for as long as apt's lists
# do not change.


def _index_file(suite: str | None) -> Path:
    lists = cache_dir() / "apt" / suite / "lists" if suite else Path("/var/lib/apt/lists")
    files = sorted(lists.glob("*Packages*")) + sorted(lists.glob("*Release"))
    state = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    stamp = hashlib.sha256(repr(state).encode()).hexdigest()[:16]
    return cache_dir() / "index" / f"{suite or 'system'}-{stamp}.json"


def _load_index(suite: str | None) -> dict[str, Package | None]:
    path = _index_file(suite)
    if not path.exists():
        return {}
    stored: dict[str, dict[str, Any] | None] = json.loads(path.read_text(encoding="utf-8"))
    for fields in filter(None, stored.values()):
        fields["depends"] = tuple(fields["depends"])
    return {name: Package(**fields) if fields else None for name, fields in stored.items()}


def _save_index(suite: str | None, index: dict[str, Package | None]) -> None:
    path = _index_file(suite)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(
        {name: asdict(package) if package else None for name, package in index.items()}
    )
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.rename(path)


def _parse_stanza(stanza: str, suite: str | None) -> Package | None:
    fields = {}
    for line in stanza.splitlines():
        key, separator, value = line.partition(":")
        if separator and not line.startswith(" "):
            fields[key] = value.strip()
    if not {"Package", "Version", "SHA256", "Filename"} <= fields.keys():
        return None
    depends = [
        re.split(r"[ (:|]", item.strip(), maxsplit=1)[0]
        for key in ("Pre-Depends", "Depends")
        for item in fields.get(key, "").split(",")
        if item.strip()
    ]
    return Package(
        fields["Package"], fields["Version"], tuple(depends), fields["SHA256"],
        fields["Filename"], suite,
    )  # fmt: skip


def _deb_path(package: Package) -> Path:
    return cache_dir() / "debs" / f"{package.name}_{package.sha256[:16]}.deb"


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _codename() -> str:
    for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise LabError("/etc/os-release names no VERSION_CODENAME")
