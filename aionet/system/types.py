"""Types of the socket API that the typing module has no name for."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["Buffer", "SockAddr"]

# collections.abc.Buffer comes with 3.12; mypy and pyright take these three for anything that has the buffer protocol.
Buffer: TypeAlias = bytes | bytearray | memoryview
# Whatever the socket API gives for an address: a tuple, or the path of a Unix socket.
SockAddr: TypeAlias = Any
