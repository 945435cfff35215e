# SPDX-License-Identifier: GPL-2.0-or-later
"""An emulated Xen host, and guests on it, for hadump's tests.  See tests/lab/README.md."""
