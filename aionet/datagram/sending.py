"""The sending half of a datagram endpoint.

What the kernel takes at once is sent without waiting. Many datagrams leave in runs (wire/segments.py). Whether the
kernel and the way to the peer take a run is known only by trying: one that is refused is sent singly, and from then on
only smaller datagrams are sent in runs. So a datagram that no packet of the path can carry does not end it for others,
and where there is no UDP_SEGMENT at all it costs one refused call.
"""

from __future__ import annotations

import errno
import socket
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from aionet.datagram.receiving import ReceivingEndpoint
from aionet.system.ancillary import UDP_SEGMENT, ecn_message, local_message, segment_message
from aionet.system.wakeup import DONE
from aionet.wire.segments import MAX_RUN_BYTES, run_end

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from aionet.address import Address, InetAddress
    from aionet.datagram.base import PeerLike
    from aionet.options import ECN, DatagramOptions
    from aionet.system.ancillary import ControlMessage
    from aionet.system.types import Buffer, SockAddr
    from aionet.transport.datagram_queue import DatagramQueue

__all__ = ["SendingEndpoint"]

# EIO: the device computes no checksums. EINVAL, EMSGSIZE: larger than the path takes, or no such thing here.
_NO_RUN: Final = frozenset({errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.ENOPROTOOPT, errno.EOPNOTSUPP})
_MAPPED: Final = "::ffff:"


class SendingEndpoint(ReceivingEndpoint):
    """Sends datagrams: one, many to one peer, many to many."""

    __slots__ = ("_gso_batches", "_largest_in_run", "_sock_sendto")

    def __init__(self, transport: DatagramQueue, options: DatagramOptions) -> None:
        super().__init__(transport, options)
        self._sock_sendto = transport.sock_sendto
        self._gso_batches = 0
        gso = options.gso and UDP_SEGMENT is not None and self._family != socket.AF_UNIX
        self._largest_in_run = MAX_RUN_BYTES // 2 if gso else 0

    def sendto(
        self, data: Buffer, peer: PeerLike, local: InetAddress | None = None, ecn: ECN | None = None
    ) -> Coroutine[Any, Any, None]:
        """Send one datagram to a peer; wait while the kernel has no room, in the order of the calls.

        ``local`` is the address of ours that it leaves from (IP_PKTINFO), such as ``Datagram.local``; ``ecn`` its
        congestion bits. Hosts are numeric. Cancelled while it waits: nothing was sent.

        Raises:
            DatagramTooLargeError: it is larger than the protocol or the path takes.
            DatagramError: the system refuses, or, connected, the network said so of an earlier datagram: told once.
            AddressError: a peer of another family, or a host that is not numeric.
            ClosedError: you closed the endpoint.

        Source: sendto(2), udp(7), ip(7).

        """
        transport = self._transport
        if transport.allowance > 0 and local is None and ecn is None:
            try:
                self._sock_sendto(data, peer.sockaddr)  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]
            except (AttributeError, TypeError, BlockingIOError, socket.gaierror):
                pass  # no address of aionet or of this family, or no room: all of that below
            except OSError as exc:
                return self._raise("sendto", exc, peer)
            else:
                transport.allowance -= 1
                return DONE
        return self._sendto(data, peer, local, ecn)

    async def _sendto(self, data: Buffer, peer: PeerLike, local: InetAddress | None, ecn: ECN | None) -> None:
        transport = self._transport
        sockaddr = self._sockaddr(peer)
        messages = self._messages(sockaddr, local, ecn)
        if messages:
            await self._send("sendto", peer, transport.sock_sendmsg, [data], messages, 0, sockaddr)
        else:
            await self._send("sendto", peer, transport.sock_sendto, data, sockaddr)

    async def _raise(self, operation: str, exc: OSError, peer: PeerLike | None) -> None:
        raise self._failure(operation, exc, peer) from exc

    def send(self, data: Buffer) -> Coroutine[Any, Any, None]:
        """Send one datagram to the peer that the endpoint is connected to. Otherwise as sendto.

        Source: send(2).
        """
        transport = self._transport
        if transport.allowance > 0:
            try:
                transport.sock_send(data)
            except BlockingIOError:
                pass
            except OSError as exc:
                return self._raise("send", exc, self._peer)
            else:
                transport.allowance -= 1
                return DONE
        return self._send("send", self._peer, transport.sock_send, data)

    async def send_many(
        self,
        datagrams: Iterable[Buffer],
        peer: PeerLike | None = None,
        *,
        local: InetAddress | None = None,
        ecn: ECN | None = None,
    ) -> None:
        """Send many datagrams to one peer, in order; by default to the one that the endpoint is connected to.

        Those of equal size leave in runs (UDP_SEGMENT) where the system takes them. Cancelled, or where one of them is
        refused: those before it are sent, those after it are not. Otherwise as sendto.
        """
        owned = [data if type(data) is bytes else memoryview(data).cast("B") for data in datagrams]
        sockaddr = None if peer is None else self._sockaddr(peer)
        messages = self._messages(sockaddr, local, ecn)
        await self._send_runs(owned, peer or self._peer, sockaddr, messages)

    async def sendto_many(self, datagrams: Iterable[tuple[Buffer, Address]]) -> None:
        """Send many datagrams, each to a peer of its own, in order. Those to one peer leave in runs. As send_many."""
        for peer, group in groupby(datagrams, key=itemgetter(1)):
            await self.send_many([data for data, _ in group], peer)

    def _messages(self, sockaddr: SockAddr, local: InetAddress | None, ecn: ECN | None) -> list[ControlMessage]:
        messages: list[ControlMessage] = []
        if local is not None:
            messages.append(local_message(local, self._family))
        if ecn is not None:
            host = (sockaddr or self._transport.get_extra_info("peername") or ("",))[0]
            messages.append(ecn_message(ecn, ipv6=self._family == socket.AF_INET6 and not host.startswith(_MAPPED)))
        return messages

    async def _send_runs(
        self,
        datagrams: list[bytes | memoryview],
        peer: PeerLike | None,
        sockaddr: SockAddr,
        messages: list[ControlMessage],
    ) -> None:
        transport = self._transport
        sizes = list(map(len, datagrams))
        start = 0
        while start < len(sizes):
            end = run_end(sizes, start, self._largest_in_run)
            if end - start == 1:
                await self._send("send_many", peer, transport.sock_sendmsg, datagrams[start:end], messages, 0, sockaddr)
            elif not await self._send_run(datagrams[start:end], peer, sockaddr, messages):
                continue  # smaller runs, or none
            start = end

    async def _send_run(
        self, run: list[bytes | memoryview], peer: PeerLike | None, sockaddr: SockAddr, messages: list[ControlMessage]
    ) -> bool:
        """Send a run at once; say whether the system takes such runs."""
        size = len(run[0])
        self._raise_if_told("send_many")
        try:
            await self._send_when_possible(
                self._transport.sock_sendmsg, run, [*messages, segment_message(size)], 0, sockaddr
            )
        except OSError as exc:
            if exc.errno in _NO_RUN and not self._transport.is_closing():
                self._largest_in_run = 0 if exc.errno == errno.EIO else size - 1
                return False
            raise self._failure("send_many", exc, peer) from exc
        self._transport.count_sent(len(run) - 1)
        self._gso_batches += 1
        return True

    async def _send(
        self,
        operation: str,
        peer: PeerLike | None,
        function: Callable[..., int],
        *args: Any,  # noqa: ANN401 - the function's
    ) -> None:
        self._raise_if_told(operation)
        try:
            await self._send_when_possible(function, *args)
        except OSError as exc:
            raise self._failure(operation, exc, peer) from exc

    def _raise_if_told(self, operation: str) -> None:
        if self._transport.allowance <= 0:
            self._raise_if_over(operation)

    async def _send_when_possible(self, function: Callable[..., int], *args: Any) -> None:  # noqa: ANN401 - the function's
        """Call a sending function of the socket now, or when there is room."""
        transport = self._transport
        if transport.allowance > 0:
            try:
                function(*args)
            except (BlockingIOError, InterruptedError):
                pass
            else:
                transport.allowance -= 1
                return
        await transport.send_in_turn(function, *args)
        transport.allowance -= 1
