"""Pairs of connected streams: one factory for each kind of transport.

The suite in this folder takes nothing but such a factory. A new kind of transport is a new class here, and every line
of the contract is then proved on it too.
"""

from __future__ import annotations

import asyncio
import tempfile
from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs

import aionet
from aionet import Timeouts
from tests.certificates import CLIENT, NAME, SERVER

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aionet import Limits, SocketOptions, Stream, TLSConfig

__all__ = ["FACTORIES", "PairFactory", "without_deadlines"]


class PairFactory(ABC):
    """Opens pairs of connected streams of one kind: ``async with pairs() as (ours, theirs)``."""

    name: ClassVar[str]
    # Whether an abort, or a close that finds the peer dead, reaches the other end as a reset; if not, as the end.
    resets: ClassVar[bool] = True
    # Whether the bytes go through buffers in memory on their way between the kernel and the user.
    in_memory: ClassVar[bool] = False

    @abstractmethod
    async def open(
        self,
        *,
        options: SocketOptions | None = None,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
    ) -> tuple[Stream, Stream]:
        """Open a pair for the caller to close.

        What is given holds for both ends, but deadlines for ours alone: else either might end the stream first.
        """

    @asynccontextmanager
    async def __call__(
        self,
        *,
        options: SocketOptions | None = None,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
    ) -> AsyncGenerator[tuple[Stream, Stream]]:
        """Open a pair, and abort what is left of it at the end of the block."""
        ours, theirs = await self.open(options=options, timeouts=timeouts, limits=limits)
        try:
            yield ours, theirs
        finally:
            ours.abort()
            theirs.abort()


def without_deadlines(timeouts: Timeouts) -> Timeouts:
    """Return the same timeouts without those that may end an open stream."""
    return attrs.evolve(timeouts, first_bytes=None, idle=None, message=None, write_stall=None)


class _OverListener(PairFactory):
    """One end connects to a listener, the other is accepted by it."""

    client: ClassVar[TLSConfig | None] = None
    server: ClassVar[TLSConfig | None] = None

    @abstractmethod
    def _endpoint(self, folder: Path) -> str: ...

    async def open(
        self,
        *,
        options: SocketOptions | None = None,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
    ) -> tuple[Stream, Stream]:
        with tempfile.TemporaryDirectory() as folder:
            endpoint = self._endpoint(Path(folder))
            without = without_deadlines(timeouts or Timeouts())
            async with aionet.listen(
                endpoint, tls=self.server, options=options, timeouts=without, limits=limits
            ) as listener:
                accepting = asyncio.create_task(listener.accept())  # TLS needs both ends
                name = None if self.client is None else NAME
                ours = await aionet.connect(
                    listener.addresses[0],
                    tls=self.client,
                    server_hostname=name,
                    options=options,
                    timeouts=timeouts,
                    limits=limits,
                )
                theirs = await accepting
        return ours, theirs


class TCPv4(_OverListener):
    """TCP over IPv4."""

    name = "tcp4"

    def _endpoint(self, folder: Path) -> str:
        return "tcp://127.0.0.1:0"


class TCPv6(_OverListener):
    """TCP over IPv6."""

    name = "tcp6"

    def _endpoint(self, folder: Path) -> str:
        return "tcp://[::1]:0"


class Unix(_OverListener):
    """Unix sockets."""

    name = "unix"
    resets = False

    def _endpoint(self, folder: Path) -> str:
        return f"unix:{folder / 'pair'}"


class TLS(TCPv4):
    """TLS over TCP: OpenSSL reads and writes the descriptor."""

    name = "tls"
    client = CLIENT
    server = SERVER


class TLSInTLS(TLS):
    """TLS inside TLS: OpenSSL works on two buffers in memory."""

    name = "tls-in-tls"
    in_memory = True

    async def open(
        self,
        *,
        options: SocketOptions | None = None,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
    ) -> tuple[Stream, Stream]:
        without = without_deadlines(timeouts or Timeouts())
        ours, theirs = await super().open(options=options, timeouts=without, limits=limits)
        # They begin with the TLS inside, or one of them could pass before the pair is ready.
        ours._timeouts = timeouts or Timeouts()
        ours._message_timeout = ours._timeouts.message
        await secure(ours, theirs)
        return ours, theirs


async def secure(ours: Stream, theirs: Stream, config: TLSConfig = CLIENT) -> None:
    """Begin TLS on both ends, ours being the client's."""
    async with asyncio.TaskGroup() as group:
        group.create_task(theirs.start_tls(SERVER, server_side=True))
        group.create_task(ours.start_tls(config, server_hostname=NAME))


FACTORIES = (TCPv4(), TCPv6(), Unix(), TLS(), TLSInTLS())
