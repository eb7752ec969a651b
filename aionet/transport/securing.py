"""TLS under a Protocol: what create_connection, create_server and start_tls do with a connected socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aionet.errors import BrokenStreamError, ClosedStreamError, OptionError, TLSError
from aionet.options import Timeouts
from aionet.system.tls_context import client_tls, server_tls
from aionet.system.tls_layer import wrap_tls
from aionet.transport.handshake import handshake_error
from aionet.transport.tls import TLSTransport
from aionet.wire.lifecycle import State

if TYPE_CHECKING:
    import socket
    from contextvars import Context

    from aionet.system.secure_socket import SecureSocket
    from aionet.system.types import SockAddr
    from aionet.tls import TLSLike
    from aionet.transport.stream import StreamTransport

__all__ = ["SHUTDOWN_TIMEOUT", "TLSArguments", "start_tls"]

_TIMEOUTS = Timeouts()
# asyncio's is 30 s; ours is that of every other close.
SHUTDOWN_TIMEOUT = _TIMEOUTS.close


class TLSArguments:
    """The arguments about TLS of one of asyncio's functions, checked.

    Raises:
        ValueError: they exclude each other, or make sense only together; a timeout out of range.

    """

    __slots__ = ("handshake_timeout", "server_hostname", "shutdown_timeout", "tls")

    def __init__(
        self,
        function: str,
        tls: TLSLike | None,
        server_hostname: str | None,
        handshake_timeout: float | None,
        shutdown_timeout: float | None,
    ) -> None:
        for name, value in (
            ("server_hostname", server_hostname),
            ("ssl_handshake_timeout", handshake_timeout),
            ("ssl_shutdown_timeout", shutdown_timeout),
        ):
            if value is not None and not tls:
                message = f"{function}: {name}={value!r}: expected only with ssl"
                raise ValueError(message)
        if handshake_timeout is not None and not handshake_timeout > 0:
            message = f"{function}: ssl_handshake_timeout={handshake_timeout!r}: expected seconds, more than 0"
            raise ValueError(message)
        if shutdown_timeout is not None and not shutdown_timeout >= 0:
            message = f"{function}: ssl_shutdown_timeout={shutdown_timeout!r}: expected seconds, 0 or more"
            raise ValueError(message)
        self.tls = tls or None
        self.server_hostname = server_hostname
        self.handshake_timeout = _TIMEOUTS.tls_handshake if handshake_timeout is None else handshake_timeout
        self.shutdown_timeout = SHUTDOWN_TIMEOUT if shutdown_timeout is None else shutdown_timeout

    def client(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket | SecureSocket,
        host: str | None,
        peer: SockAddr | None,
        context: Context | None,
    ) -> TLSTransport:
        """Make the client's end, without a protocol yet; it owns the socket.

        Raises:
            OptionError: there is no name to verify.
            TLSHandshakeError: the connection is gone.

        """
        client = client_tls(self.tls or True)
        # asyncio's way to say that the name is not to be verified is an empty one.
        name = host if self.server_hostname is None else self.server_hostname or None
        if name is None and client.context.check_hostname:
            message = "server_hostname=None: expected the name in the peer's certificate"
            raise OptionError(message)
        whom = (peer, name)
        try:
            secure = wrap_tls(
                sock, client.context, server_side=False, server_hostname=name, session=client.session(whom)
            )
        except (OSError, ValueError) as exc:
            raise handshake_error(exc) from exc
        return TLSTransport(
            loop,
            secure,
            asyncio.Protocol(),
            server_side=False,
            peer=peer,
            context=context,
            close_timeout=self.shutdown_timeout,
            keep=lambda session: client.keep(whom, session),
        )

    def server(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket | SecureSocket,
        peer: SockAddr | None,
        context: Context | None,
    ) -> TLSTransport:
        """Make the server's end, without a protocol yet. Otherwise as client."""
        try:
            secure = wrap_tls(sock, server_tls(self.tls or True).context, server_side=True, server_hostname=None)
        except (OSError, ValueError) as exc:
            raise handshake_error(exc) from exc
        return TLSTransport(
            loop,
            secure,
            asyncio.Protocol(),
            server_side=True,
            peer=peer,
            context=context,
            close_timeout=self.shutdown_timeout,
        )


async def start_tls(
    transport: StreamTransport,
    protocol: asyncio.BaseProtocol,
    sslcontext: TLSLike,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> TLSTransport:
    """Go on through TLS on a transport; return the one to use from now on. The old one is closed without a word.

    The protocol hears of no new connection, only of what comes through TLS. What has arrived in the clear it has seen
    already: whether that was all that may have come is for the protocol to judge. Cancelled: it is aborted.

    Raises:
        TLSHandshakeError: the handshake failed; connection_lost tells the protocol too.
        ClosedStreamError: the transport is closed, or half-closed.
        BrokenStreamError: the connection broke.
        OptionError: ``sslcontext`` cannot be used.

    Source: asyncio's loop.start_tls.

    """
    arguments = TLSArguments("start_tls", sslcontext, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
    if server_side:
        server_tls(sslcontext)  # before anything is changed
    elif client_tls(sslcontext).context.check_hostname and not server_hostname:
        message = "start_tls: expected server_hostname, the name in the peer's certificate, or server_side=True"
        raise OptionError(message)
    if transport.state is not State.OPEN:
        raise _closed(transport)
    await _last_words(transport)
    loop, peer, context = transport.loop, transport.peer_sockaddr, transport.context
    lower = transport.detach()
    try:
        if server_side:
            secure = arguments.server(loop, lower, peer, context)
        else:
            secure = arguments.client(loop, lower, None, peer, context)
    except TLSError as exc:
        transport.detached_in_vain(exc)
        raise
    secure.take_over(transport)
    try:
        await secure.shaken(arguments.handshake_timeout)
    except BaseException as exc:  # cancelled, or aborted by the server, too
        loop.call_soon(protocol.connection_lost, exc if isinstance(exc, TLSError) else None, context=context)
        raise
    secure.set_protocol(protocol)
    secure.resume_reading()
    return secure


async def _last_words(transport: StreamTransport) -> None:
    """Read nothing more in the clear, and wait until what was written in the clear has been sent.

    Cancelled: the transport is aborted. Raises ClosedStreamError where it has been closed meanwhile, or lost.
    """
    reading = transport.is_reading()
    transport.pause_reading()
    try:
        while transport.get_write_buffer_size():
            flushed = asyncio.Event()
            transport.call_when_flushed(flushed.set)
            await flushed.wait()
    except BaseException:
        transport.abort()
        raise
    if transport.state is not State.OPEN:
        if reading:
            transport.resume_reading()
        raise _closed(transport)


def _closed(transport: StreamTransport) -> ClosedStreamError | BrokenStreamError:
    error = transport.error
    if error is not None:
        return BrokenStreamError(error.errno, f"start_tls: the connection broke: {error.strerror or error}")
    return ClosedStreamError.of("start_tls", "a transport that is closed, or half-closed")
