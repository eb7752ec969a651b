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

__all__ = ["CASES", "Case", "Decoder", "ForeignChunks", "ForeignHeaders", "Record"]

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


class ForeignHeaders(LengthPrefixed):
    """Says what stands in front of a message, where LengthPrefixed, which takes it off, cannot know it."""

    def encode(self, message: bytes) -> bytes:
        """Put that much of a header in front as is taken off; the rest is the message's own."""
        whole = self.strip + len(message)
        length = whole - self.offset - self.size - self.adjustment
        header = bytes([0xCA]) * self.offset + length.to_bytes(self.size, self.byteorder)
        return header[: self.strip].ljust(self.strip, b"\xfe") + message


@attrs.frozen
class ForeignChunks(Chunked):
    """Says around a chunk what RFC 9112 section 7.1 allows, and Chunked takes off and never says."""

    extension: bytes = b""
    trailers: bytes = b""

    def encode(self, message: bytes) -> bytes:
        """Make a chunk with an extension, or the last one with a trailer section."""
        line = b"0%X%b\r\n" % (len(message), self.extension)
        return line + (message or self.trailers) + b"\r\n"


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


def _with_length(before: bytes, size: int) -> st.SearchStrategy[bytes]:
    """Messages that have their length in them, behind some other bytes."""
    return (_some if size == 1 else _anything).map(lambda body: before + len(body).to_bytes(size) + body)


_json_values = st.none() | st.booleans() | st.integers() | st.text() | st.dictionaries(st.text(), st.text())

CASES = [
    Case("lines", Lines(), _without(b"\n", b"\r")),
    Case("lf lines", Lines("lf"), _without(b"\n")),
    Case("crlf lines", Lines("crlf"), _without(b"\r\n", b"\n")),
    Case("kept lines", Lines(keep=True), _without(b"\n").map(lambda line: line + b"\n")),
    Case("kept lf lines", Lines("lf", keep=True), _without(b"\n").map(lambda line: line + b"\n")),
    Case("kept crlf lines", Lines("crlf", keep=True), _without(b"\r\n", b"\n").map(lambda line: line + b"\r\n")),
    Case("delimited by one byte", Delimited(b";"), _without(b";")),
    Case("delimited by several", Delimited(b"aab"), st.text("ac", max_size=30).map(str.encode)),
    Case("kept delimiter", Delimited(b"--", keep=True), _without(b"-").map(lambda text: text + b"--")),
    Case("fixed size", FixedSize(7), st.binary(min_size=7, max_size=7)),
    *(Case(f"length of {n} bytes", LengthPrefixed(n), st.binary(max_size=200)) for n in range(1, 9)),
    Case("little-endian length", LengthPrefixed(3, byteorder="little"), _anything),
    Case("length of all", LengthPrefixed(2, adjustment=-2), _anything),
    Case("length with its message", LengthPrefixed(2, strip=0), _with_length(b"", 2)),
    Case("length inside the message", LengthPrefixed(3, offset=1, strip=0), _with_length(b"T", 3)),
    Case("length behind other bytes", ForeignHeaders(2, offset=3), _anything),
    Case("length between other bytes", ForeignHeaders(2, offset=1, strip=5, byteorder="little"), _anything),
    Case("length of all behind other bytes", ForeignHeaders(2, offset=2, adjustment=-4), _anything),
    Case("length of less behind other bytes", ForeignHeaders(1, offset=1, adjustment=1), _some),
    Case("length with its message alone", ForeignHeaders(2, offset=2, strip=2), _with_length(b"", 2)),
    Case(
        "half of the length taken off", ForeignHeaders(2, offset=1, strip=2), _some.map(lambda b: bytes([len(b)]) + b)
    ),
    Case("varint", VarintPrefixed(), _anything),
    Case("netstrings", Netstrings(), _anything),
    Case("COBS", COBS(), _anything),
    Case("chunked", Chunked(), _anything),
    *(
        Case(f"chunked with {name}", ForeignChunks(extension, trailers), _anything)
        for name, extension, trailers in (
            ("an extension", b";last", b""),
            ("a quoted extension", b' ; name="a; b"', b""),
            ("a long extension", b";" + b"x" * 200, b""),
            ("a trailer", b"", b"Expires: never\r\n"),
            ("trailers and an extension", b";a=b;c", b"Empty:\r\nx:" + b"y" * 300 + b"\r\na:b\r\n"),
        )
    ),
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
