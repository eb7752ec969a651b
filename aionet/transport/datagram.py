"""DatagramTransport: asyncio's interface over a datagram socket.

Receiving: at most 32 datagrams for each readiness event, so that no peer holds the loop. Sending: at once where nothing
is queued, else in the queue, whose size counts what each datagram costs beside its bytes: thousands of empty ones are
not nothing.
"""

from __future__ import annotations

import asyncio
import socket
import warnings
from collections import deque
from functools import lru_cache
from itertools import repeat, starmap
from typing import TYPE_CHECKING, Any, Final, cast

from aionet.address import InetAddress, UnixAddress
from aionet.options import Limits
from aionet.system.recvmmsg import BATCH, reader, sockaddr
from aionet.transport.datagram_base import DatagramBase
from aionet.transport.received import Peers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextvars import Context

    from aionet.system.datagram_socket import DatagramSocket
    from aionet.system.types import Buffer, SockAddr

__all__ = ["DatagramTransport"]

# asyncio's: larger than any datagram of a Unix socket that the system allows by default.
_RECEIVE_SIZE: Final = 256 * 1024
# What a queued datagram takes beside its bytes: the object, a tuple, the address.
_OVERHEAD: Final = 128
# A Unix socket that is not connected is always writable, whether or not the receiver has room: ask again, in seconds.
_RETRY: Final = 0.005
_DEFAULT_LIMITS: Final = Limits()
_NOBODY: Final = asyncio.DatagramProtocol()


@lru_cache(maxsize=1024)
def _check_inet(address: tuple[Any, ...]) -> None:
    """Refuse a host name: the C library would look it up and hold the loop meanwhile."""
    if address[0] not in ("", "<broadcast>"):
        InetAddress(*address)


def _pair(data: bytes, peer: SockAddr) -> tuple[bytes, SockAddr]:
    return data, peer


class DatagramTransport(DatagramBase):
    """Calls a DatagramProtocol, and queues what the kernel has no room for."""

    __slots__ = (
        "_buffered",
        "_closing",
        "_high",
        "_low",
        "_paused",
        "_peers",
        "_protocol",
        "_queue",
        "_reader",
        "_retry",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        opened: DatagramSocket,
        protocol: asyncio.BaseProtocol,
        context: Context | None = None,
    ) -> None:
        super().__init__(loop, opened, context)
        self._protocol = cast("asyncio.DatagramProtocol", protocol)
        self._queue: deque[tuple[bytes, SockAddr | None]] = deque()
        self._buffered = 0
        self._low, self._high = _DEFAULT_LIMITS.low_water, _DEFAULT_LIMITS.high_water
        self._paused = False
        self._closing = False
        self._retry: asyncio.TimerHandle | None = None
        self._reader = None if self._family == socket.AF_UNIX else reader()
        self._peers: Peers[SockAddr] = Peers(sockaddr)

    def start(self) -> None:
        """Tell the protocol that it is connected, and begin to receive."""
        self._reading = True
        self._watch()
        self._call(self._protocol.connection_made, self)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that the callbacks go to."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the callbacks to another protocol."""
        self._protocol = cast("asyncio.DatagramProtocol", protocol)

    def is_closing(self) -> bool:
        """Whether the transport is closed or on its way."""
        return self._closing

    def _call(self, callback: Callable[..., object], *args: object) -> None:
        try:
            callback(*args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:  # noqa: BLE001 - one datagram's mistake does not end the endpoint
            name = getattr(callback, "__qualname__", repr(callback))
            self._loop.call_exception_handler(
                {"message": f"{name} raised", "exception": exc, "transport": self, "protocol": self._protocol}
            )

    # --- receiving ----------------------------------------------------------------------------------------------------

    def _on_readable(self, events: int) -> None:
        for data, peer in self._receive():
            if self._closing:
                return
            self._call(self._protocol.datagram_received, data, peer)

    def _receive(self) -> Collection[tuple[bytes, SockAddr]]:
        received: list[tuple[bytes, SockAddr]] = []
        try:
            if self._reader is not None:
                return self._reader.receive(self._fd, self._family, BATCH, _pair, self._peers)
            received.extend(starmap(self._sock.recvfrom, repeat((_RECEIVE_SIZE,), BATCH)))
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as exc:
            self._call(self._protocol.error_received, exc)
        return received

    # --- sending ------------------------------------------------------------------------------------------------------

    def sendto(self, data: Buffer, addr: SockAddr | None = None) -> None:
        """Send a datagram now or queue it; an error goes to ``error_received``. An empty datagram is one, too.

        ``addr`` is the socket module's, with a numeric host, or an address of aionet's; None where the endpoint is
        connected.

        Raises:
            TypeError: ``data`` is not bytes-like.
            ValueError: connected to another address; a host that is not numeric.

        """
        if not isinstance(data, (bytes, bytearray, memoryview)):  # pyright: ignore[reportUnnecessaryIsInstance]
            message = f"data: expected a bytes-like object, not {type(data).__name__}"
            raise TypeError(message)
        if addr is not None:
            addr = self._check(addr)
        if self._closing:
            warnings.warn(f"sendto on {self!r}: nothing is sent", RuntimeWarning, stacklevel=2)
            return
        if self._queue or not self._send_now(data, addr):
            self._queue.append((bytes(data), addr))
            self._buffered += len(data) + _OVERHEAD
            self._wait_for_room()
            if self._buffered > self._high and not self._paused:
                self._paused = True
                self._call(self._protocol.pause_writing)

    def _check(self, addr: SockAddr) -> SockAddr | None:
        if isinstance(addr, (InetAddress, UnixAddress)):
            addr = addr.sockaddr
        elif self._family != socket.AF_UNIX:
            _check_inet(tuple(addr))
        if self._peer is None:
            return addr
        if addr != self._peer and addr != self._peer[: len(addr)]:
            message = f"sendto {addr!r}: this endpoint is connected: expected None or {self._peer!r}"
            raise ValueError(message)
        return None

    def _send_now(self, data: Buffer, addr: SockAddr | None) -> bool:
        """Send a datagram; say whether that is done, well or not."""
        try:
            if addr is None:
                self._sock.send(data)
            else:
                self._sock.sendto(data, addr)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as exc:
            self._call(self._protocol.error_received, exc)
        return True

    def _wait_for_room(self) -> None:
        if self._family == socket.AF_UNIX and self._peer is None:
            if self._retry is None:
                self._retry = self._loop.call_later(_RETRY, self._flush, context=self._context)
        elif not self._writing:
            self._writing = True
            self._watch()

    def _on_writable(self, events: int) -> None:
        self._flush()

    def _flush(self) -> None:
        self._retry = None
        while self._queue and not self._closed:
            data, addr = self._queue[0]
            if not self._send_now(data, addr):
                self._wait_for_room()
                break
            if self._queue:  # error_received may have aborted
                self._queue.popleft()
                self._buffered -= len(data) + _OVERHEAD
        if not self._queue and self._writing:
            self._writing = False
            self._watch()
        if self._paused and self._buffered <= self._low and not self._closed:
            self._paused = False
            self._call(self._protocol.resume_writing)
        if self._closing and not self._queue:
            self._end(None)

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes queued, what each datagram takes beside its data included."""
        return self._buffered

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return low and high water, in bytes."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set high and low water in bytes; what is not given follows from the other, as in asyncio.

        Raises:
            ValueError: not high >= low >= 0.

        """
        if high is None:
            high = _DEFAULT_LIMITS.high_water if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            message = f"high ({high!r}) must be >= low ({low!r}) must be >= 0"
            raise ValueError(message)
        self._high, self._low = high, low

    # --- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Receive no more, send what is queued, and call connection_lost(None)."""
        if self._closing:
            return
        self._closing = True
        self._reading = False
        if self._queue:
            self._watch()
        else:
            self._end(None)

    def abort(self) -> None:
        """Close now; what is queued is dropped."""
        self._closing = True
        self._end(None)

    def _end(self, exc: Exception | None) -> None:
        if self._closed:
            return
        self._queue.clear()
        self._buffered = 0
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._release()
        self._loop.call_soon(self._lost, exc, context=self._context)

    def _lost(self, exc: Exception | None) -> None:
        protocol, self._protocol = self._protocol, _NOBODY
        self._call(protocol.connection_lost, exc)
