"""The families of framers, each by the words of its own specification and beside another implementation."""

from __future__ import annotations

import h11
import pytest
from cobs import cobs  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from aionet import (
    COBS,
    Chunked,
    Delimited,
    FixedSize,
    FrameError,
    Framer,
    LengthPrefixed,
    Lines,
    MessageError,
    Netstrings,
    VarintPrefixed,
)
from tests.unit.wire.framers import Decoder

HELLO = b"HELLO, WORLD"


@pytest.mark.parametrize(
    ("framer", "lines"),
    [
        (Lines(), [b"a", b"b", b"", b"c\r", b"d\re"]),
        (Lines("lf"), [b"a", b"b\r", b"\r", b"c\r\r", b"d\re"]),
        (Lines("crlf"), [b"a\nb", b"", b"c\r"]),
        (Lines(keep=True), [b"a\n", b"b\r\n", b"\r\n", b"c\r\r\n", b"d\re\n"]),
        (Lines("crlf", keep=True), [b"a\nb\r\n", b"\r\n", b"c\r\r\n"]),
    ],
)
def test_lines_end_as_they_were_asked_to(framer: Lines, lines: list[bytes]) -> None:
    assert Decoder(framer).feed(b"a\nb\r\n\r\nc\r\r\nd\re\n") == lines


@pytest.mark.parametrize(
    ("framer", "message", "complaint"),
    [
        (Lines(), b"a\nb", "contains its delimiter"),
        (Lines(), b"a\r", "which belongs to the ending"),
        (Lines(keep=True), b"a", "does not end with its delimiter"),
        (Lines(keep=True), b"a\nb\n", "contains"),
        (Lines("crlf"), b"a\r\nb", "contains"),
        (Delimited(b"aa"), b"xa", "contains"),  # the first two letters of b"xaaa" that match would end it too early
        (FixedSize(3), b"ab", "of 2 bytes: expected exactly 3"),
        (LengthPrefixed(1), bytes(256), "a length of 256: expected 0 to 255"),
        (LengthPrefixed(2, adjustment=10), b"x", "a length of -9"),
        (LengthPrefixed(2, strip=0), b"x", "a length of -1"),
        (LengthPrefixed(2, adjustment=-2, strip=0), b"x", "a message of 1 bytes: expected at least the 2"),
    ],
)
def test_what_would_be_received_otherwise_is_not_sent(framer: Framer[bytes], message: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        framer.encode(message)


# The examples in the documentation of Netty 4.1's LengthFieldBasedFrameDecoder, in its order.
@pytest.mark.parametrize(
    ("framer", "frame", "message"),
    [
        (LengthPrefixed(2, strip=0), b"\x00\x0c" + HELLO, b"\x00\x0c" + HELLO),
        (LengthPrefixed(2, strip=2), b"\x00\x0c" + HELLO, HELLO),
        (LengthPrefixed(2, adjustment=-2, strip=0), b"\x00\x0e" + HELLO, b"\x00\x0e" + HELLO),
        (LengthPrefixed(3, offset=2, strip=0), b"\xca\xfe\x00\x00\x0c" + HELLO, b"\xca\xfe\x00\x00\x0c" + HELLO),
        (LengthPrefixed(3, adjustment=2, strip=0), b"\x00\x00\x0c\xca\xfe" + HELLO, b"\x00\x00\x0c\xca\xfe" + HELLO),
        (LengthPrefixed(2, offset=1, adjustment=1, strip=3), b"\xca\x00\x0c\xfe" + HELLO, b"\xfe" + HELLO),
        (LengthPrefixed(2, offset=1, adjustment=-3, strip=3), b"\xca\x00\x10\xfe" + HELLO, b"\xfe" + HELLO),
    ],
)
def test_a_length_may_stand_anywhere_as_netty_has_it(framer: LengthPrefixed, frame: bytes, message: bytes) -> None:
    assert Decoder(framer).feed(frame, frame) == [message, message]
    if framer.offset and framer.strip:
        with pytest.raises(TypeError, match="nobody knows the bytes that were taken off"):
            framer.encode(message)
    else:
        assert framer.encode(message) == frame


def test_a_length_that_is_in_the_message_is_filled_in() -> None:
    framer = LengthPrefixed(2, offset=1, strip=0, byteorder="little")
    assert framer.encode(b"T\0\0text") == b"T\x04\0text"


@pytest.mark.parametrize(
    ("framer", "frame"),
    [(LengthPrefixed(2, adjustment=-2), b"\x00\x01"), (LengthPrefixed(1, strip=4), b"\x02ab")],
)
def test_a_length_that_ends_before_itself_is_refused(framer: LengthPrefixed, frame: bytes) -> None:
    with pytest.raises(FrameError, match=r"a length of \d: expected at least [23]"):
        Decoder(framer).feed(frame)


def test_varints_have_seven_bits_in_a_byte() -> None:
    framer = VarintPrefixed()
    assert framer.encode(b"x" * 150)[:2] == b"\x96\x01"  # the example of the Protocol Buffers documentation
    assert Decoder(framer).feed(b"\x80\x00" + framer.encode(b"a")) == [b"", b"a"]  # longer than it need be


@pytest.mark.parametrize("nonsense", [b":", b"-1:", b"+1:", b"01:a,", b" 1:a,", b"1_0:", b"1;", b"x", b"1" * 21])
def test_what_is_no_netstring_is_refused(nonsense: bytes) -> None:
    with pytest.raises(FrameError, match="no netstring"):
        Decoder(Netstrings()).feed(nonsense)


def test_netstrings_are_as_their_author_has_them() -> None:
    assert Netstrings().encode(b"hello world!") == b"12:hello world!,"
    assert Decoder(Netstrings()).feed(b"12:hello world!,0:,") == [b"hello world!", b""]
    with pytest.raises(FrameError, match="expected a comma after 3 bytes, not b';'"):
        Decoder(Netstrings()).feed(b"3:abc;")


# --- COBS -------------------------------------------------------------------------------------------------------------

stuffed = st.one_of(
    st.binary(max_size=1200),
    st.lists(st.sampled_from([b"\0", b"x" * 253, b"y" * 254, b"z" * 255, b"1"]), max_size=6).map(b"".join),
)


@given(stuffed)
def test_cobs_is_what_another_implementation_makes_of_it(message: bytes) -> None:
    frame = COBS().encode(message)
    assert frame == cobs.encode(message) + b"\0"
    assert Decoder(COBS()).feed(frame) == [message]


@given(st.binary(min_size=1, max_size=300).map(lambda text: text.replace(b"\0", b"\1")))
def test_cobs_is_refused_where_another_implementation_refuses_it(text: bytes) -> None:
    decoder = Decoder(COBS())
    try:
        expected = cobs.decode(text)
    except cobs.DecodeError:
        with pytest.raises(MessageError, match="bytes short") as caught:
            decoder.feed(text + b"\0\x02a\0")
        assert caught.value.content == text
        assert decoder.feed(b"") == [b"a"]
    else:
        assert decoder.feed(text + b"\0") == [expected]


def test_zero_bytes_between_cobs_messages_say_nothing() -> None:
    assert Decoder(COBS()).feed(b"\0\0\0\x02a\0" + bytes(10_000) + b"\x02b\0") == [b"a", b"b"]


# --- chunked ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5))
def test_h11_reads_the_chunks_that_were_written(chunks: list[bytes]) -> None:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.receive_data(b"".join(map(Chunked().encode, [*chunks, b""])))
    assert isinstance(client.next_event(), h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert body == b"".join(chunks)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5))
def test_the_chunks_that_h11_writes_are_read(chunks: list[bytes]) -> None:
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    server.next_event()
    server.send(h11.Response(status_code=200, headers=[("Transfer-Encoding", "chunked")]))
    pieces = [server.send(h11.Data(data=chunk)) or b"" for chunk in chunks]
    pieces.append(server.send(h11.EndOfMessage(headers=[("Digest", "x")])) or b"")
    assert Decoder(Chunked()).feed(*pieces) == [*chunks, b""]


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"005\r\nhello\r\n000\r\n\r\n",
        b"5;name=value\r\nhello\r\n0;last\r\n\r\n",
        b'5 ; name="a;b"\r\nhello\r\n0\r\n\r\n',
        b"5\r\nhello\r\n0\r\nExpires: never\r\nEmpty:\r\n\r\n",
    ],
)
def test_extensions_and_trailers_are_dropped(body: bytes) -> None:
    for chunks in ([body], [body[n : n + 1] for n in range(len(body))]):
        assert Decoder(Chunked()).feed(*chunks) == [b"hello", b""]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"x\r\n",
        b"0x5\r\nhello\r\n",
        b"-5\r\n",
        b"+5\r\nhello\r\n",
        b"5_0\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5;a\nb\r\nhello\r\n",
        b"5\r\nhelloXX",
        b"5\r\nhello\r\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nname : value\r\n\r\n",
        b"0\r\n folded\r\n\r\n",
        b"0\r\na: b\nc: d\r\n\r\n",
        b"0\r\na: \0\r\n\r\n",
        b"1" * 17 + b"\r\n",
        b"1;" + b"x" * 300,
        b"1;" + b"x" * 300 + b"\r\n",
    ],
)
def test_what_is_no_chunk_is_refused(nonsense: bytes) -> None:
    with pytest.raises(FrameError, match=r"no chunk|no trailer field"):
        Decoder(Chunked()).feed(nonsense)
