"""start_tls: a stream that began in the clear goes on through TLS (STARTTLS).

What has arrived before the handshake came from whoever sits on the wire. A program that reads it afterwards, as if it
had come through TLS, takes orders from a stranger (CVE-2011-0411, CVE-2021-38371). So nothing may have arrived: bytes
that wait to be received end the stream. Reading stops first, then our last words in the clear are sent: the peer's
answer to them, which begins the handshake, stays in the kernel for TLS.
"""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING

from aionet.errors import BrokenStreamError, BusyError, OptionError, TLSError
from aionet.options import Limits, Timeouts
from aionet.stream.secure import secure_client, secure_server
from aionet.stream.sending import SendingStream
from aionet.stream.watch import watch
from aionet.system.tls_context import ClientTLS, ServerTLS, client_tls, server_tls

if TYPE_CHECKING:
    from aionet.stream.protocol import StreamProtocol
    from aionet.system.types import Buffer
    from aionet.tls import TLSLike
    from aionet.transport.stream import StreamTransport
    from aionet.transport.tls import TLSTransport

__all__ = ["SecurableStream"]


class SecurableStream(SendingStream):
    """Can begin TLS on what it has."""

    __slots__ = ("_timeouts",)

    def __init__(self, transport: StreamTransport, protocol: StreamProtocol, timeouts: Timeouts) -> None:
        super().__init__(transport, protocol, timeouts.message)
        self._timeouts = timeouts

    async def start_tls(
        self,
        tls: TLSLike = True,  # noqa: FBT002 - the name says it, and it is mostly a TLSConfig
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        reply: Buffer = b"",
        received: Buffer = b"",
    ) -> None:
        """Go on through TLS: STARTTLS, or TLS inside TLS.

        ``tls`` is as for connect, or with ``server_side`` as for serve; a client says in ``server_hostname`` whose
        certificate it expects. ``reply`` is sent in the clear, once nothing more is read in the clear: a server's "go
        ahead", so that not even a quick client's next bytes are taken for plain ones. Nothing may have been received in
        the clear that nobody has taken: it could be an injection. A server that has received the beginning of the
        handshake, because it had to see which protocol the client speaks, hands that on as ``received``: it is read as
        TLS, and never as if it had come through it. Timeouts: 10 s. Cancelled: once the handshake has begun, the stream
        is aborted.

        Raises:
            BusyError: another task is receiving.
            TLSError: plain bytes wait to be received; the stream is aborted.
            TLSCertificateError: the peer's certificate is not to be trusted; the stream is aborted.
            TLSHandshakeError: the handshake failed, the stream is aborted.
            OptionError: ``tls`` cannot be used.
            ValueError: a client has ``received``, which begins the handshake itself.

        The others as send.

        """
        self._raise_if_over("start_tls")
        if received and not server_side:
            message = f"start_tls on {self._ends('<->')}: received={bytes(received)[:16]!r}: expected server_side=True"
            raise ValueError(message)
        side = server_tls(tls) if server_side else self._client(tls, server_hostname)
        protocol = self._protocol
        self._stop_receiving()
        try:
            if reply:
                self._send_plain(reply)
            while self._transport.get_write_buffer_size():
                await self._flushed("start_tls")
        except BaseException:
            protocol.needed = 0
            self._transport.resume_reading()
            raise
        try:
            transport = self._upgraded(side, server_hostname, bytes(received))
            await transport.shaken(self._timeouts.tls_handshake)
        except TLSError as exc:
            raise type(exc)(exc.errno or errno.EPROTO, f"start_tls on {self._ends('<->')}: {exc}") from exc.__cause__
        finally:
            protocol.needed = 0
        transport.resume_reading()
        watch(transport.loop, transport, protocol, self._timeouts)

    def _send_plain(self, reply: Buffer) -> None:
        try:
            self._transport.send(reply)
        except OSError as exc:
            raise self._send_error("start_tls", exc) from exc

    def _client(self, tls: TLSLike, server_hostname: str | None) -> ClientTLS:
        client = client_tls(tls)
        if client.context.check_hostname and not server_hostname:
            message = "start_tls: expected server_hostname, the name in the peer's certificate, or server_side=True"
            raise OptionError(message)
        return client

    def _stop_receiving(self) -> None:
        """Read nothing more in the clear, and see to it that nothing has been read.

        Raises:
            BusyError: a task is receiving: what it got next would be ciphertext.
            TLSError: bytes wait to be received.
            BrokenStreamError: the peer has ended.

        """
        protocol, both = self._protocol, self._ends("<->")
        if protocol.needed:
            raise BusyError(f"start_tls on {both}: another task is receiving")
        if protocol.buffer.size:
            size = protocol.buffer.size
            self._closed = True
            self._transport.abort()
            protocol.abandon()  # nobody is to read them
            raise TLSError(
                errno.EPROTO, f"start_tls on {both}: {size} bytes that came in the clear wait: they could be injected"
            )
        if protocol.ended:
            raise BrokenStreamError(errno.EPIPE, f"start_tls on {both}: the peer has ended")
        self._transport.pause_reading()
        protocol.needed = sys.maxsize  # a receiver is refused until it is done

    def _upgraded(self, tls: ClientTLS | ServerTLS, name: str | None, received: bytes) -> TLSTransport:
        """Move the descriptor from the transport to one that speaks TLS, which is the stream's from now on."""
        plain, protocol = self._transport, self._protocol
        loop, peer = plain.loop, plain.peer_sockaddr
        low, high = plain.get_write_buffer_limits()
        limits = Limits(high_water=high, low_water=low, receive_buffer=protocol.limit)
        if protocol.look is not None:
            protocol.look.cancel()
        lower = plain.detach()
        try:
            if isinstance(tls, ServerTLS):
                secure = secure_server(loop, lower, protocol, tls.context, peer, self._timeouts, limits, received)
            else:
                secure = secure_client(loop, lower, protocol, tls, name, peer, self._timeouts, limits, (peer, name))
        except TLSError as exc:
            plain.detached_in_vain(exc)
            raise
        secure.take_over(plain)
        protocol.transport = self._transport = secure
        return secure
