"""An authority of the tests' own, and the certificates that it gives out: made once a run, trusted by nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trustme

from aionet import TLSConfig

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["AUTHORITY", "CA", "CLIENT", "NAME", "SERVER", "issue", "write_pem"]

NAME: Final = "server.test"

AUTHORITY: Final = trustme.CA()
CA: Final = AUTHORITY.cert_pem.bytes()


def issue(*names: str, authority: trustme.CA = AUTHORITY) -> bytes:
    """Return a certificate for some names and its key, as one PEM text."""
    certificate = authority.issue_cert(*names, key_type=trustme.KeyType.ECDSA)
    return certificate.private_key_and_cert_chain_pem.bytes()


SERVER: Final = TLSConfig(certificate=issue(NAME, "localhost", "127.0.0.1", "::1"))
CLIENT: Final = TLSConfig(ca=CA)


def write_pem(folder: Path, name: str, pem: bytes) -> str:
    """Write PEM text to a file, for a program; return its path."""
    path = folder / name
    path.write_bytes(pem)
    return str(path)
