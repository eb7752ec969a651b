"""The Redis example's parser: the same commands however the bytes are cut, and limits on all that may be long."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resp import requests
from resp.requests import ProtocolError, RequestParser

arguments = st.lists(st.binary(max_size=40), min_size=1, max_size=5)
requests_ = st.one_of(
    arguments.map(lambda each: encode(*each)),
    st.sampled_from(
        [
            *(b"PING\r\n", b"SET k v\n", b"\r\n", b'SET k "a b"\r\n', b"SET k 'a\r\n", b"$3\r\n"),
            *(b"*0\r\n", b"*-1\r\n", b"*x\r\n", b"*9999999\r\n", b"*1\r\n\r\n"),
            *(b"*1\r\n$-1\r\n", b"*1\r\n$2\r\nabc\r\n", b"*1\r\n$99999999\r\n"),
        ]
    ),
    st.binary(max_size=10),
)


def encode(*arguments: bytes) -> bytes:
    return b"*%d\r\n" % len(arguments) + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in arguments)


def parse(*chunks: bytes) -> tuple[list[list[bytes]], str]:
    """Return the commands, and the error that ended them or nothing."""
    parser = RequestParser()
    commands: list[list[bytes]] = []
    try:
        for chunk in chunks:
            commands.extend(parser.feed(chunk))
    except ProtocolError as error:
        return commands, str(error)
    return commands, ""


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


@given(st.lists(requests_).map(b"".join), st.lists(st.integers(0, 10_000)))
@example(b"PING\r\n*1\r\n$4\r\nPING\r\n", list(range(30)))
def test_the_commands_are_the_same_however_the_bytes_are_cut(data: bytes, places: list[int]) -> None:
    assert parse(*cut(data, places)) == parse(data)


@given(st.lists(requests_).map(b"".join))
def test_byte_by_byte_is_as_good_as_all_at_once(data: bytes) -> None:
    assert parse(*(data[index : index + 1] for index in range(len(data)))) == parse(data)


@given(st.lists(arguments), st.lists(st.integers(0, 10_000)))
def test_what_is_encoded_is_what_is_parsed(commands: list[list[bytes]], places: list[int]) -> None:
    assert parse(*cut(b"".join(encode(*each) for each in commands), places)) == (commands, "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"PING", [b"PING"]),
        (b"  SET \t key   value  ", [b"SET", b"key", b"value"]),
        (b'SET key "two words"', [b"SET", b"key", b"two words"]),
        (b"SET key 'it\"s'", [b"SET", b"key", b'it"s']),
        (b'SET key ""', [b"SET", b"key", b""]),
        (b'SET key "\xff\x00"', [b"SET", b"key", b"\xff\x00"]),
    ],
)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_line_is_split_into_words_as_a_shell_does(line: bytes, words: list[bytes], ending: bytes) -> None:
    assert parse(line + ending) == ([words], "")


@pytest.mark.parametrize("nothing", [b"\r\n", b"\n", b"   \r\n", b"*0\r\n", b"*-1\r\n", b"*-10\r\n"])
def test_an_empty_request_is_passed_over(nothing: bytes) -> None:
    assert parse(nothing * 3 + b"PING\r\n") == ([[b"PING"]], "")


# From Redis's own tests (tests/unit/protocol.tcl), and beyond.
@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (b"*3000000000\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*1_0\r\n", "invalid multibulk length"),
        (b"* 1\r\n", "invalid multibulk length"),
        (b"*" + b"1" * 5000 + b"\r\n", "invalid multibulk length"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "expected '$', got 'f'"),
        (b"*1\r\nfoo\r\n", "expected '$', got 'f'"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n", "invalid bulk length"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n", "invalid bulk length"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n", "invalid bulk length"),
        (b"*1\r\n$4\r\nPING!!", "expected CRLF after an argument"),
        (b'set "unbalanced\r\n', "unbalanced quotes in request"),
        (b"x" * 65537, "too big inline request"),
        (b"x" * 65537 + b"\n", "too big inline request"),
        (b"*1\r\n$" + b"1" * 65537, "too big inline request"),
        (b"*1\r\n$" + b"1" * 65537 + b"\n", "too big inline request"),
        (b"*4\r\n" + (b"$30000000\r\n" + bytes(30_000_000) + b"\r\n") * 2 + b"$30000000\r\n", "too big request"),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else None,
)
def test_what_is_no_request_is_refused_behind_what_was_one(bad: bytes, error: str) -> None:
    assert parse(b"PING\r\n" + bad) == ([[b"PING"]], error)


def test_what_is_just_within_the_limits_is_taken() -> None:
    word = b"x" * requests.MAX_LINE
    assert parse(word + b"\n") == ([[word]], "")
    many = [b""] * requests.MAX_ARGUMENTS
    assert parse(encode(*many)) == ([many], "")
    long = bytes(requests.MAX_ARGUMENT)
    assert parse(encode(long, long)) == ([[long, long]], "")


def test_a_long_argument_in_small_pieces_is_not_joined_anew_for_each() -> None:
    # That would be 400 GB to copy, and run into the time limit.
    request = encode(b"SET", b"k", bytes(20_000_000))
    commands, error = parse(*(request[start : start + 500] for start in range(0, len(request), 500)))
    assert ([list(map(len, each)) for each in commands], error) == ([[3, 1, 20_000_000]], "")


def test_many_arguments_in_small_pieces_are_not_parsed_anew_for_each() -> None:
    # That would be more than a thousand million, and run into the time limit.
    many = [b"x"] * 200_000
    request = encode(*many)
    assert parse(*(request[start : start + 100] for start in range(0, len(request), 100))) == ([many], "")
