"""The server: a session for each client's port, and in it one transfer from a port of its own (RFC 1350 section 4)."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from functools import partial
from typing import IO, TYPE_CHECKING, cast

import attrs

import aionet
from tftp.packets import Code, MalformedError, Request, parse
from tftp.transfer import AbandonedError, Options, Transfer, TransferError

if TYPE_CHECKING:
    from pathlib import Path

    from aionet.system.opening import Opening

logger = logging.getLogger("tftp")


def serve(
    endpoint: aionet.Endpoint, folder: Path, *, writable: bool, options: aionet.SessionOptions | None = None
) -> Opening[aionet.DatagramServer]:
    """Serve the files of a folder."""
    # The client knows the server by the address that it asked: the transfer has to come from there.
    asked = aionet.DatagramOptions(pktinfo=True)
    handler = partial(answer, folder=folder.resolve(), writable=writable)
    return aionet.serve_datagram(endpoint, handler, sessions=options, options=asked)


async def answer(session: aionet.DatagramSession, folder: Path, *, writable: bool) -> None:
    """Answer a request. What else comes to the server's own port is nobody's, and gets no answer."""
    try:
        request = parse(await session.recv())
    except MalformedError:
        return
    if not isinstance(request, Request):
        return
    async with _connected(session) as endpoint:
        try:
            await _run(request, endpoint, folder, session.draining, writable=writable)
        except TransferError as error:
            logger.info("%s %s: %s", session.peer, request.name, error)
            await endpoint.send(error.packet.pack())
        except (AbandonedError, aionet.DatagramError) as error:
            logger.info("%s %s: %s", session.peer, request.name, error)


def _connected(session: aionet.DatagramSession) -> Opening[aionet.DatagramEndpoint]:
    """An endpoint of its own for the transfer: its port is the server's half of the transfer's identity."""
    mine = attrs.evolve(cast("aionet.InetAddress", session.local), port=0)
    return aionet.connect_datagram(session.peer, local=mine, options=aionet.DatagramOptions(dual_stack=True))


async def _run(
    request: Request, endpoint: aionet.DatagramEndpoint, folder: Path, draining: asyncio.Event, *, writable: bool
) -> None:
    if request.mode != "octet":
        raise TransferError(Code.ILLEGAL, "only octet mode is served")
    path = _inside(folder, request.name)
    if not request.writes:
        with _opened(path) as file:
            options = Options.agree(request.options, os.fstat(file.fileno()).st_size)
            await Transfer(endpoint, options).send(file)
        return
    if not writable:
        raise TransferError(Code.REFUSED, "nothing is written here")
    if path.exists():
        raise TransferError(Code.EXISTS, "the file exists")
    transfer = Transfer(endpoint, Options.agree(request.options, None))
    number = await _receive(transfer, path)
    # The file is there: who stops the server need not wait for a client that may want to hear so again.
    finishing = asyncio.ensure_future(transfer.finish(number))
    stopping = asyncio.ensure_future(draining.wait())
    try:
        await asyncio.wait([finishing, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        finishing.cancel()
        stopping.cancel()
        # Refused: the client has its acknowledgement, and is gone.
        await asyncio.gather(finishing, stopping, return_exceptions=True)


async def _receive(transfer: Transfer, path: Path) -> int:
    """Receive into a file that gets its name when it is whole."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tftp-") as file:
            number = await transfer.receive(file)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.link(file.name, path)  # unlike a rename, it does not replace what has come meanwhile
    except FileExistsError:
        raise TransferError(Code.EXISTS, "the file exists") from None
    except FileNotFoundError:
        raise TransferError(Code.NOT_FOUND, "no such folder") from None
    except aionet.AionetError:
        raise
    except OSError as error:
        raise TransferError(Code.DISK_FULL, error.strerror or "cannot be written") from None
    return number


def _inside(folder: Path, name: str) -> Path:
    """The file of that name, which is in the folder, or below."""
    try:
        path = (folder / name.lstrip("/")).resolve()
    except (OSError, RuntimeError):  # a loop of links, a name that is too long
        raise TransferError(Code.NOT_FOUND, "no such file") from None
    if not path.is_relative_to(folder) or path == folder:
        raise TransferError(Code.REFUSED, "outside of the folder")
    return path


def _opened(path: Path) -> IO[bytes]:
    try:
        if not path.is_file():  # a folder, or a pipe, which would wait for a writer
            raise TransferError(Code.NOT_FOUND, "no such file")
        return path.open("rb")
    except OSError as error:
        raise TransferError(Code.REFUSED, error.strerror or "cannot be read") from None
