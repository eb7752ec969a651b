"""Datagrams for tasks: a bounded queue of what was received, and sending that waits for room.

Receiving. Each readiness event takes up to 32 datagrams off the socket into the queue, and only then resumes the task
that waits for them: it finds them all and needs no further event. What it leaves there when it waits for something else
is counted, in datagrams and in bytes, and what exceeds the bounds is dropped, the newest first. Whoever takes from the
queue has nothing to count: what was delivered is what was read, less what was dropped and what still waits.

There are two ways to read. recvmmsg gives data and peer, and is the cheap one. recvmsg gives control messages, too, and
the flag that says that a datagram was cut off; it is used where something needs one of them, and where the system has
no recvmmsg.

Behind a proxy each datagram loses its header, or is dropped, before it comes into the queue (datagram_proxy.py).
Batches are split for that.

Sending. What the kernel takes at once is sent without waiting. ``allowance`` is how often that may still be done before
the loop has to come round: then a sender looks closer. While others wait, or an error is there to be told, it is 0, so
that the usual case has one number to look at.

Counting. The kernel keeps the number of datagrams that it had no room for with the socket; SO_MEMINFO asks for it when
somebody wants to know, and costs nothing otherwise. SO_RXQ_OVFL would tell it with each datagram, by recvmsg only, and
not before another datagram has come.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from contextlib import suppress
from itertools import repeat, starmap
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from aionet.options import LARGEST_DATAGRAM
from aionet.system.ancillary import SO_MEMINFO, control_size, switch_on
from aionet.system.readiness import Readiness
from aionet.system.recvmmsg import BATCH, inet_address, reader
from aionet.system.wakeup import Wakeup
from aionet.transport.datagram_base import DatagramBase
from aionet.transport.datagram_proxy import DatagramHeaders
from aionet.transport.received import Datagram, DatagramBatch, Interpreter, Peers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from aionet.options import DatagramOptions
    from aionet.system.datagram_socket import DatagramSocket
    from aionet.wire.proxy_trust import ProxyProtocol

__all__ = ["DatagramQueue"]

# Sends that never wait, one after another, before others run: a tenth of a millisecond or two.
_ALLOWANCE: Final = 128
_RUN_COST: Final = 4  # of these, for a run: the time of a send or two in the kernel, and that of the copy
_MEMINFO: Final = struct.Struct("9I")
_DROPS: Final = 8  # SK_MEMINFO_DROPS, linux/sock_diag.h
_WRAP: Final = 1 << 32
# A Unix socket that is not connected is always writable, whether or not a receiver has room: ask again, less and less.
_FIRST_RETRY: Final = 0.001  # seconds
_LAST_RETRY: Final = 0.05  # seconds
_data_of: Final = attrgetter("data")


class DatagramQueue(DatagramBase):
    """Receives into a queue that one task takes from, and sends for any number of them.

    ``queue`` holds datagrams; once ``keep_batches`` has been called, what comes later is in ``batches``, as it came.
    ``readable`` resumes the task that waits for either to fill, or for ``error``.
    """

    __slots__ = (
        "_arguments",
        "_arrived",
        "_bytes",
        "_dropped_kernel",
        "_granted",
        "_interpret",
        "_kernel_counter",
        "_limit",
        "_limit_bytes",
        "_peers",
        "_plain",
        "_read",
        "_reader",
        "_sent",
        "_turn",
        "allowance",
        "batches",
        "dropped_queue",
        "error",
        "headers",
        "interpreter",
        "queue",
        "readable",
        "send_blocked",
        "sock_send",
        "sock_sendmsg",
        "sock_sendto",
        "writable",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        opened: DatagramSocket,
        options: DatagramOptions,
        proxy: ProxyProtocol | None = None,
    ) -> None:
        super().__init__(loop, opened, None)
        sock = opened.sock
        self.readable = Wakeup(loop)
        self.writable = Readiness(loop, self._writable_changed)
        self.error: OSError | None = None
        # Bound once: looking them up for every datagram costs more than the objects.
        self.sock_send = sock.send
        self.sock_sendto = sock.sendto
        self.sock_sendmsg = sock.sendmsg
        self._turn: asyncio.Lock | None = None
        self._sent = self.send_blocked = 0
        self._granted = self.allowance = _ALLOWANCE

        self.queue: deque[Datagram] = deque()
        self.batches: deque[DatagramBatch] = deque()
        self._arrived: deque[Any] = self.queue
        self._limit, self._limit_bytes = options.receive_queue, options.receive_queue_bytes
        self._bytes = 0  # those that wait, or more: what was taken is not subtracted
        self._read = self.dropped_queue = self._dropped_kernel = self._kernel_counter = 0
        asked = options.pktinfo or options.receive_ecn or options.timestamps
        self.interpreter = Interpreter(sock, asked=asked)
        self._interpret: Callable[[Collection[Any]], Collection[Any]] = self.interpreter.detailed
        # None for a Unix socket: what it could bring is open descriptors, which the kernel then closes.
        self._arguments = (options.max_datagram_size, 0 if sock.family == socket.AF_UNIX else control_size())
        self.headers = None if proxy is None else DatagramHeaders(sock, proxy)
        self._reader = reader()
        self._peers = Peers(inet_address)
        may_be_cut = sock.family == socket.AF_UNIX or options.max_datagram_size < LARGEST_DATAGRAM
        self._plain = self._reader is not None and not asked and not may_be_cut
        if options.gro:
            self.use_gro()

    def start(self) -> None:
        """Begin to receive."""
        self._reading = True
        self._watch()

    # --- receiving ----------------------------------------------------------------------------------------------------

    def use_gro(self) -> None:
        """Ask for runs of datagrams from now on, if the system has them."""
        if not self.interpreter.gro and not self._closed and switch_on(self._sock, "gro") is None:
            self.interpreter.gro = True
            self._plain = False

    def keep_batches(self) -> None:
        """Keep what comes as it is from now on, in ``batches``; not what comes with headers."""
        if self.headers is not None:
            return
        self._plain = False
        self._interpret = self.interpreter.batches
        self._arrived = self.batches

    def _on_readable(self, events: int) -> None:
        if self.error is None and not self.writable.waiters:
            self.grant()  # the loop has come round
        left = BATCH
        while left > 0 and not self._closed:
            # More may have come while the task ran: to look costs less than to go round by the loop.
            count = self._receive_some(left)
            if not count:
                return
            left -= count

    def _receive_some(self, most: int) -> int:
        """Receive what is there, and let the waiting task take it; return how many reads it were."""
        queue, batches = self.queue, self.batches
        if not queue and not batches:
            self._bytes = 0
        arrived: Collection[Datagram | DatagramBatch]
        if self._plain:
            arrived, count = self._receive_plain(most)
        else:
            arrived, count = self._receive_messages(most)
        if self.headers is not None:
            arrived = self.headers.take_off(arrived)  # type: ignore[arg-type]  # keep_batches has not been called
        if arrived:
            self._arrived.extend(arrived)
            self._read += len(arrived) if self._arrived is queue else sum(map(_count_of, arrived))
        elif self.error is None:
            return count
        self.readable.wake()
        if queue or batches:
            self._bytes += _size_of(arrived)
            self._keep_within_bounds()
        return count

    def _receive_plain(self, most: int) -> tuple[Collection[Datagram], int]:
        try:
            received = self._reader.receive(self._fd, self._family, most, Datagram, self._peers)  # type: ignore[union-attr]
        except OSError as exc:
            self._failed(exc)
            return (), 0
        return received, len(received)

    def _receive_messages(self, most: int) -> tuple[Collection[Datagram | DatagramBatch], int]:
        received: list[Any] = []
        try:
            # The loop over the system call, without a step of Python between.
            received.extend(starmap(self._sock.recvmsg, repeat(self._arguments, most)))
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as exc:
            self._failed(exc)
        return self._interpret(received), len(received)

    def _failed(self, exc: OSError) -> None:
        self.error = exc
        self.forbid()

    def _keep_within_bounds(self) -> None:
        """Drop the newest of what nobody took when it came."""
        if self._bytes > self._limit_bytes:
            self._bytes = _size_of(self.queue) + _size_of(self.batches)
        waiting = self.waiting
        while waiting > self._limit or self._bytes > self._limit_bytes:
            newest = self.batches.pop() if self.batches else self.queue.pop()
            count = _count_of(newest)
            self.dropped_queue += count
            waiting -= count
            self._bytes -= len(newest.data)

    @property
    def waiting(self) -> int:
        """Datagrams that wait to be received."""
        return len(self.queue) + sum(batch.datagrams for batch in self.batches)

    @property
    def delivered(self) -> int:
        """Datagrams that somebody took."""
        return self._read - self.dropped_queue - self.waiting

    def dropped_kernel(self) -> int:
        """Return how many datagrams the kernel had no room for, or found damaged; 0 where it does not say."""
        if not self._closed and SO_MEMINFO is not None:
            with suppress(OSError, struct.error):  # Linux has it since 4.12
                counter = _MEMINFO.unpack(self._sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO.size))[_DROPS]
                self._dropped_kernel += (counter - self._kernel_counter) % _WRAP
                self._kernel_counter = counter
        return self._dropped_kernel

    # --- sending ------------------------------------------------------------------------------------------------------

    @property
    def sent(self) -> int:
        """Datagrams that the kernel has taken."""
        return self._sent + self._granted - self.allowance

    def grant(self) -> None:
        """Let sends go ahead until the loop comes round."""
        self._sent += self._granted - self.allowance
        self._granted = self.allowance = _ALLOWANCE

    def forbid(self) -> None:
        """Let the next send look closer: others wait, or an error is there to be told."""
        self._sent += self._granted - self.allowance
        self._granted = self.allowance = 0

    def count_sent(self, count: int) -> None:
        """Count a run of datagrams that left at once, which takes the time of a few."""
        self.allowance -= _RUN_COST
        self._sent += count - _RUN_COST

    async def send_in_turn(self, function: Callable[..., int], *args: Any) -> None:  # noqa: ANN401 - the function's
        """Call a sending function of the socket as soon as it is this sender's turn and the kernel has room.

        Cancelled while it waits: nothing was sent.
        """
        if self._sock.family == socket.AF_UNIX and self._peer is None:
            await self._send_in_pauses(function, args)
            return
        if self.allowance <= 0 and not self.writable.waiters and not self._closed:
            await asyncio.sleep(0)
            if not self.writable.waiters:
                self.grant()
        waited = bool(self.writable.waiters)
        if waited:
            await self.writable.wait()
        while True:
            try:
                function(*args)
                break
            except (BlockingIOError, InterruptedError):
                self.send_blocked += 1
                self.forbid()
            await self.writable.wait(again=waited)  # in front of those who came later
            waited = True

    async def _send_in_pauses(self, function: Callable[..., int], args: tuple[Any, ...]) -> None:
        if self._turn is None:
            self._turn = asyncio.Lock()
        if self.allowance <= 0 and not self._turn.locked():
            await asyncio.sleep(0)
        async with self._turn:
            pause = _FIRST_RETRY
            while True:
                try:
                    function(*args)
                    break
                except (BlockingIOError, InterruptedError):
                    self.send_blocked += 1
                    self.forbid()
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST_RETRY)
        if not self._turn.locked():
            self.grant()

    def _writable_changed(self) -> None:
        self._writing = self.writable.wanted
        if not self._closed:
            self._watch()

    def _on_writable(self, events: int) -> None:
        self.writable.ready()

    # --- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close now; what nobody has received is dropped, and whoever waits is resumed in the loop's next turn."""
        if self._closed:
            return
        self.dropped_kernel()  # while it can still be asked
        self.dropped_queue += self.waiting
        self.queue.clear()
        self.batches.clear()
        self.forbid()
        self._release()
        self.readable.wake_soon()
        self.writable.close()

    def abort(self) -> None:
        """Close: there is nothing to wait for."""
        self.close()

    def abandon(self) -> None:
        """Close from a finalizer, which may run in any thread and after the loop."""
        if self._loop.is_closed():
            self._closed = True
            self._opened.close()
        else:
            self._loop.call_soon_threadsafe(self.close)


def _count_of(arrived: Datagram | DatagramBatch) -> int:
    return arrived.datagrams if isinstance(arrived, DatagramBatch) else 1


def _size_of(arrived: Collection[Datagram | DatagramBatch]) -> int:
    return sum(map(len, map(_data_of, arrived)))
