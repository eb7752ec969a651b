"""What every stream transport has: a socket, a protocol, a state, and one way to end.

The transport alone owns the descriptor, and gives it back in ``_lost`` and nowhere else. The states are those of
wire/lifecycle.py.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import warnings
from asyncio.trsock import TransportSocket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aionet.system.poller import poller_of
from aionet.transport.readiness import Readiness
from aionet.wire.lifecycle import CLOSING_STATES, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from aionet.system.types import SockAddr
    from aionet.wire.proxy_header import ProxyHeader

__all__ = ["SocketTransport"]

_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close sends a reset
_CLOSED: Final = State.CLOSED
# What a transport refers to when it has let go of its protocol, so that the two do not keep each other alive.
_NOBODY: Final = asyncio.BaseProtocol()


class SocketTransport(Readiness, asyncio.Transport):
    """A transport over a connected socket, without its two halves: reading.py and writing.py.

    The loop's callbacks to the protocol are made in ``context``; None is for a protocol that has no use for one.
    """

    __slots__ = (
        "__weakref__",
        "_bytes_read",
        "_bytes_written",
        "_context",
        "_error",
        "_fd",
        "_local",
        "_loop",
        "_peer",
        "_poller",
        "_protocol",
        "_reading",
        "_sock",
        "_state",
        "_writing",
        "_wrote",
        "proxy",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        peer: SockAddr | None,
        context: Context | None,
    ) -> None:
        # BaseTransport's own __init__ would make a dict for get_extra_info, which has other sources here.
        self._loop = loop
        self._poller = poller_of(loop)
        self._context = context
        self._sock = sock
        self._fd = sock.fileno()
        self._peer = peer
        self._local: SockAddr | None = None
        self._state = State.OPEN
        self._error: OSError | None = None
        self._bytes_read: int = 0
        self._bytes_written: int = 0
        self._protocol = protocol
        self._reading = False
        self._writing = False
        self.proxy: ProxyHeader | None = None  # the header that came in front of the first byte
        self._wrote = False  # something was sent since the loop last came round, as far as we know

    def __repr__(self) -> str:
        return f"<{type(self).__name__} fd={self._fd} {self._state.name}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if self._state is not _CLOSED:
            _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self._sock.close()

    # --- the protocol -------------------------------------------------------------------------------------------------

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that the callbacks go to."""
        return self._protocol

    def _call_protocol(self, callback: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401 - what the callback returns
        try:
            return callback(*args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:  # noqa: BLE001 - a protocol's mistake ends its connection, not the loop
            self._protocol_failed(exc, callback)
            return None

    def _protocol_failed(self, exc: BaseException, callback: Callable[..., object]) -> None:
        name = getattr(callback, "__qualname__", repr(callback))
        self._loop.call_exception_handler(
            {"message": f"{name} raised", "exception": exc, "transport": self, "protocol": self._protocol}
        )
        self._abort(exc)

    # --- facts --------------------------------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's signature
        """Return ``socket``, ``sockname`` or ``peername``, else ``default``."""
        match name:
            case "peername":
                found = self.peer_sockaddr
            case "sockname":
                found = self.local_sockaddr
            case "socket":
                found = TransportSocket(self._sock)
            case _:
                found = None
        return default if found is None else found

    @property
    def family(self) -> int:
        """The socket's address family."""
        return self._sock.family

    @property
    def peer_sockaddr(self) -> SockAddr | None:
        """The peer's address as the socket API gives it, or None where the system no longer knows."""
        if self._peer is None and self._state is not _CLOSED:
            try:
                self._peer = self._sock.getpeername()
            except OSError:
                pass
        return self._peer

    @property
    def local_sockaddr(self) -> SockAddr | None:
        """Our own address as the socket API gives it, or None where the system no longer knows."""
        if self._local is None and self._state is not _CLOSED:
            try:
                self._local = self._sock.getsockname()
            except OSError:
                pass
        return self._local

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._state

    @property
    def error(self) -> OSError | None:
        """What broke the connection, if something did."""
        return self._error

    @property
    def bytes_read(self) -> int:
        """Bytes received so far."""
        return self._bytes_read

    @property
    def bytes_written(self) -> int:
        """Bytes that the kernel has taken so far."""
        return self._bytes_written

    # --- the end ------------------------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether the transport is closed or on its way."""
        return self._state in CLOSING_STATES

    def abort(self) -> None:
        """Close now, with a reset; what is queued is dropped. connection_lost follows."""
        self._abort(None)

    def _abort(self, reason: BaseException | None) -> None:
        if self._state is _CLOSED:
            return
        if self._sock.family != socket.AF_UNIX:
            # Some systems refuse once the peer has reset, which is what was wanted.
            with suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._lost(self._error, reason)

    def fail(self, exc: OSError) -> None:
        """Abort for a reason of our own, which the protocol is told."""
        self._error = exc
        self.abort()

    def abandon(self) -> None:
        """Abort from a finalizer, which may run in any thread and after the loop."""
        if self._loop.is_closed():
            self._state = _CLOSED
            self._sock.close()
        else:
            self._loop.call_soon_threadsafe(self.abort)

    def _lost(self, exc: OSError | None, reason: BaseException | None = None) -> None:
        """The one end of every connection: give the descriptor back and tell the protocol, once.

        ``exc`` is what broke the connection; else the protocol is told the ``reason``, if there is one.
        """
        if self._state is _CLOSED:
            return
        # While it can still be asked: errors and statistics name both ends after the close, too.
        _ = self.local_sockaddr, self.peer_sockaddr
        self._state = _CLOSED
        self._error = exc
        self._release()
        self._sock.close()
        self._loop.call_soon(self._call_connection_lost, exc or reason, context=self._context)

    def _release(self) -> None:
        """Let go of everything but the descriptor: each half adds its own."""
        self._reading = self._writing = False
        self._poller.forget(self._fd)

    def _call_connection_lost(self, exc: BaseException | None) -> None:
        protocol, self._protocol = self._protocol, _NOBODY
        self._call_protocol(protocol.connection_lost, exc)
