"""Requests and replies over one stream: many tasks ask at once, and each gets the reply to its own request.

Replies carry no number; they come in the order of the requests, and that is all there is to match them by. So a place
in the order, once its request has been sent, is kept until its reply has come, whether somebody still wants it or not.
And where the order is lost, everything after it is: the pipeline has failed, and says so to all, now and later.

One task receives, and only while a reply is due: so Timeouts.message bounds how long the next reply may take, and not
how long nobody asks for anything.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from aionet.errors import AionetError, BusyError, ClosedError, MessageError, ProtocolError

if TYPE_CHECKING:
    from types import TracebackType

    from aionet.stream.framed import Framed

__all__ = ["Pipeline"]

T = TypeVar("T")


class Pipeline(Generic[T]):
    """Sends requests over a framed stream and gives each its reply: ``async with Pipeline(framed) as pipeline``.

    While it is entered it alone receives from the stream. At the end of the block, requests that still wait raise
    ClosedError. The stream stays open; where replies were still due, it stands before or inside one.
    """

    __slots__ = ("_due", "_failure", "_reader", "_requested", "framed")

    def __init__(self, framed: Framed[T]) -> None:
        self.framed = framed
        self._due: deque[asyncio.Future[T]] = deque()  # in the order of the requests; done: nobody wants it
        self._requested = asyncio.Event()  # that something is due
        self._reader: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    async def __aenter__(self) -> Self:
        if self._reader is not None:
            raise BusyError(f"{self!r} has been entered before")
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._fail(ClosedError.of("request", repr(self)))
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])

    def __repr__(self) -> str:
        return f"<Pipeline over {self.framed!r}>"

    async def request(self, message: T) -> T:
        """Send a request and return its reply. Any number of tasks may: they need not wait for each other.

        Cancelled: the request has been sent all the same, and its reply is dropped when it comes.

        Raises:
            MessageError: the content of the reply makes no sense. The others are not concerned.
            IncompleteReadError: the stream ended before the reply.
            FrameTooLargeError, FrameError: this reply or one before it is too long, or is no frame.
            ProtocolError: the peer has sent what nobody asked for.
            ClosedError: the pipeline was left, or not entered.

        After all but MessageError, every later request raises the same. Besides, what Framed.send raises: that concerns
        this request alone, since those before it may still be answered.

        """
        if self._failure is not None:
            raise _again(self._failure)
        if self._reader is None:
            raise ClosedError.of("request", f"{self!r}, which was not entered")
        if not self._due and self.framed.stream.statistics().receive_buffer:
            raise _again(self._unasked())
        sending = self.framed.send(message)  # encoded: from here on the request has its place
        reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._due.append(reply)
        self._requested.set()
        try:
            await sending
        except asyncio.CancelledError:
            reply.cancel()
            raise
        except Exception:
            if not reply.done():
                # It was not sent, or it was the last that could be: no later reply can be taken for its own.
                self._due.remove(reply)
                raise
        return await reply

    async def _read(self) -> None:
        due = self._due
        while True:
            await self._requested.wait()
            self._requested.clear()
            while due:
                outcome: T | MessageError
                try:
                    outcome = await self.framed.recv()
                except MessageError as exc:
                    outcome = exc
                except Exception as exc:  # noqa: BLE001 - whatever it is, those who wait have to hear it
                    self._fail(exc)
                    return
                if self._failure is not None:
                    return
                if not due:  # the request could not be sent, and there is a reply
                    self._unasked()
                    return
                reply = due.popleft()
                if reply.done():
                    continue
                if isinstance(outcome, MessageError):
                    reply.set_exception(outcome)
                else:
                    reply.set_result(outcome)

    def _unasked(self) -> ProtocolError:
        failure = ProtocolError(f"request on {self!r}: the peer has sent what nobody asked for")
        self._fail(failure)
        return failure

    def _fail(self, failure: Exception) -> None:
        if self._failure is None:
            self._failure = failure
        while self._due:
            reply = self._due.popleft()
            if not reply.done():
                reply.set_exception(_again(failure))


def _again(failure: Exception) -> Exception:
    """Return the failure for one more task: an error that several tasks raise would gather the frames of all."""
    if not isinstance(failure, AionetError):  # a mistake of the framer's, and perhaps nothing that can be copied
        return failure
    error = copy.copy(failure)
    error.__cause__ = failure
    return error
