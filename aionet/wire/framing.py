"""Framers: where in a stream of bytes a message ends, and what it says.

A framer knows no socket and no loop. It is handed the bytes that have arrived, takes one message off their front and
returns it, or says that it needs more. That is a value, NeedMore, and no exception: it is what happens most often, and
it can say how much is missing, so that nobody looks again before that much has come.

The rules of ``decode``, which make a stream safe to go on with after a cancel, an error, or another framer:

* It leaves the bytes of a message where they are until the message is whole. So a framer keeps nothing between two
  calls, and one framer serves any number of streams.
* It looks at a length or a limit before it waits for bytes, and so before any memory is used for them.
* FrameTooLargeError and FrameError leave the bytes: the stream stands where the message begins. MessageError is for a
  message whose end is known; it has been taken, and the stream stands at the next one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from aionet.errors import AionetError, FrameTooLargeError, MessageError, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionet.wire.buffer import ReceiveBuffer

__all__ = ["FRAME_SIZE", "NEED_MORE", "Framer", "NeedMore", "integer", "one_of", "too_large"]

T = TypeVar("T")
U = TypeVar("U")

# asyncio's limit for a line.
FRAME_SIZE: Final = 64 * 1024
_MAX_SIZE: Final = 2**63 - 1


@attrs.frozen
class NeedMore:
    """No whole message has arrived: there cannot be one before ``count`` more bytes have; None: nobody knows."""

    count: int | None = None


NEED_MORE: Final = NeedMore()


class Framer(ABC, Generic[T]):
    """Turns bytes into messages with ``decode``, and messages into bytes with ``encode``.

    A framer of your own is a subclass with a ``decode``; without an ``encode`` it only receives. ``max_bytes`` is the
    most that a message may take on the wire, all that belongs to it counted (default 64 KiB).
    """

    __slots__ = ()

    max_bytes: int = FRAME_SIZE

    @abstractmethod
    def decode(self, buffer: ReceiveBuffer) -> T | NeedMore:
        """Take one message off the front of ``buffer``, or leave all as it is and return NeedMore.

        Raises:
            FrameTooLargeError: the message is longer than ``max_bytes``; nothing was taken.
            FrameError: these bytes are no message; nothing was taken.
            MessageError: the message makes no sense; it was taken.

        """

    def encode(self, message: T) -> bytes:
        """Return the bytes that ``decode`` makes ``message`` of.

        Raises:
            FrameTooLargeError: they would be more than ``max_bytes``.
            ValueError: there are no such bytes.

        """
        raise TypeError(f"{self!r} has no encode: it only receives")

    def map(self, decode: Callable[[T], U], encode: Callable[[U], T] | None = None) -> Framer[U]:
        """Return a framer of what ``decode`` makes of each message; ``encode`` is the way back.

        ``Lines().map(json.loads, lambda value: json.dumps(value).encode())`` has JSON values as its messages. Whatever
        ``decode`` raises becomes MessageError, with that as its cause.
        """
        return _Mapped(self, decode, encode)


@attrs.frozen
class _Mapped(Framer[U], Generic[T, U]):
    """A framer whose messages go through two functions."""

    framer: Framer[T]
    loads: Callable[[T], U]
    dumps: Callable[[U], T] | None
    max_bytes: int = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(lambda self: self.framer.max_bytes, takes_self=True)
    )

    def decode(self, buffer: ReceiveBuffer) -> U | NeedMore:
        message = self.framer.decode(buffer)
        if isinstance(message, NeedMore):
            return message
        try:
            return self.loads(message)
        except AionetError:
            raise
        except Exception as exc:
            raise MessageError(f"a message that cannot be decoded: {type(exc).__name__}: {exc}", message) from exc

    def encode(self, message: U) -> bytes:
        if self.dumps is None:
            raise TypeError(f"{self!r} has no encode: it only receives")
        return self.framer.encode(self.dumps(message))


def too_large(max_bytes: int, size: int | None = None) -> FrameTooLargeError:
    """Build the error for a message of ``size`` bytes, or of nobody knows how many."""
    what = "a message" if size is None else f"a message of {size} bytes"
    return FrameTooLargeError(f"{what} is longer than max_bytes={max_bytes}", max_bytes)


def one_of(*values: str) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """Return an attrs validator for one of a few words."""

    def validate(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in values:
            expected = " or ".join(f'"{each}"' for each in values)
            raise OptionError(f"{type(instance).__name__}: {attribute.name}={value!r}: expected {expected}")

    return validate


def integer(lowest: int, highest: int = _MAX_SIZE) -> Callable[[Any, attrs.Attribute[int], int], None]:
    """Return an attrs validator for an integer within these bounds, with errors like those of aionet.options."""

    def validate(instance: object, attribute: attrs.Attribute[int], value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            name = type(instance).__name__
            raise OptionError(f"{name}: {attribute.name}={value!r}: expected an integer from {lowest} to {highest}")

    return validate
