"""AsyncSocket: the socket API itself, awaitable."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from aionet.address import InetAddress, UnixAddress
from aionet.errors import AddressError, ClosedError
from aionet.system.connect import begin_to_connect
from aionet.system.readiness import DescriptorReadiness, Readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from types import TracebackType

    from aionet.address import Address
    from aionet.system.types import Buffer, SockAddr

__all__ = ["AsyncSocket"]

_T = TypeVar("_T")


_INET: Final = (socket.AF_INET, socket.AF_INET6)


@lru_cache(maxsize=1024)
def _check_inet(address: tuple[Any, ...]) -> None:
    """Refuse a host name: the C library would look it up and hold the loop meanwhile. ``resolve`` is for names."""
    if address[0] not in ("", "<broadcast>"):  # what the socket module itself takes for INADDR_ANY and _BROADCAST
        InetAddress(*address)


class AsyncSocket:
    """A non-blocking socket whose functions wait without holding the event loop that runs when it is made.

    Names, arguments, results and errors are those of the socket module; addresses may also be aionet's. Hosts have to
    be numeric: ``resolve`` turns a name into addresses. Any number of tasks may wait on one socket in either direction;
    they are served in the order in which they came. Cancelling an operation takes nothing from the socket, but for
    ``sendall``, which may have sent a part. After ``close`` every operation, also one that waits, raises ClosedError.

    Source: socket(2), and the man page of each function.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_dry",
        "_is_stream",
        "_loop",
        "_readiness",
        "_reading",
        "_recv",
        "_send",
        "_sendall_lock",
        "_sendalls",
        "_sock",
        "_writing",
    )

    def __init__(
        self,
        family: int = socket.AF_INET,
        type: int = socket.SOCK_STREAM,
        proto: int = 0,
    ) -> None:
        loop = asyncio.get_running_loop()  # if there is none, there is no socket to lose
        self._adopt(socket.socket(family, type, proto), loop)

    @classmethod
    def wrap(cls, sock: socket.socket) -> Self:
        """Take over an existing socket, and make it non-blocking."""
        self = cls.__new__(cls)
        self._adopt(sock, asyncio.get_running_loop())
        return self

    def _adopt(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._recv = sock.recv
        self._send = sock.send
        self._is_stream = sock.type == socket.SOCK_STREAM  # asked once: the socket makes an enumeration of it each time
        self._closed = False
        self._loop = loop
        self._readiness = DescriptorReadiness(loop, sock.fileno())
        self._reading = self._readiness.reading
        self._writing = self._readiness.writing
        # A stream whose last read took all there was: reading on would only be told EAGAIN.
        self._dry = False
        self._sendalls = 0  # those that wait, or wait for their turn
        self._sendall_lock: asyncio.Lock | None = None

    def __repr__(self) -> str:
        return f"<AsyncSocket {self._sock!r}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        sock = getattr(self, "_sock", None)
        if sock is None or self._closed:
            return
        _warn(f"unclosed {self!r}", ResourceWarning, source=self)
        if self._loop.is_closed():
            sock.close()
        else:  # a finalizer may run in any thread
            self._loop.call_soon_threadsafe(self._release, sock, self._readiness)

    @staticmethod
    def _release(sock: socket.socket, readiness: DescriptorReadiness) -> None:
        readiness.close()
        sock.close()

    # --- waiting ------------------------------------------------------------------------------------------------------

    def _check_open(self, operation: str) -> None:
        if self._closed:
            raise ClosedError.of(operation, "a socket")

    async def wait_readable(self) -> None:
        """Return when a read would not block: data, a connection to accept, the end of stream, or an error.

        Source: select(2).
        """
        self._check_open("wait_readable")
        await self._reading.wait()
        self._check_open("wait_readable")

    async def wait_writable(self) -> None:
        """Return when a write would not block: there is room, a connect has ended, or there is an error.

        Source: select(2).
        """
        self._check_open("wait_writable")
        await self._writing.wait()
        self._check_open("wait_writable")

    async def _when_ready(self, ready: Readiness, function: Callable[..., _T], *args: Any) -> _T:  # noqa: ANN401
        """Call a function of the socket until it does not answer EAGAIN."""
        if ready.waiters:
            self._check_open(function.__name__)
            await ready.wait()
        while True:
            if self._closed:  # the name of a function of C is made anew each time: not for every message
                self._check_open(function.__name__)
            try:
                return function(*args)
            except (BlockingIOError, InterruptedError):
                await ready.wait(again=True)

    async def _receive(self, size: int, function: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401
        """Read from a stream: if the last read was short, wait before reading, else read before waiting."""
        reading = self._reading
        if (self._dry or reading.waiters) and not self._closed:
            await reading.wait()
        while True:
            if self._closed:
                self._check_open(function.__name__)
            try:
                received = function(*args)
            except (BlockingIOError, InterruptedError):
                await reading.wait(again=True)
                continue
            count = received if type(received) is int else len(received)
            # Nothing after the end of stream is worth waiting for: it stays readable.
            self._dry = 0 < count < size
            return received

    def _sockaddr(self, address: Address | SockAddr) -> SockAddr:
        if isinstance(address, InetAddress | UnixAddress):
            return address.sockaddr
        if isinstance(address, tuple):
            try:
                _check_inet(address)  # pyright: ignore[reportUnknownArgumentType]
            except (AddressError, TypeError):
                if self._sock.family in _INET:
                    raise
        return address  # pyright: ignore[reportUnknownVariableType]

    # --- receiving ----------------------------------------------------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0) -> Coroutine[Any, Any, bytes]:
        """Receive at most ``bufsize`` bytes; b"" at the end of stream. Source: recv(2)."""
        if flags or not self._is_stream:
            return self._when_ready(self._reading, self._recv, bufsize, flags)
        return self._receive(bufsize, self._recv, bufsize)

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0, flags: int = 0) -> Coroutine[Any, Any, int]:
        """Receive into a buffer; return the count of bytes, 0 at the end of stream. Source: recv(2)."""
        if flags or not self._is_stream:
            return self._when_ready(self._reading, self._sock.recv_into, buffer, nbytes, flags)
        return self._receive(nbytes or memoryview(buffer).nbytes, self._sock.recv_into, buffer, nbytes)

    def recvfrom(self, bufsize: int, flags: int = 0) -> Coroutine[Any, Any, tuple[bytes, SockAddr]]:
        """Receive one datagram and its sender. Source: recvfrom(2)."""
        return self._when_ready(self._reading, self._sock.recvfrom, bufsize, flags)

    def recvfrom_into(
        self, buffer: bytearray | memoryview, nbytes: int = 0, flags: int = 0
    ) -> Coroutine[Any, Any, tuple[int, SockAddr]]:
        """Receive one datagram into a buffer; return its size and its sender. Source: recvfrom(2)."""
        return self._when_ready(self._reading, self._sock.recvfrom_into, buffer, nbytes, flags)

    def recvmsg(
        self, bufsize: int, ancbufsize: int = 0, flags: int = 0
    ) -> Coroutine[Any, Any, tuple[bytes, list[tuple[int, int, bytes]], int, SockAddr]]:
        """Receive data with control messages, flags and sender. Source: recvmsg(2)."""
        return self._when_ready(self._reading, self._sock.recvmsg, bufsize, ancbufsize, flags)

    async def accept(self) -> tuple[AsyncSocket, SockAddr]:
        """Accept a connection; return its socket and the peer's address. Source: accept(2)."""
        sock, peer = await self._when_ready(self._reading, self._sock.accept)
        return AsyncSocket.wrap(sock), peer

    # --- sending ------------------------------------------------------------------------------------------------------

    def send(self, data: Buffer, flags: int = 0) -> Coroutine[Any, Any, int]:
        """Send what there is room for; return the count of bytes. Source: send(2)."""
        return self._when_ready(self._writing, self._send, data, flags)

    async def sendall(self, data: Buffer, flags: int = 0) -> None:
        """Send all of ``data``. Of several tasks, each one's data stays in one piece. Cancelled: a part may be sent."""
        if self._closed:
            self._check_open("sendall")
        sent = 0
        if not self._sendalls and not self._writing.waiters:
            try:
                sent = self._send(data, flags)
                if sent == (len(data) if type(data) is bytes else memoryview(data).nbytes):
                    return
            except (BlockingIOError, InterruptedError):
                pass
        rest = memoryview(data).cast("B")[sent:]
        if self._sendall_lock is None:
            self._sendall_lock = asyncio.Lock()
        # Counted, since the lock is free for a moment between one that leaves and the next that waits for it.
        self._sendalls += 1
        try:
            async with self._sendall_lock:
                while True:
                    rest = rest[await self._when_ready(self._writing, self._send, rest, flags) :]
                    if not rest:
                        return
        finally:
            self._sendalls -= 1

    def sendto(self, data: Buffer, address: Address | SockAddr, flags: int = 0) -> Coroutine[Any, Any, int]:
        """Send one datagram to an address; return the count of bytes. Source: sendto(2)."""
        return self._when_ready(self._writing, self._sock.sendto, data, flags, self._sockaddr(address))

    def sendmsg(
        self,
        buffers: Iterable[Buffer],
        ancdata: Iterable[tuple[int, int, Buffer]] = (),
        flags: int = 0,
        address: Address | SockAddr | None = None,
    ) -> Coroutine[Any, Any, int]:
        """Send buffers as one message, with control messages; return the count of bytes. Source: sendmsg(2)."""
        to = None if address is None else self._sockaddr(address)
        # Lists: an iterator would be used up by a first attempt that is told EAGAIN.
        return self._when_ready(self._writing, self._sock.sendmsg, list(buffers), list(ancdata), flags, to)

    # --- connecting ---------------------------------------------------------------------------------------------------

    async def connect(self, address: Address | SockAddr) -> None:
        """Connect to an address. Cancelled: the socket goes on connecting; close it.

        Raises BlockingIOError where the backlog of a Unix socket is full: nothing tells when there is room.
        Source: connect(2).
        """
        self._check_open("connect")
        error = await begin_to_connect(self._sock, self._sockaddr(address))
        self._check_open("connect")
        if error in (errno.EINPROGRESS, errno.EINTR):
            await self.wait_writable()
            error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, f"connect to {address}: {os.strerror(error)}")

    def bind(self, address: Address | SockAddr) -> None:
        """Give the socket a local address. Source: bind(2)."""
        self._check_open("bind")
        self._sock.bind(self._sockaddr(address))

    def listen(self, backlog: int = 4096) -> None:
        """Let connections come; the system caps the backlog. Source: listen(2)."""
        self._check_open("listen")
        self._sock.listen(backlog)

    # --- closing ------------------------------------------------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        """End one direction or both: SHUT_RD, SHUT_WR, SHUT_RDWR. Source: shutdown(2)."""
        self._check_open("shutdown")
        self._sock.shutdown(how)

    def close(self) -> None:
        """Close the socket; whoever waits on it is told by ClosedError. Idempotent. Source: close(2)."""
        if not self._closed:
            self._closed = True
            self._release(self._sock, self._readiness)

    def detach(self) -> int:
        """Give the descriptor away without closing it. Whoever waits is told by ClosedError."""
        self._check_open("detach")
        self._closed = True
        self._readiness.close()
        return self._sock.detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    # --- facts and options --------------------------------------------------------------------------------------------

    @property
    def family(self) -> int:
        """The address family, AF_*."""
        return self._sock.family

    @property
    def type(self) -> int:
        """The socket type, SOCK_*."""
        return self._sock.type

    @property
    def proto(self) -> int:
        """The protocol, IPPROTO_* or 0."""
        return self._sock.proto

    def fileno(self) -> int:
        """Return the descriptor, -1 after close."""
        return self._sock.fileno()

    def getsockname(self) -> SockAddr:
        """Return our own address. Source: getsockname(2)."""
        self._check_open("getsockname")
        return self._sock.getsockname()

    def getpeername(self) -> SockAddr:
        """Return the peer's address. Source: getpeername(2)."""
        self._check_open("getpeername")
        return self._sock.getpeername()

    def getsockopt(self, level: int, optname: int, buflen: int = 0) -> Any:  # noqa: ANN401 - an int, or bytes with buflen
        """Return an option: an int, or bytes where ``buflen`` is given. Source: getsockopt(2)."""
        self._check_open("getsockopt")
        return self._sock.getsockopt(level, optname, buflen) if buflen else self._sock.getsockopt(level, optname)

    def setsockopt(self, level: int, optname: int, value: int | Buffer) -> None:
        """Set an option. Source: setsockopt(2)."""
        self._check_open("setsockopt")
        self._sock.setsockopt(level, optname, value)
