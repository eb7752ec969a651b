"""The framers that tests run through, each with messages that it can say, and what drives a framer without a stream."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from hypothesis import strategies as st

from aionet import (
    COBS,
    Chunked,
    Delimited,
    FixedSize,
    Framer,
    LengthPrefixed,
    Lines,
    NeedMore,
    Netstrings,
    ReceiveBuffer,
    VarintPrefixed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CASES", "Case", "Decoder", "Record"]

T = TypeVar("T")


class Record(Framer[tuple[str, int]]):
    """A framer of somebody's own: one method to receive, and here one to send."""

    def decode(self, buffer: ReceiveBuffer) -> tuple[str, int] | NeedMore:
        """Take a letter and a number of two bytes."""
        if buffer.size < 3:
            return NeedMore(3 - buffer.size)
        letter, number = struct.unpack("!cH", buffer.take(3))
        return letter.decode("latin-1"), number

    def encode(self, message: tuple[str, int]) -> bytes:
        """Make three bytes."""
        return struct.pack("!cH", message[0].encode("latin-1"), message[1])


@attrs.frozen
class Case:
    """A framer, messages for it, and how many bytes it needs to know that there is a message at all."""

    name: str
    framer: Framer[Any]
    messages: st.SearchStrategy[Any]

    def __str__(self) -> str:
        return self.name


_anything = st.one_of(st.binary(max_size=40), st.binary(min_size=120, max_size=300), st.just(b""), st.just(bytes(300)))
_some = st.binary(min_size=1, max_size=40)


def _without(*parts: bytes) -> st.SearchStrategy[bytes]:
    def remove(text: bytes) -> bytes:
        for part in parts:
            text = text.replace(part, b"")
        return text

    return _anything.map(remove)


_json_values = st.none() | st.booleans() | st.integers() | st.text() | st.dictionaries(st.text(), st.text())

CASES = [
    Case("lines", Lines(), _without(b"\n", b"\r")),
    Case("lf lines", Lines("lf"), _without(b"\n")),
    Case("crlf lines", Lines("crlf"), _without(b"\r\n", b"\n")),
    Case("kept lines", Lines(keep=True), _without(b"\n").map(lambda line: line + b"\n")),
    Case("delimited by one byte", Delimited(b";"), _without(b";")),
    Case("delimited by several", Delimited(b"aab"), st.text("ac", max_size=30).map(str.encode)),
    Case("kept delimiter", Delimited(b"--", keep=True), _without(b"-").map(lambda text: text + b"--")),
    Case("fixed size", FixedSize(7), st.binary(min_size=7, max_size=7)),
    *(Case(f"length of {n} bytes", LengthPrefixed(n), st.binary(max_size=200)) for n in range(1, 9)),
    Case("little-endian length", LengthPrefixed(3, byteorder="little"), _anything),
    Case("length of all", LengthPrefixed(2, adjustment=-2), _anything),
    Case("varint", VarintPrefixed(), _anything),
    Case("netstrings", Netstrings(), _anything),
    Case("COBS", COBS(), _anything),
    Case("chunked", Chunked(), _anything),
    Case("JSON lines", Lines().map(json.loads, lambda value: json.dumps(value).encode()), _json_values),
    Case("records", Record(), st.tuples(st.characters(max_codepoint=255), st.integers(0, 65535))),
]


class Decoder:
    """Feeds a framer as a stream does: it is asked again only when as much has come as it needs."""

    def __init__(self, framer: Framer[Any], buffer: ReceiveBuffer | None = None) -> None:
        self.framer = framer
        self.buffer = ReceiveBuffer() if buffer is None else buffer
        self.needed = 0

    def feed(self, *chunks: bytes) -> Iterable[Any]:
        """Return the messages that are whole with these chunks."""
        messages = []
        for chunk in chunks:
            if chunk:
                self.buffer.append(chunk)
            while self.buffer.size >= self.needed:
                found = self.framer.decode(self.buffer)
                if isinstance(found, NeedMore):
                    missing = 1 if found.count is None else found.count
                    assert missing >= 1
                    self.needed = self.buffer.size + missing
                else:
                    self.needed = 0
                    messages.append(found)
        return messages
