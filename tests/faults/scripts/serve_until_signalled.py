"""Serve until a signal: ``python -m tests.faults.scripts.serve_until_signalled LOOP DRAIN SERVERS``.

Says the port of each server, "gone" for each connection that has ended, then how many each server has aborted, and then
what the next signal does.
"""

import asyncio
import sys
from contextlib import AsyncExitStack

import aionet
from tests.faults.running import say


async def handle(stream: aionet.Stream) -> None:
    """Stop when told to, unless the client asks for the contrary."""
    request = await stream.recv()
    await stream.send(b"ok")
    await stream.draining.wait()
    await stream.send(b"bye")
    if request == b"stay":
        await asyncio.Event().wait()


async def main(drain: float, count: int) -> None:
    timeouts = aionet.Timeouts(drain=drain)
    hooks = aionet.Hooks(disconnected=lambda _stream: say("gone"))
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(aionet.serve("tcp://127.0.0.1:0", handle, timeouts=timeouts, hooks=hooks))
            for _ in range(count)
        ]
        async with asyncio.TaskGroup() as group:
            for server in servers:
                group.create_task(server.serve_forever())
            await asyncio.sleep(0)  # until they have begun
            say([server.addresses[0].sockaddr[1] for server in servers])
        say([server.statistics().aborted for server in servers])
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        say("cancelled")
        raise


if __name__ == "__main__":
    try:
        aionet.run(main(float(sys.argv[2]), int(sys.argv[3])), loop=sys.argv[1])
    except KeyboardInterrupt:
        say("interrupted")
