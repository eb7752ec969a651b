"""What every datagram transport has: a socket, its place with the poller, and one end.

The transport alone owns the descriptor, and gives it back in ``_release`` and nowhere else.
"""

from __future__ import annotations

import asyncio
import warnings
from asyncio.trsock import TransportSocket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aionet.system.poller import poller_of
from aionet.transport.readiness import Readiness

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from aionet.system.datagram_socket import DatagramSocket
    from aionet.system.types import SockAddr

__all__ = ["DatagramBase"]


class DatagramBase(Readiness, asyncio.DatagramTransport):
    """A transport over a datagram socket, without its two halves."""

    __slots__ = (
        "__weakref__",
        "_closed",
        "_context",
        "_family",
        "_fd",
        "_local",
        "_loop",
        "_opened",
        "_peer",
        "_poller",
        "_reading",
        "_sock",
        "_writing",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, opened: DatagramSocket, context: Context | None) -> None:
        super().__init__()
        self._loop = loop
        self._poller = poller_of(loop)
        self._context = context
        self._opened = opened
        self._sock = opened.sock
        self._fd = self._sock.fileno()
        self._family = self._sock.family
        self._closed = False
        self._reading = False
        self._writing = False
        self._peer: SockAddr | None = None
        with suppress(OSError):  # not connected
            self._peer = self._sock.getpeername() or None
        self._local: SockAddr | None = None
        with suppress(OSError):
            self._local = self._sock.getsockname()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} fd={self._fd}{' closed' if self._closed else ''}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if not getattr(self, "_closed", True):
            _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self._opened.close()

    # --- facts --------------------------------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's signature
        """Return ``socket``, ``sockname`` or ``peername``, else ``default``."""
        match name:
            case "peername":
                found = self._peer
            case "sockname":
                found = self._local
            case "socket":
                found = TransportSocket(self._sock)
            case _:
                found = None
        return default if found is None else found

    def is_closing(self) -> bool:
        """Whether the transport is closed or on its way."""
        return self._closed

    # --- the end ------------------------------------------------------------------------------------------------------

    def _release(self) -> None:
        """Give the descriptor back."""
        self._closed = True
        self._reading = self._writing = False
        self._poller.forget(self._fd)
        self._opened.close()
