"""Stream: bytes both ways, with async and await.

Its halves are receiving.py and sending.py, starttls.py secures it; here are its life and its facts.
"""

from __future__ import annotations

import asyncio
import errno
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import attrs

from aionet.address import from_sockaddr
from aionet.errors import BrokenStreamError
from aionet.options import Timeouts
from aionet.stream.framed import Framed
from aionet.stream.starttls import SecurableStream
from aionet.wire.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from aionet.address import Address
    from aionet.stream.protocol import StreamProtocol
    from aionet.system.sockopts import RefusedOption
    from aionet.system.types import SockAddr
    from aionet.tls import TLSInfo
    from aionet.transport.stream import StreamTransport
    from aionet.wire.framing import Framer
    from aionet.wire.proxy_header import ProxyHeader

__all__ = ["Stream", "StreamStatistics"]

T = TypeVar("T")

_TIMEOUTS: Final = Timeouts()


@attrs.frozen
class StreamStatistics:
    """What a stream has done so far, in bytes."""

    bytes_received: int
    bytes_sent: int
    receive_buffer: int
    write_queue: int


class Stream(SecurableStream):
    """A connected stream: TCP, a Unix socket, or TLS on either.

    One task may receive at a time, any number may send. ``async for data in stream`` receives until the end;
    ``async with stream`` closes at the end of the block.
    """

    __slots__ = ("_draining", "_opened", "_refused")

    def __init__(
        self,
        transport: StreamTransport,
        protocol: StreamProtocol,
        *,
        draining: asyncio.Event | None = None,
        timeouts: Timeouts = _TIMEOUTS,
        refused: tuple[RefusedOption, ...] = (),
    ) -> None:
        super().__init__(transport, protocol, timeouts)
        self._draining = draining
        self._refused = refused
        # Walking the stack costs more than the rest of a connection: only where somebody looks for mistakes.
        self._opened = "".join(traceback.format_stack(limit=12)[:-1]) if sys.flags.dev_mode else ""

    def __repr__(self) -> str:
        return f"<Stream {self._ends('<->')} {'CLOSED' if self._closed else self._transport.state.name}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if self._closed or self._transport.state is State.CLOSED:
            return
        opened = f"\nopened at:\n{self._opened}" if self._opened else ""
        _warn(f"unclosed stream {self!r}{opened}", ResourceWarning, source=self)
        self._transport.abandon()

    def framed(self, framer: Framer[T]) -> Framed[T]:
        """Return the messages of this stream, as ``framer`` cuts them: to receive, to send, and for ``async for``."""
        return Framed(self, framer, self._protocol, self._recv_message)

    # --- closing ------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Flush, send our end, read until the peer's, and close; after the close timeout (5 s), abort.

        Idempotent. Cancelled, it still closes. Every operation after it raises ClosedStreamError.
        """
        self._close()
        if self._transport.state is not State.CLOSED:
            await self._protocol.is_lost()

    def abort(self) -> None:
        """Close now, with a reset: the peer's next read raises, and what waits to leave is dropped."""
        self._close_with(self._transport.abort)

    def _close(self) -> None:
        self._close_with(self._transport.close)

    def _close_with(self, close: Callable[[], None]) -> None:
        self._closed = True
        close()
        self._protocol.abandon()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if isinstance(exc, asyncio.CancelledError):
            self._close()  # gracefully, but a task that is told to stop does not wait for the peer
        else:
            await self.aclose()

    # --- facts --------------------------------------------------------------------------------------------------------

    @property
    def peer(self) -> Address:
        """The other end's address; behind a proxy, that of the client which its PROXY protocol header names.

        Raises:
            BrokenStreamError: the connection broke before the system was asked, and now it no longer says.

        """
        proxy = self._transport.proxy
        if proxy is not None and proxy.source is not None:
            return proxy.source
        return self._address("peer", self._transport.peer_sockaddr)

    @property
    def local(self) -> Address:
        """Our end's address. Raises as peer."""
        return self._address("local", self._transport.local_sockaddr)

    def _address(self, which: str, sockaddr: SockAddr | None) -> Address:
        if sockaddr is None:
            raise BrokenStreamError(errno.ENOTCONN, f"{which} on {self._ends('<->')}: the system no longer says")
        return from_sockaddr(self._transport.family, sockaddr)

    @property
    def proxy(self) -> ProxyHeader | None:
        """The PROXY protocol header that came first, or None; the proxy itself is ``get_extra_info("peername")``."""
        return self._transport.proxy

    @property
    def refused_options(self) -> tuple[RefusedOption, ...]:
        """What the system refused or capped of ``connect``'s options; an accepted stream's are its listener's."""
        return self._refused

    @property
    def tls(self) -> TLSInfo | None:
        """What the two ends of a TLS connection have agreed on; None without TLS."""
        return self._transport.tls

    @property
    def draining(self) -> asyncio.Event:
        """Set when the server that accepted the stream drains: finish what you do, and return."""
        if self._draining is None:
            self._draining = asyncio.Event()
        return self._draining

    @property
    def closed(self) -> bool:
        """Whether you have closed the stream."""
        return self._closed

    def statistics(self) -> StreamStatistics:
        """Return the counts so far."""
        transport = self._transport
        return StreamStatistics(
            bytes_received=transport.bytes_read,
            bytes_sent=transport.bytes_written,
            receive_buffer=self._protocol.buffer.size,
            write_queue=transport.get_write_buffer_size(),
        )

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's signature
        """Return what asyncio's transports call ``socket``, ``peername``, ``ssl_object`` and so on."""
        return self._transport.get_extra_info(name, default)
