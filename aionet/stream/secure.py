"""TLS under a stream: the transports of its two ends, for connect, serve and start_tls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aionet.system.tls_layer import wrap_tls
from aionet.transport.handshake import handshake_error
from aionet.transport.tls import TLSTransport

if TYPE_CHECKING:
    import asyncio
    import socket
    import ssl
    from collections.abc import Hashable

    from aionet.options import Limits, Timeouts
    from aionet.system.secure_socket import SecureSocket
    from aionet.system.tls_context import ClientTLS
    from aionet.system.types import SockAddr

__all__ = ["secure_client", "secure_server"]


def secure_server(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket | SecureSocket,
    protocol: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    peer: SockAddr | None,
    timeouts: Timeouts,
    limits: Limits,
    received: bytes = b"",
) -> TLSTransport:
    """Make the server's end of a TLS connection, its handshake still to come; it owns the socket.

    ``received`` is what has been received of the handshake already.

    Raises:
        TLSHandshakeError: the connection is gone already.

    """
    try:
        secure = wrap_tls(sock, context, server_side=True, server_hostname=None, received=received)
    except (OSError, ValueError) as exc:
        raise handshake_error(exc) from exc
    return TLSTransport(
        loop, secure, protocol, server_side=True, peer=peer, limits=limits, close_timeout=timeouts.close
    )


def secure_client(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket | SecureSocket,
    protocol: asyncio.BaseProtocol,
    tls: ClientTLS,
    name: str | None,
    peer: SockAddr | None,
    timeouts: Timeouts,
    limits: Limits,
    whom: Hashable,
) -> TLSTransport:
    """Make the client's end of a TLS connection. ``whom`` finds the session to resume. Otherwise as secure_server."""
    try:
        secure = wrap_tls(sock, tls.context, server_side=False, server_hostname=name, session=tls.session(whom))
    except (OSError, ValueError) as exc:
        raise handshake_error(exc) from exc
    return TLSTransport(
        loop,
        secure,
        protocol,
        server_side=False,
        peer=peer,
        limits=limits,
        close_timeout=timeouts.close,
        keep=lambda session: tls.keep(whom, session),
    )
