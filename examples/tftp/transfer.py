"""One transfer of TFTP: a block, its acknowledgement, the next block (RFC 1350), with options (RFC 2347 to 2349).

Whoever waits sends again what it sent last: the sender its block, the receiver its acknowledgement. An acknowledgement
that comes a second time is not answered, or each block would from then on be sent twice (the Sorcerer's Apprentice,
RFC 1123 section 4.2.3.1). How long to wait is learnt from the answers to what was sent once (RFC 6298); a client that
asks for a timeout gets that one.
"""

from __future__ import annotations

import asyncio
from typing import IO, TYPE_CHECKING, Final

import attrs

from tftp.packets import Ack, Code, Data, Error, MalformedError, OptionsAck, Packet, parse

if TYPE_CHECKING:
    import aionet

BLOCK: Final = 512
_BLOCKS: Final = range(8, 65465)  # RFC 2348
_TIMEOUTS: Final = range(1, 256)  # RFC 2349
_TRIES: Final = 10
# Before the client has answered anything its address may be forged, and what it is sent is more than what it sent.
_FIRST_TRIES: Final = 3
# The longest is longer than what clients wait: some start waiting anew whenever they hear the same block again.
_SHORTEST, _FIRST, _LONGEST = 0.05, 1.0, 8.0  # seconds
_DALLY: Final = 6.0  # seconds: some clients send again after five


class TransferError(Exception):
    """The transfer has failed, and the client is to be told."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.packet = Error(code, message)


class AbandonedError(Exception):
    """The client does not answer, or has said that it gives up."""


@attrs.frozen
class Options:
    """What was agreed on; ``accepted`` is what the client is told."""

    block: int = BLOCK
    timeout: float | None = None
    accepted: dict[str, str] = attrs.Factory(dict)

    @classmethod
    def agree(cls, asked: dict[str, str], size: int | None) -> Options:
        """Take those that are known and make sense; ``size`` is the file's, None for one that is about to come."""
        accepted = {}
        if (block := _number(asked.get("blksize", ""))) >= _BLOCKS.start:
            accepted["blksize"] = str(min(block, _BLOCKS[-1]))
        if (timeout := _number(asked.get("timeout", ""))) in _TIMEOUTS:
            accepted["timeout"] = str(timeout)
        if "tsize" in asked and (told := _number(asked["tsize"])) >= 0:
            accepted["tsize"] = str(told if size is None else size)
        return cls(int(accepted.get("blksize", BLOCK)), timeout if "timeout" in accepted else None, accepted)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1  # noqa: PLR2004 - of any file's size


class Transfer:
    """The two ends of a transfer; ``endpoint`` is connected to the client."""

    def __init__(self, endpoint: aionet.DatagramEndpoint, options: Options) -> None:
        self._endpoint = endpoint
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._answered = False
        self._wait = options.timeout or _FIRST
        self._mean = self._deviation = 0.0  # of the round trip

    async def send(self, file: IO[bytes]) -> None:
        """Send a file."""
        if self._options.accepted:
            await self._exchange(OptionsAck(self._options.accepted), Ack(0))
        number, data = 0, b"\0" * self._options.block
        while len(data) == self._options.block:
            number = (number + 1) % 65536  # RFC 1350 ends at 65535; clients go on with 0
            data = file.read(self._options.block)
            await self._exchange(Data(number, data), Ack(number))

    async def receive(self, file: IO[bytes]) -> int:
        """Receive a file; return the number of its last block, which ``finish`` acknowledges."""
        number, data = 0, b"\0" * self._options.block
        said: Packet = OptionsAck(self._options.accepted) if self._options.accepted else Ack(0)
        while len(data) == self._options.block:
            number = (number + 1) % 65536
            data = await self._exchange(said, Data(number, b""))
            if len(data) > self._options.block:
                raise TransferError(
                    Code.ILLEGAL, f"a block of {len(data)} bytes, where {self._options.block} were agreed"
                )
            file.write(data)
            said = Ack(number)
        return number

    async def finish(self, number: int) -> None:
        """Acknowledge the last block, and again when it comes again: the acknowledgement may be lost, too."""
        await self._endpoint.send(Ack(number).pack())
        try:
            async with asyncio.timeout(max(_DALLY, 2 * self._wait)):
                while True:
                    answer = _parsed(await self._endpoint.recv())
                    if isinstance(answer, Data) and answer.block == number:
                        await self._endpoint.send(Ack(number).pack())
        except TimeoutError:
            pass

    async def _exchange(self, packet: Packet, expected: Ack | Data) -> bytes:
        """Send a packet until the expected one answers it, and return what that brings."""
        packed, wait = packet.pack(), self._wait
        for attempt in range(_TRIES if self._answered else _FIRST_TRIES):
            await self._endpoint.send(packed)
            sent_at = self._loop.time()
            try:
                async with asyncio.timeout(wait):
                    data = await self._answer(expected)
            except TimeoutError:
                wait = min(2 * wait, max(_LONGEST, self._wait))
            else:
                self._answered = True
                if attempt == 0 and self._options.timeout is None:
                    self._learn(self._loop.time() - sent_at)
                return data
        raise AbandonedError("no answer")

    async def _answer(self, expected: Ack | Data) -> bytes:
        while True:
            answer = _parsed(await self._endpoint.recv())
            match answer, expected:
                case Error(message=message), _:
                    raise AbandonedError(message)
                case (Ack(block=block), Ack(block=number)) if block == number:
                    return b""
                case (Data(block=block, data=data), Data(block=number)) if block == number:
                    return data

    def _learn(self, trip: float) -> None:
        if not self._mean:
            self._mean, self._deviation = trip, trip / 2
        else:
            self._deviation += (abs(self._mean - trip) - self._deviation) / 4
            self._mean += (trip - self._mean) / 8
        self._wait = min(max(_SHORTEST, self._mean + 4 * self._deviation), _LONGEST)


def _parsed(data: bytes) -> Packet | None:
    """What is no packet counts as lost."""
    try:
        return parse(data)
    except MalformedError:
        return None
