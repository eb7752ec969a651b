"""What a TLS client says first."""

from __future__ import annotations

import ssl
from contextlib import suppress

__all__ = ["client_hello"]


def client_hello(name: str) -> bytes:
    """Return a ClientHello that asks for a name."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()
