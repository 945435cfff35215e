# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of a Debian package, without its maintainer scripts."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from .errors import LabError


def extract(deb: Path, tree: Path, options: Sequence[str]) -> str:
    """Unpacks the files into `tree`, as whoever runs this; returns what tar has printed."""
    command = ["tar", "-x", "--no-same-owner", "--keep-directory-symlink", "-C", str(tree), *options]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE
    ) as source:
        done = subprocess.run(
            command, stdin=source.stdout, text=True, capture_output=True, check=False
        )
    if done.returncode != 0 or source.returncode != 0:
        raise LabError(f"unpacking {deb.name}: {done.stderr}")
    return done.stdout
