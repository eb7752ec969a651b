"""The TLS handshakes of a server or a listener: off the accept path, each with its deadline, none a handler's matter.

A handshake that fails is the peer's: one line in the log, without a traceback, and a count.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aionet.errors import TLSError
from aionet.stream.connect import stream_of
from aionet.stream.failures import client
from aionet.stream.protocol import StreamProtocol
from aionet.stream.secure import secure_server

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from aionet.options import Limits, Timeouts
    from aionet.stream.stream import Stream
    from aionet.system.tls_context import ServerTLS
    from aionet.system.types import SockAddr
    from aionet.transport.tls import TLSTransport
    from aionet.wire.proxy_header import ProxyHeader

__all__ = ["Handshakes"]

logger = logging.getLogger("aionet")


class Handshakes:
    """Hands each stream to ``ready`` when it has shaken hands; ``failed`` is called after one that has not."""

    __slots__ = (
        "_draining",
        "_ended",
        "_failed",
        "_limits",
        "_loop",
        "_ready",
        "_running",
        "_timeouts",
        "failures",
        "tls",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tls: ServerTLS,
        timeouts: Timeouts,
        limits: Limits,
        draining: asyncio.Event | None,
        ready: Callable[[Stream], None],
        failed: Callable[[], None],
    ) -> None:
        self._loop = loop
        self.tls = tls
        self._timeouts = timeouts
        self._limits = limits
        self._draining = draining
        self._ready = ready
        self._failed = failed
        self._running: set[TLSTransport] = set()
        self._ended: asyncio.Event | None = None
        self.failures = 0

    def __len__(self) -> int:
        return len(self._running)

    def start(self, sock: socket.socket, peer: SockAddr, proxy: ProxyHeader | None = None) -> None:
        """Begin the handshake of a connection that has just been accepted, its PROXY protocol header taken off it."""
        transport: TLSTransport | None = None
        family = sock.family

        def done(stream: Stream | None, error: OSError | None) -> None:
            if transport is not None:
                self._running.discard(transport)
            if stream is not None:
                self._ready(stream)
            else:
                if isinstance(error, TLSError):  # and not cut off by us
                    self.failures += 1
                    logger.warning("connection from %s: %s", client(family, peer, proxy), error)
                self._failed()
            if self._ended is not None and not self._running:
                self._ended.set()

        try:
            transport = _begin(
                self._loop, sock, peer, self.tls.context, self._timeouts, self._limits, done, self._draining
            )
        except TLSError as exc:
            done(None, exc)
        else:
            transport.proxy = proxy
            self._running.add(transport)

    async def finish(self, deadline: float | None) -> None:
        """Wait until none is running, at most ``deadline`` seconds; cut off the rest, also when cancelled."""
        if not self._running:
            return
        self._ended = asyncio.Event()
        try:
            async with asyncio.timeout(deadline):
                await self._ended.wait()
        except TimeoutError:
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """Cut off those that are not done."""
        for transport in tuple(self._running):
            transport.abort()


def _begin(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    peer: SockAddr,
    context: ssl.SSLContext,
    timeouts: Timeouts,
    limits: Limits,
    done: Callable[[Stream | None, OSError | None], None],
    draining: asyncio.Event | None = None,
) -> TLSTransport:
    """Begin the handshake of a connection that was accepted, and call ``done`` with its stream, or with why not.

    Raises:
        OSError: there is no descriptor for the poller, or the connection is gone; the socket is closed.

    """
    protocol = StreamProtocol(loop, limits.receive_buffer)
    transport = secure_server(loop, sock, protocol, context, peer, timeouts, limits)
    protocol.transport = transport

    def shaken(error: OSError | None) -> None:
        if error is not None:
            done(None, error)
            return
        transport.resume_reading()
        done(stream_of(loop, transport, protocol, timeouts, draining), None)

    try:
        transport.handshake(timeouts.tls_handshake, shaken)
    except OSError:
        transport.abort()
        raise
    return transport
