"""Send a file through a stream's write queue, where it keeps its place among what is sent before and after."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import stat
from typing import TYPE_CHECKING, Final

from aionet.wire.flow import FileRegion

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from aionet.stream.sending import SendingStream
    from aionet.transport.stream import StreamTransport

__all__ = ["send_file"]

_PIECE: Final = 256 * 1024


async def send_file(
    stream: SendingStream, transport: StreamTransport, file: BinaryIO, offset: int, count: int | None
) -> int:
    """Do what Stream.sendfile says."""
    if offset < 0 or (count is not None and count < 0):
        message = f"sendfile: offset={offset!r}, count={count!r}: expected 0 or more"
        raise ValueError(message)
    descriptor = _regular_file(file)
    if descriptor is not None:
        size = os.fstat(descriptor).st_size
    elif file.seekable():
        size = file.seek(0, io.SEEK_END)
    else:
        return await _send_pieces(stream, file, offset, count)
    available = max(0, size - offset)
    count = available if count is None else min(count, available)
    if not count:
        return 0
    if descriptor is None:
        return await _send_region(transport, file, offset, count, lambda: None)
    # A descriptor of our own: the caller may be cancelled and close its file while ours is still being sent.
    own = os.dup(descriptor)
    return await _send_region(transport, own, offset, count, lambda: os.close(own))


def _regular_file(file: BinaryIO) -> int | None:
    """Return the descriptor, or None for what sendfile(2) does not take."""
    try:
        descriptor = file.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return None
    return descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


async def _send_region(
    transport: StreamTransport, file: int | BinaryIO, offset: int, count: int, close: Callable[[], None]
) -> int:
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done() -> None:
        close()
        if not ended.done():
            ended.set_result(None)
        elif region.error is not None:
            # Cut short, and whoever asked for it is gone: the peer must not take it for whole.
            transport.fail(OSError(errno.EIO, f"a file ended before it was sent: {region.error}"))

    region = FileRegion(file, offset, count, done)
    try:
        transport.send_region(region)
    except BaseException:
        if not ended.done():
            done()
        raise
    await ended
    if region.error is not None:
        raise region.error
    return region.sent


async def _send_pieces(stream: SendingStream, file: BinaryIO, offset: int, count: int | None) -> int:
    """Send what can only be read on, such as a pipe; what other tasks send meanwhile gets in between."""
    if offset:
        message = f"sendfile: offset={offset!r}: expected 0, since the file cannot seek"
        raise ValueError(message)
    sent = 0
    while count is None or sent < count:
        data = file.read(_PIECE if count is None else min(_PIECE, count - sent))
        if not data:
            break
        await stream.send(data)
        sent += len(data)
    return sent
