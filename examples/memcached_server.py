"""A server that speaks memcached's text protocol.

    python examples/memcached_server.py --port 11211
    memccp --servers=localhost README.md && memccat --servers=localhost README.md

The protocol and the commands are in the folder memcached beside this file, which knows only how to serve them.
"""

import argparse

import aionet
from memcached.commands import execute
from memcached.requests import Request, Requests
from memcached.store import Store

REQUESTS = Requests()
MEGABYTE = 1024 * 1024


async def skip(stream: aionet.Stream, count: int) -> None:
    """Receive bytes that nobody wants; the end of the stream shows to who receives next."""
    while count and (data := await stream.recv(min(count, MEGABYTE))):
        count -= len(data)


async def serve_client(store: Store, stream: aionet.Stream) -> None:
    """Execute what comes. Replies of one turn of the loop leave together; a long one waits for who reads it."""
    store.counts["curr_connections"] += 1
    requests: aionet.Framed[Request] = stream.framed(REQUESTS)
    try:
        async for request in requests:
            if request.words == [b"quit"]:
                return
            reply = execute(store, request)
            if request.skip:
                await skip(stream, request.skip)
            for part in reply:
                await stream.send(part)
    except aionet.FrameTooLargeError:
        await stream.send(b"CLIENT_ERROR line too long\r\n")
    finally:
        store.counts["curr_connections"] -= 1


async def main(host: str, port: int, memory: int) -> None:
    """Serve until a signal; clients that are idle then are not waited for."""
    store = Store(memory * MEGABYTE)
    timeouts = aionet.Timeouts(drain=1.0)
    async with aionet.serve((host, port), lambda stream: serve_client(store, stream), timeouts=timeouts) as server:
        print("listening on", *server.addresses, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    cli = argparse.ArgumentParser(description="A server that speaks memcached's text protocol.")
    cli.add_argument("--host", default="127.0.0.1", help="address or name to listen on (default: %(default)s)")
    cli.add_argument("--port", default=11211, type=int, help="0 for a free one (default: %(default)s)")
    cli.add_argument("--memory", default=64, type=int, help="megabytes for all items (default: %(default)s)")
    cli.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = cli.parse_args()
    aionet.run(main(args.host, args.port, args.memory), loop=args.loop)
