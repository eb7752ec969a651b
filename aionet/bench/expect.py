"""Where a reply ends: what ``--expect`` says, and the counters that find the ends in a stream of replies.

A counter is fed what arrives and says how many replies are complete now. It keeps no bytes of a reply, so a reply may
be of any size.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

import attrs

from aionet.errors import OptionError

__all__ = ["FORMS", "BytesCounter", "Counter", "Expect", "LengthCounter", "LineCounter", "WrongReplyError"]

FORMS: Final = "bytes:N, line, line:N (lines a reply), length:WIDTH or length:WIDTH:little (a prefix of 1 to 8 bytes)"
_MAX_WIDTH: Final = 8


class WrongReplyError(Exception):
    """What arrived is no reply; the message is what it is counted as."""


class Counter(Protocol):
    """Counts the replies of one connection."""

    def feed(self, data: bytes) -> int:
        """Take what arrived, and return how many replies it completes; raise WrongReplyError where it cannot be one."""
        ...

    @property
    def inside(self) -> bool:
        """Whether a part of a reply has arrived, and not all of it."""
        ...


@attrs.frozen
class Expect:
    """The framing of replies, as it was written: see FORMS."""

    text: str
    kind: Literal["bytes", "line", "length"]
    number: int
    order: Literal["big", "little"] = "big"

    @classmethod
    def parse(cls, text: str) -> Expect:
        """Make a framing of what a person wrote.

        Raises OptionError for what is none.
        """
        kind, *rest = text.split(":")
        try:
            match kind, rest:
                case "bytes" | "line", [number] if int(number) >= 1:
                    return cls(text, kind, int(number))
                case "line", []:
                    return cls(text, "line", 1)
                case "length", [width, *order] if 1 <= int(width) <= _MAX_WIDTH and order in ([], ["big"], ["little"]):
                    return cls(text, "length", int(width), "little" if order == ["little"] else "big")
                case _:
                    pass
        except ValueError:
            pass
        raise OptionError(f"expect {text!r}: expected {FORMS}")

    def counter(self) -> Counter:
        """Return what counts the replies of a new connection."""
        match self.kind:
            case "bytes":
                return BytesCounter(self.number)
            case "line":
                return LineCounter(self.number)
            case "length":
                return LengthCounter(self.number, self.order)

    def __str__(self) -> str:
        return self.text


class BytesCounter:
    """Replies of ``size`` bytes each, whatever they are."""

    __slots__ = ("_received", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._received = 0

    def feed(self, data: bytes) -> int:
        """As Counter.feed."""
        done, self._received = divmod(self._received + len(data), self._size)
        return done

    @property
    def inside(self) -> bool:
        """As Counter.inside."""
        return self._received > 0


class LineCounter:
    """Replies of so many lines each, which end with a line feed."""

    __slots__ = ("_lines", "_partial", "_seen")

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._seen = 0
        self._partial = False

    def feed(self, data: bytes) -> int:
        """As Counter.feed."""
        done, self._seen = divmod(self._seen + data.count(b"\n"), self._lines)
        self._partial = not data.endswith(b"\n")
        return done

    @property
    def inside(self) -> bool:
        """As Counter.inside."""
        return self._partial or self._seen > 0


class LengthCounter:
    """Replies that begin with their length, which counts what comes after it."""

    __slots__ = ("_order", "_prefix", "_rest", "_width")

    def __init__(self, width: int, order: Literal["big", "little"]) -> None:
        self._width = width
        self._order: Literal["big", "little"] = order
        self._prefix = b""
        self._rest = 0  # of the body, still to come

    def feed(self, data: bytes) -> int:
        """As Counter.feed."""
        done = position = 0
        while position < len(data):
            if not self._rest:
                end = position + self._width - len(self._prefix)
                self._prefix += data[position:end]
                position = end
                if len(self._prefix) < self._width:
                    break
                self._rest = int.from_bytes(self._prefix, self._order)
            took = min(self._rest, max(len(data) - position, 0))
            self._rest -= took
            position += took
            if not self._rest:
                self._prefix = b""
                done += 1
        return done

    @property
    def inside(self) -> bool:
        """As Counter.inside."""
        return self._rest > 0 or len(self._prefix) > 0
