"""sendfile: the bytes of a file, in order with what is sent before and after."""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, BinaryIO

import pytest

from aionet import BrokenStreamError, ClosedStreamError, SocketOptions
from tests.contract.filling import MUCH, SMALL_BUFFERS, receive_all, receive_all_slowly
from tests.turns import running, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from tests.contract.pairs import PairFactory


@contextmanager
def regular(data: bytes) -> Generator[BinaryIO]:
    """Open a regular file with this content."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file


@contextmanager
def in_memory(data: bytes) -> Generator[BinaryIO]:
    """Open a file that the kernel does not know."""
    with io.BytesIO(data) as file:
        yield file


each_file = pytest.mark.parametrize("opened", [regular, in_memory])

# Larger than what is sent of a file at a time.
LARGE = MUCH[: 5 << 19]


@each_file
@pytest.mark.parametrize("size", [0, 1, 100_000, len(LARGE)])
async def test_all_of_a_file_is_sent_and_counted(
    pairs: PairFactory, opened: Callable[[bytes], AbstractContextManager[BinaryIO]], size: int
) -> None:
    with opened(LARGE[:size]) as file:
        async with pairs() as (ours, theirs), running(receive_all(theirs)) as receiving:
            assert await ours.sendfile(file) == size
            await ours.send_eof()
            assert await receiving == LARGE[:size]


@each_file
@pytest.mark.parametrize(
    ("offset", "count", "expected"),
    [
        (0, None, b"0123456789"),
        (3, None, b"3456789"),
        (3, 4, b"3456"),
        (0, 0, b""),
        (3, 0, b""),
        (8, 5, b"89"),
        (10, None, b""),
        (10, 5, b""),
        (99, None, b""),
        (99, 5, b""),
    ],
)
async def test_a_part_of_a_file_is_sent_as_far_as_the_file_goes(
    pairs: PairFactory,
    opened: Callable[[bytes], AbstractContextManager[BinaryIO]],
    offset: int,
    count: int | None,
    expected: bytes,
) -> None:
    with opened(b"0123456789") as file:
        async with pairs() as (ours, theirs):
            assert await ours.sendfile(file, offset, count) == len(expected)
            await ours.send_eof()
            assert await receive_all(theirs) == expected


@each_file
@pytest.mark.parametrize(("offset", "count"), [(-1, None), (0, -1)])
async def test_a_part_that_cannot_be_is_a_mistake(
    pairs: PairFactory, opened: Callable[[bytes], AbstractContextManager[BinaryIO]], offset: int, count: int | None
) -> None:
    with opened(b"0123456789") as file:
        async with pairs() as (ours, _):
            with pytest.raises(ValueError, match=f"offset={offset}, count={count}"):
                await ours.sendfile(file, offset, count)


@each_file
async def test_a_file_is_sent_from_its_beginning_wherever_it_stands(
    pairs: PairFactory, opened: Callable[[bytes], AbstractContextManager[BinaryIO]]
) -> None:
    with opened(b"0123456789") as file:
        file.seek(0, io.SEEK_END)
        async with pairs() as (ours, theirs):
            assert await ours.sendfile(file) == 10
            assert await ours.sendfile(file, 0, 3) == 3
            await ours.send_eof()
            assert await receive_all(theirs) == b"0123456789012"


async def test_where_a_regular_file_stands_is_left_alone(pairs: PairFactory) -> None:
    with regular(b"0123456789") as file:
        file.seek(7)
        async with pairs() as (ours, _):
            await ours.sendfile(file, 2, 3)
        assert file.read() == b"789"


async def test_a_pipe_is_sent_until_its_end(pairs: PairFactory) -> None:
    readable, writable = os.pipe()
    with os.fdopen(readable, "rb") as reader:
        os.write(writable, b"0123456789")
        os.close(writable)
        async with pairs() as (ours, theirs):
            assert await ours.sendfile(reader) == 10
            await ours.send_eof()
            assert await receive_all(theirs) == b"0123456789"


@each_file
@pytest.mark.parametrize("size", [0, 10, len(LARGE)])
async def test_a_file_leaves_in_order_with_what_is_sent_before_and_after(
    pairs: PairFactory, opened: Callable[[bytes], AbstractContextManager[BinaryIO]], size: int
) -> None:
    data = LARGE[:size]
    with opened(data) as file:
        async with pairs(options=SMALL_BUFFERS) as (ours, theirs), running(receive_all_slowly(theirs)) as receiving:
            await ours.send(b"before")
            await ours.sendfile(file)
            await ours.send(b"between")
            await ours.send(MUCH)
            file.seek(0)
            await ours.sendfile(file)
            await ours.send(b"after")
            await ours.send_eof()
            assert await receiving == b"before" + data + b"between" + MUCH + data + b"after"


@each_file
async def test_what_other_tasks_send_meanwhile_does_not_get_into_a_file(
    pairs: PairFactory, opened: Callable[[bytes], AbstractContextManager[BinaryIO]]
) -> None:
    with opened(LARGE) as file, opened(LARGE) as another:
        async with pairs(options=SMALL_BUFFERS) as (ours, theirs), running(receive_all_slowly(theirs)) as receiving:
            async with asyncio.TaskGroup() as group:
                group.create_task(ours.sendfile(file))
                group.create_task(ours.send(b"<"))
                await turns()
                group.create_task(ours.sendfile(another))
                group.create_task(ours.send(b">"))
            await ours.send_eof()
            assert await receiving == LARGE + b"<" + LARGE + b">"


async def test_a_cancelled_sendfile_sends_all_that_was_asked_for_although_the_file_is_closed(
    pairs: PairFactory,
) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs):
        with regular(LARGE) as file:
            async with running(ours.sendfile(file, 1)) as sending:
                await turns()
            assert sending.cancelled()
        async with running(receive_all_slowly(theirs)) as receiving:
            await ours.send(b"after")
            await ours.send_eof()
            assert await receiving == LARGE[1:] + b"after"


async def test_a_cancelled_sendfile_from_memory_sends_all_that_was_asked_for(pairs: PairFactory) -> None:
    with in_memory(LARGE) as file:
        async with pairs(options=SMALL_BUFFERS) as (ours, theirs):
            async with running(ours.sendfile(file, 1)) as sending:
                await turns()
            assert sending.cancelled()
            async with running(receive_all_slowly(theirs)) as receiving:
                await ours.send(b"after")
                await ours.send_eof()
                assert await receiving == LARGE[1:] + b"after"


async def test_a_file_in_memory_that_is_closed_too_soon_is_not_taken_for_whole(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs):
        with in_memory(LARGE) as file:
            async with running(ours.sendfile(file)) as sending:
                await turns()
            assert sending.cancelled()
        received = []
        with pytest.raises(BrokenStreamError) if pairs.resets else nullcontext():
            async for data in theirs:
                received.append(data)  # noqa: PERF401 - what came before the error counts
        assert LARGE.startswith(b"".join(received))
        assert len(b"".join(received)) < len(LARGE)
        with pytest.raises(BrokenStreamError):  # and not that somebody has closed the stream
            await ours.send(b"after")


async def test_the_file_may_be_closed_on_return(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs), running(receive_all_slowly(theirs)) as receiving:
        with regular(LARGE) as file:
            assert await ours.sendfile(file) == len(LARGE)
        await ours.send_eof()
        assert await receiving == LARGE


async def test_a_file_that_shrinks_meanwhile_is_sent_as_far_as_it_goes(pairs: PairFactory) -> None:
    with regular(bytes(1 << 24)) as file:
        async with pairs(options=SMALL_BUFFERS) as (ours, theirs), running(ours.sendfile(file)) as sending:
            await turns()
            file.truncate(1 << 22)
            async with running(receive_all(theirs)) as receiving:
                assert await sending == 1 << 22
                await ours.send(b"after")
                await ours.send_eof()
                assert await receiving == bytes(1 << 22) + b"after"


@each_file
async def test_a_file_leaves_in_pieces_although_the_kernel_would_take_more(
    pairs: PairFactory, opened: Callable[[bytes], AbstractContextManager[BinaryIO]]
) -> None:
    options = SocketOptions(send_buffer=1 << 22, receive_buffer=1 << 22)
    with opened(bytes(1 << 24)) as file:
        async with pairs(options=options) as (ours, _), running(ours.sendfile(file)):
            await turns(1)
            assert ours.statistics().bytes_sent <= 1 << 20


async def test_two_files_may_be_sent_at_the_same_time(pairs: PairFactory) -> None:
    with regular(b"a" * 500_000) as one, regular(b"b" * 500_000) as other:
        async with pairs(options=SMALL_BUFFERS) as (ours, theirs), asyncio.TaskGroup() as group:
            group.create_task(ours.sendfile(one))
            group.create_task(ours.sendfile(other))
            assert await theirs.recv_exactly(1_000_000) == b"a" * 500_000 + b"b" * 500_000


async def test_a_file_that_cannot_be_read_raises_its_own_error_and_the_stream_lives_on(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        closed = io.BytesIO()
        closed.close()
        with pytest.raises(ValueError, match="closed file"):
            await ours.sendfile(closed)
        with tempfile.NamedTemporaryFile() as named, os.fdopen(os.open(named.name, os.O_WRONLY), "wb") as file:
            file.write(b"x")
            file.flush()
            with pytest.raises(OSError) as caught:  # noqa: PT011 - which one, the system says
                await ours.sendfile(file)
            assert not isinstance(caught.value, ConnectionError)
        await ours.send(b"x")
        await ours.send_eof()
        assert await receive_all(theirs) == b"x"


@each_file
async def test_a_peer_that_goes_away_ends_sendfile_with_an_error(
    pairs: PairFactory, opened: Callable[[bytes], AbstractContextManager[BinaryIO]]
) -> None:
    with opened(LARGE) as file:
        async with pairs(options=SMALL_BUFFERS) as (ours, theirs), running(ours.sendfile(file)) as sending:
            await turns()
            theirs.abort()
            with pytest.raises(BrokenStreamError):
                await sending
            with pytest.raises(BrokenStreamError):
                await ours.sendfile(file)


@each_file
async def test_an_abort_meanwhile_ends_sendfile_with_an_error(
    pairs: PairFactory, opened: Callable[[bytes], AbstractContextManager[BinaryIO]]
) -> None:
    with opened(LARGE) as file:
        async with pairs(options=SMALL_BUFFERS) as (ours, _), running(ours.sendfile(file)) as sending:
            await turns()
            ours.abort()
            with pytest.raises(ClosedStreamError):
                await sending


@each_file
async def test_a_close_meanwhile_still_sends_the_file_or_raises(
    pairs: PairFactory, opened: Callable[[bytes], AbstractContextManager[BinaryIO]]
) -> None:
    with opened(LARGE) as file:
        async with pairs(options=SMALL_BUFFERS) as (ours, theirs), running(ours.sendfile(file)) as sending:
            await turns()
            async with running(ours.aclose()) as closing:
                received = await receive_all(theirs)
                await theirs.aclose()
                await closing
            try:
                assert await sending == len(LARGE)
            except ClosedStreamError:
                assert received == LARGE[: len(received)]
            else:
                assert received == LARGE
