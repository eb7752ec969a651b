"""A TLS transport before its first byte, and what its two ends have agreed on.

While hands are shaken the handshake has the descriptor to itself; what is written meanwhile waits in the queue.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio.trsock import TransportSocket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from aionet.errors import ClosedStreamError
from aionet.tls import TLSInfo
from aionet.transport.handshake import Handshake
from aionet.transport.stream import StreamTransport
from aionet.wire.lifecycle import State

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from contextvars import Context

    from aionet.options import Limits
    from aionet.system.secure_socket import SecureSocket
    from aionet.system.types import SockAddr
    from aionet.transport.stream import Keeper

__all__ = ["HandshakingTransport"]


class HandshakingTransport(StreamTransport):
    """A transport over a TLS connection, without what reads and writes: tls.py.

    ``keep`` is handed the session of a client at its end, for the next connection to resume.
    """

    __slots__ = (
        "_handshake",
        "_handshaken",
        "_info",
        "_keep",
        "_keeper",
        "_secure",
        "_server_side",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: SecureSocket,
        protocol: asyncio.BaseProtocol,
        *,
        server_side: bool,
        peer: SockAddr | None = None,
        context: Context | None = None,
        limits: Limits | None = None,
        close_timeout: float | None = 5.0,
        keep: Callable[[ssl.SSLSession], None] | None = None,
    ) -> None:
        self._secure = sock
        self._server_side = server_side
        self._handshake: Handshake | None = None
        self._handshaken: Callable[[OSError | None], None] | None = None
        self._keep = keep
        self._keeper: Keeper | None = None
        self._info: TLSInfo | None = None
        super().__init__(
            loop,
            cast("socket.socket", sock),
            protocol,
            peer=peer,
            context=context,
            limits=limits,
            close_timeout=close_timeout,
        )
        self._recv = sock.read

    def kept_by(self, keeper: Keeper) -> None:
        """Have the server that knows the transport told of its end, after the protocol."""
        self._keeper = keeper

    @property
    def keeper(self) -> Keeper | None:
        """The server that knows the transport."""
        return self._keeper

    def _call_connection_lost(self, exc: BaseException | None) -> None:
        super()._call_connection_lost(exc)
        if self._keeper is not None:
            self._keeper.transport_ended(self)

    def take_over(self, plain: StreamTransport) -> None:
        """Take the place of the transport that had the descriptor before, and go on counting where it has left off."""
        if plain.keeper is not None:
            plain.keeper.transport_replaced(plain, self)
            self._keeper = plain.keeper
        self.proxy = plain.proxy
        self._bytes_read = plain.bytes_read
        self._bytes_written = plain.bytes_written

    # --- the handshake ------------------------------------------------------------------------------------------------

    def handshake(self, timeout: float | None, done: Callable[[OSError | None], None]) -> None:
        """Shake hands, then call ``done`` with None, or with what went wrong: the transport is then aborted."""
        self._handshaken = done
        self._send = _not_yet  # what is written meanwhile waits in the queue
        self._handshake = Handshake(
            self._loop, self._poller, self._secure, timeout, self._shaken, server_side=self._server_side
        )

    async def shaken(self, timeout: float | None) -> None:  # noqa: ASYNC109 - the handshake's, which the peer is told of
        """Shake hands, and return when that is done. Cancelled: the transport is aborted. Raises what went wrong."""
        ended = asyncio.Event()
        errors: list[OSError] = []

        def done(error: OSError | None) -> None:
            if error is not None:
                errors.append(error)
            ended.set()

        try:
            self.handshake(timeout, done)
            await ended.wait()
        except BaseException:
            self.abort()
            raise
        if errors:
            raise errors.pop()

    def _shaken(self, error: OSError | None) -> None:
        self._handshake = None
        done, self._handshaken = self._handshaken, None
        if error is not None:
            self._lost(error)
        else:
            self._send = cast("socket.socket", self._secure).send
            if self._writing:
                self._watch()
            if not self._queue.size:
                self._send_end()
        if done is not None:
            done(error)
        if not self._reading and not self._writing and self._state is not State.CLOSED:
            self._watch()  # no longer for the handshake; whoever reads from here on has said so by now

    def _watch(self) -> None:
        if self._handshake is None:
            super()._watch()

    def close(self) -> None:
        """As StreamTransport.close; while hands are shaken, abort."""
        if self._handshaken is not None:
            self.abort()
        else:
            super().close()

    def _release(self) -> None:
        if self._handshake is not None:
            self._handshake.cancel()
            self._handshake = None
        done, self._handshaken = self._handshaken, None
        if done is not None:
            error = self._error or ClosedStreamError.of("TLS handshake", "a transport")
            self._loop.call_soon(done, error, context=self._context)
        elif self._keep is not None:
            with suppress(ValueError):  # what the ssl module says of a session that never came to be
                session = self._secure.tls.session
                # Without either there is nothing to resume it by (RFC 5246 7.3, RFC 5077, RFC 8446 4.6.1).
                if session is not None and (session.has_ticket or session.id):
                    self._keep(session)
        super()._release()
        self._recv = self._secure.read
        self._keep = None

    # --- facts --------------------------------------------------------------------------------------------------------

    @property
    def tls(self) -> TLSInfo:
        """What the two ends have agreed on."""
        if self._info is None:
            tls = self._secure.tls
            name, _, _ = tls.cipher() or ("", "", 0)
            self._info = TLSInfo(
                version=tls.version() or "",
                cipher=name,
                alpn=tls.selected_alpn_protocol(),
                sni=self._secure.server_name,
                peer_certificate=tls.getpeercert(True),
                resumed=tls.session_reused,
            )
        return self._info

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's signature
        """As StreamTransport's; also ``ssl_object``, ``sslcontext``, ``peercert``, ``cipher`` and ``compression``."""
        match name:
            case "socket":
                return TransportSocket(self._secure.socket)
            case "ssl_object":
                return self._secure.object
            case "sslcontext":
                return self._secure.context
            case "peercert":
                found = self._secure.tls.getpeercert(False)
            case "cipher":
                found = self._secure.tls.cipher()
            case "compression":
                found = self._secure.tls.compression()
            case _:
                return super().get_extra_info(name, default)
        return default if found is None else found


def _not_yet(_data: object, _flags: int = 0, /) -> int:
    raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "the handshake comes first")
