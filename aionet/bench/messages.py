"""What is sent, and what has to come back where the server echoes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from aionet.bench.expect import WrongReplyError

if TYPE_CHECKING:
    import random

    from aionet.bench.expect import Counter
    from aionet.bench.sizes import Sizes

__all__ = ["READ_SIZE", "WRONG_BYTES", "Messages", "Writer"]

# Larger reads allocate more than malloc keeps at hand, and bring little more at a time.
READ_SIZE: Final = 64 * 1024
WRONG_BYTES: Final = "wrong bytes in the reply"

# So many sizes are drawn before they begin again: enough for the mean to be that of the distribution.
_DRAWN: Final = 4096


class Writer(Protocol):
    """The messages of one connection, in order."""

    def next(self, count: int) -> bytes:
        """Return the next ``count`` messages, in one piece."""
        ...


class Messages:
    """The messages of a generator: random bytes of drawn sizes, or the same request again and again.

    Every message is the beginning of one block, so that they need no more memory than the longest of them.
    """

    def __init__(self, sizes: Sizes, random: random.Random, request: bytes | None = None) -> None:
        if request is not None:
            self._sizes = [len(request)]
        else:
            self._sizes = [sizes.draw(random) for _ in range(1 if sizes.fixed else _DRAWN)]
        self.longest = max(self._sizes)
        self.block = random.randbytes(self.longest) if request is None else request

    @property
    def sizes(self) -> list[int]:
        """The sizes of the messages, which begin again at the end."""
        return self._sizes

    @property
    def mean(self) -> float:
        """The mean size."""
        return sum(self._sizes) / len(self._sizes)

    def writer(self) -> Writer:
        """Return the messages from the first on."""
        return _Same(self.block) if len(self._sizes) == 1 else _Varied(self.block, self._sizes)

    def echoes(self) -> Counter:
        """Return what counts, and compares, the messages that come back."""
        return _SameEcho(self.block) if len(self._sizes) == 1 else _VariedEcho(self.block, self._sizes)


class _Same:
    __slots__ = ("_message",)

    def __init__(self, message: bytes) -> None:
        self._message = message

    def next(self, count: int) -> bytes:
        return self._message if count == 1 else self._message * count


class _Varied:
    __slots__ = ("_block", "_next", "_sizes")

    def __init__(self, block: bytes, sizes: list[int]) -> None:
        self._block = block
        self._sizes = sizes
        self._next = 0

    def next(self, count: int) -> bytes:
        first, self._next = self._next, self._next + count
        sizes, block = self._sizes, self._block
        return b"".join([block[: sizes[number % _DRAWN]] for number in range(first, first + count)])


class _SameEcho:
    """Compares all that arrives at once: what is expected is the message again and again."""

    __slots__ = ("_pattern", "_received", "_size")

    def __init__(self, message: bytes) -> None:
        self._size = len(message)
        self._pattern = message * (READ_SIZE // len(message) + 2)
        self._received = 0

    def feed(self, data: bytes) -> int:
        if not self._pattern.startswith(data, self._received):
            raise WrongReplyError(WRONG_BYTES)
        done, self._received = divmod(self._received + len(data), self._size)
        return done

    @property
    def inside(self) -> bool:
        return self._received > 0


class _VariedEcho:
    __slots__ = ("_block", "_number", "_received", "_sizes")

    def __init__(self, block: bytes, sizes: list[int]) -> None:
        self._block = block
        self._sizes = sizes
        self._number = 0
        self._received = 0

    def feed(self, data: bytes) -> int:
        done = position = 0
        while position < len(data):
            size = self._sizes[self._number % _DRAWN]
            piece = data[position : position + size - self._received]
            if not self._block.startswith(piece, self._received):
                raise WrongReplyError(WRONG_BYTES)
            position += len(piece)
            self._received += len(piece)
            if self._received == size:
                self._received = 0
                self._number += 1
                done += 1
        return done

    @property
    def inside(self) -> bool:
        return self._received > 0
