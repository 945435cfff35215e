"""An emulated Xen host, and guests on it, for hadump's tests.  See tests/lab/README.md."""
