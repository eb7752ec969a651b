"""Protocols that note every callback, on transports whose other end is a plain socket."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aionet.transport.stream import StreamTransport
from tests.faults.peers import listening_socket
from tests.turns import turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from aionet import Limits

__all__ = ["Recording", "RecordingBuffered", "fill", "over_tcp", "over_unix", "unhandled"]


class Recording(asyncio.Protocol):
    """Notes each callback as a tuple; pieces of data that follow each other are one.

    ``doing`` maps the name of a callback to what it shall do besides; what that returns or raises is its own.
    """

    transport: Any

    def __init__(self, **doing: Callable[..., Any]) -> None:
        self.record: list[tuple[Any, ...]] = []
        self.lost = asyncio.Event()
        self.doing = doing

    def note(self, name: str, *facts: object) -> Any:
        """Note a callback, and do what it shall do."""
        if name == "data_received" and self.record and self.record[-1][0] == name:
            facts = (self.record.pop()[1] + facts[0],)
        self.record.append((name, *facts))
        return self.doing[name](self) if name in self.doing else None

    @property
    def received(self) -> bytes:
        """All that was received."""
        return b"".join(facts[0] for name, *facts in self.record if name == "data_received")

    def names(self) -> list[str]:
        """Return the names of the callbacks, in order."""
        return [name for name, *_ in self.record]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.note("connection_made")

    def data_received(self, data: bytes) -> None:
        self.note("data_received", data)

    def eof_received(self) -> bool | None:
        keep_open: bool | None = self.note("eof_received")
        return keep_open

    def pause_writing(self) -> None:
        self.note("pause_writing")

    def resume_writing(self) -> None:
        self.note("resume_writing")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self.note("connection_lost", type(exc))


class RecordingBuffered(Recording, asyncio.BufferedProtocol):
    """The same, into a buffer of its own."""

    def __init__(self, size: int = 65536, **doing: Callable[..., Any]) -> None:
        super().__init__(**doing)
        self.buffer: Any = bytearray(size)
        self.hints: list[int] = []

    def get_buffer(self, sizehint: int) -> Any:
        self.hints.append(sizehint)
        if "get_buffer" in self.doing:
            return self.doing["get_buffer"](self)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.note("data_received", bytes(memoryview(self.buffer)[:nbytes]))
        if "buffer_updated" in self.doing:
            self.doing["buffer_updated"](self)


@asynccontextmanager
async def _over(
    ours: socket.socket, theirs: socket.socket, protocol: asyncio.BaseProtocol, **settings: Any
) -> AsyncGenerator[tuple[StreamTransport, socket.socket]]:
    ours.setblocking(False)
    theirs.setblocking(False)
    transport = StreamTransport(asyncio.get_running_loop(), ours, protocol, peer=ours.getpeername(), **settings)
    with theirs:
        transport.start()
        try:
            yield transport, theirs
        finally:
            transport.abort()
            await turns(2)


@asynccontextmanager
async def over_unix(
    protocol: asyncio.BaseProtocol,
    type_: int = socket.SOCK_STREAM,
    *,
    limits: Limits | None = None,
    close_timeout: float | None = None,
) -> AsyncGenerator[tuple[StreamTransport, socket.socket]]:
    """Connect a protocol to a plain Unix socket; SOCK_SEQPACKET shows what left in one system call."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, type_)
    async with _over(ours, theirs, protocol, limits=limits, close_timeout=close_timeout) as pair:
        yield pair


@asynccontextmanager
async def over_tcp(
    protocol: asyncio.BaseProtocol, *, limits: Limits | None = None, close_timeout: float | None = None
) -> AsyncGenerator[tuple[StreamTransport, socket.socket]]:
    """Connect a protocol to a plain TCP socket, with small buffers."""
    with listening_socket("tcp", receive_buffer=65536) as listening:
        ours = socket.socket()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        ours.connect(listening.getsockname())
        theirs, _ = listening.accept()
    async with _over(ours, theirs, protocol, limits=limits, close_timeout=close_timeout) as pair:
        yield pair


def fill(transport: StreamTransport) -> int:
    """Write until the kernel takes no more and something is queued; return how many bytes there were."""
    written = 0
    while not transport.get_write_buffer_size() and not transport.is_closing():
        transport.write(bytes(65536))
        written += 65536
    return written


def unhandled() -> list[type[BaseException]]:
    """Return the list to which the running loop's exception handler adds what it is told from now on."""
    told: list[type[BaseException]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: told.append(type(context["exception"])))
    return told
