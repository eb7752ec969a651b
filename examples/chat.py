"""A chat room: what one client says, all the others hear.

    python examples/chat.py --port 8000
    nc 127.0.0.1 8000                       (from several terminals; the first line is your name)

Nobody waits for anybody. A broadcast only puts a line into each member's queue, and each member has a task that sends
from there. The queues are bounded, so a member that does not read costs a bounded amount of memory: when its queue is
full, it is told so and disconnected.
"""

import argparse
import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import aionet

MAX_MEMBERS = 1000
# A member that reads must never find its queue full. Each member speaks once a turn of the loop at most, and all are
# sent to in each turn: there is room for a line of everybody, and for everybody coming or going.
QUEUE_LENGTH = 2 * MAX_MEMBERS
MAX_LINE = 512
MAX_NAME = 32
# How long a member that is disconnected has to read what was sent, in seconds.
FAREWELL = 1.0


class Member:
    """A client, and the lines that it has not been sent yet."""

    def __init__(self, stream: aionet.Stream) -> None:
        self.stream = stream
        self.name = str(stream.peer)
        self.overflowed = asyncio.Event()
        self._lines: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_LENGTH)

    def post(self, line: str) -> None:
        """Have a line sent, as soon as the member takes it."""
        try:
            self._lines.put_nowait(line.encode() + b"\n")
        except asyncio.QueueFull:
            self.overflowed.set()

    async def send_posted(self) -> None:
        """Send what is posted, for ever. While the member does not read, ``send`` waits and the queue grows."""
        while True:
            await self.stream.send(await self._lines.get())


class Room:
    """Those who have said their name."""

    def __init__(self) -> None:
        self._members: set[Member] = set()

    def tell_all(self, line: str, but: Member | None = None) -> None:
        """Post a line to everybody else."""
        for member in self._members:
            if member is not but:
                member.post(line)

    async def attend(self, stream: aionet.Stream) -> None:
        """Serve a client until it leaves, reads too slowly, breaks the rules, or the server drains."""
        member = Member(stream)
        try:
            await first_of(
                self._listen_to(member), member.send_posted(), member.overflowed.wait(), stream.draining.wait()
            )
        except aionet.FrameTooLargeError as error:
            farewell = f"* a line has at most {error.limit} bytes"
        except aionet.BrokenStreamError:
            return  # it is gone
        else:
            farewell = "* you read too slowly" if member.overflowed.is_set() else "* goodbye"
        with contextlib.suppress(TimeoutError, aionet.BrokenStreamError):
            async with asyncio.timeout(FAREWELL):
                await stream.send(farewell.encode() + b"\n")

    async def _listen_to(self, member: Member) -> None:
        member.post("* what is your name?")
        member.name = readable(await member.stream.recv_line(MAX_LINE))[:MAX_NAME] or member.name
        self.tell_all(f"* {member.name} has come")
        self._members.add(member)
        member.post(f"* here: {', '.join(sorted(each.name for each in self._members))}")
        try:
            while line := await member.stream.recv_line(MAX_LINE):
                self.tell_all(f"{member.name}: {readable(line)}", but=member)
                await asyncio.sleep(0)  # whoever floods the room does so a line a turn
        finally:
            self._members.discard(member)
            reads = "reads too slowly" if member.overflowed.is_set() else "has left"
            self.tell_all(f"* {member.name} {reads}")


def readable(line: bytes) -> str:
    """Return the line's text without what could play tricks on the terminals of others."""
    return "".join(filter(str.isprintable, line.decode(errors="replace"))).strip()


async def first_of(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Run them together until the first one returns or raises; the others are cancelled."""
    tasks = [asyncio.create_task(each) for each in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def main(host: str, port: int) -> None:
    """Serve until a signal."""
    room = Room()
    limits = aionet.Limits(max_connections=MAX_MEMBERS)
    timeouts = aionet.Timeouts(close=FAREWELL)
    async with aionet.serve((host, port), room.attend, limits=limits, timeouts=timeouts) as server:
        print("listening on", *server.addresses, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat room.")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen on (default: %(default)s)")
    parser.add_argument("--port", default=8000, type=int, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = parser.parse_args()
    aionet.run(main(args.host, args.port), loop=args.loop)
