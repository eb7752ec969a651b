"""Messages over a stream, as a framer cuts them.

A message that has arrived is given without waiting and without a trip around the loop, one at a time: what is behind it
stays in the stream, where another framer, ``recv``, or ``start_tls`` finds it. The budget is receiving.py's: after so
many messages that did not have to wait, the loop comes round once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from aionet.errors import AionetError, FrameError, FrameTooLargeError, IncompleteReadError
from aionet.stream.failures import ends
from aionet.stream.peeking import PeekingStream
from aionet.wire.framing import NeedMore, too_large

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from aionet.stream.protocol import StreamProtocol
    from aionet.stream.stream import Stream
    from aionet.transport.stream import StreamTransport
    from aionet.wire.framing import Framer

__all__ = ["Framed", "FramingStream"]

T = TypeVar("T")

# As in receiving.py.
_BUDGET: Final = 128


_ErrorT = TypeVar("_ErrorT", bound=AionetError)


def _located(exc: _ErrorT, transport: StreamTransport) -> _ErrorT:
    """Say in a framer's error on which connection it was."""
    exc.args = (f"recv on {ends(transport, '<-')}: {exc}", *exc.args[1:])
    return exc


class FramingStream(PeekingStream):
    """Receives whole messages, as a framer cuts them."""

    __slots__ = ()

    async def _recv_message(self, framer: Framer[T], *, rest: bool) -> T:
        """Receive a message; with ``rest``, let the others run before."""
        if rest:
            self._budget = 0
        await self._ready("recv")
        protocol = self._protocol
        try:
            message = framer.decode(protocol.buffer)
            if isinstance(message, NeedMore):
                message = await self._in_time("recv", self._whole_message(framer, message.count))
        except (FrameTooLargeError, FrameError) as exc:
            raise _located(exc, self._transport)  # noqa: B904 - it is the same error
        finally:
            if protocol.paused:  # a message that makes no sense was taken, too
                protocol.resume()
        return message

    async def _whole_message(self, framer: Framer[T], missing: int | None) -> T:
        buffer = self._protocol.buffer
        while True:
            needed = buffer.size + (missing or 1)
            if needed > framer.max_bytes:
                raise too_large(framer.max_bytes, needed)
            await self._wait_for(needed)
            if buffer.size < needed:
                self._raise_if_over("recv")
                partial = buffer.take(sys.maxsize)
                where = f"after {len(partial)} bytes of a message" if partial else "where a message would begin"
                message = f"recv on {self._ends('<-')}: the stream ended {where}"
                raise IncompleteReadError(message, partial, None if missing is None else needed)
            found = framer.decode(buffer)
            if not isinstance(found, NeedMore):
                return found
            missing = found.count


class Framed(Generic[T]):
    """The messages of a stream, as ``framer`` cuts them; ``Stream.framed`` makes it.

    ``async for message in framed`` receives until the end of stream. One task may receive at a time, any number may
    send. It keeps nothing: the stream may be used in between, and has the next message's first byte next.
    """

    __slots__ = ("_budget", "_buffer", "_decode", "_encode", "_protocol", "_receive", "framer", "stream")

    def __init__(
        self,
        stream: Stream,
        framer: Framer[T],
        protocol: StreamProtocol,
        receive: Callable[..., Awaitable[T]],
    ) -> None:
        self.stream = stream
        self.framer = framer
        self._protocol = protocol
        self._buffer = protocol.buffer
        self._receive = receive
        self._decode = framer.decode
        self._encode = framer.encode
        self._budget = _BUDGET

    def __repr__(self) -> str:
        return f"<Framed {self.framer!r} on {self.stream!r}>"

    async def recv(self) -> T:
        """Receive a message.

        Cancelled: nothing is lost.

        Raises:
            IncompleteReadError: the stream ended; ``partial`` is what came of a message, b"" if nothing did.
            FrameTooLargeError: the message is longer than the framer's ``max_bytes``; nothing was taken.
            FrameError: the bytes are no frame; nothing was taken.
            MessageError: the frame's content makes no sense; it was taken, and the next message comes next.
            StreamTimeoutError: the message timeout passed.

        The others as Stream.recv.

        """
        protocol = self._protocol
        rest = self._budget <= 0
        if self._buffer.size and not rest and not protocol.needed:
            self._budget -= 1
            try:
                message = self._decode(self._buffer)
            except (FrameTooLargeError, FrameError) as exc:
                raise _located(exc, protocol.transport)  # noqa: B904 - it is the same error
            finally:
                if protocol.paused:
                    protocol.resume()
            if not isinstance(message, NeedMore):
                return message
        self._budget = _BUDGET
        return await self._receive(self.framer, rest=rest)

    def send(self, message: T) -> Coroutine[Any, Any, None]:
        """Send a message, as Stream.send does.

        Raises:
            FrameTooLargeError: it would be longer than the framer's ``max_bytes``.
            ValueError: the framer has no bytes for it; TypeError where it has none for any.

        """
        return self.stream.send(self._encode(message))

    def send_many(self, messages: Iterable[T]) -> Coroutine[Any, Any, None]:
        """Send several messages as one, all of them or, where one cannot be encoded, none. Otherwise as send."""
        return self.stream.send(b"".join(map(self._encode, messages)))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        protocol = self._protocol
        rest = self._budget <= 0
        # What recv does, without a coroutine in between: a fifth of what a message costs that has arrived.
        if self._buffer.size and not rest and not protocol.needed:
            self._budget -= 1
            try:
                message = self._decode(self._buffer)
            except (FrameTooLargeError, FrameError) as exc:
                raise _located(exc, protocol.transport)  # noqa: B904 - it is the same error
            finally:
                if protocol.paused:
                    protocol.resume()
            if not isinstance(message, NeedMore):
                return message
        self._budget = _BUDGET
        try:
            return await self._receive(self.framer, rest=rest)
        except IncompleteReadError as exc:
            if exc.partial:
                raise
        raise StopAsyncIteration
