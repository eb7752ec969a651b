"""Send a file through a stream's write queue."""

from __future__ import annotations

import asyncio
import io
import os
import stat
from typing import TYPE_CHECKING, Final

from aionet.wire.flow import FileRegion

if TYPE_CHECKING:
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
    regular = _regular_file(file)
    if regular is None:
        return await _send_pieces(stream, file, offset, count)
    descriptor, size = regular
    available = max(0, size - offset)
    count = available if count is None else min(count, available)
    if not count:
        return 0
    return await _send_region(transport, descriptor, offset, count)


def _regular_file(file: BinaryIO) -> tuple[int, int] | None:
    """Return descriptor and size, or None for what sendfile(2) does not take."""
    try:
        descriptor = file.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return None
    status = os.fstat(descriptor)
    return (descriptor, status.st_size) if stat.S_ISREG(status.st_mode) else None


async def _send_region(transport: StreamTransport, descriptor: int, offset: int, count: int) -> int:
    loop = asyncio.get_running_loop()
    sent: asyncio.Future[None] = loop.create_future()
    # A descriptor of our own: the caller may be cancelled and close its file while ours is still being sent.
    own = os.dup(descriptor)

    def done() -> None:
        os.close(own)
        if not sent.done():
            sent.set_result(None)

    region = FileRegion(own, offset, count, done)
    try:
        transport.send_region(region)
    except BaseException:
        if not sent.done():
            done()
        raise
    await sent
    if transport.error is not None and region.sent < count:
        raise transport.error
    return region.sent


async def _send_pieces(stream: SendingStream, file: BinaryIO, offset: int, count: int | None) -> int:
    if offset or file.seekable():  # a pipe is sent from where it stands
        file.seek(offset)
    sent = 0
    while count is None or sent < count:
        data = file.read(_PIECE if count is None else min(_PIECE, count - sent))
        if not data:
            break
        await stream.send(data)
        sent += len(data)
    return sent
