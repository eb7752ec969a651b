"""A server that speaks enough of the Redis protocol for redis-cli and redis-benchmark.

    python examples/resp_server.py --port 6379
    redis-cli ping
    redis-benchmark -q -t ping,set,get,incr,lpush -P 16

The protocol and the commands are in the folder resp beside this file, which knows only how to serve them.
"""

import argparse
import asyncio

import aionet
from resp.commands import execute
from resp.replies import encode_error
from resp.requests import ProtocolError, RequestParser
from resp.store import Store

# Redis's own; of the shortest replies, some thousands.
REPLY_BUFFER = 16 * 1024


async def serve_client(store: Store, stream: aionet.Stream) -> None:
    """Execute what comes. All commands of a chunk share one reply, which is what makes pipelining fast."""
    parser = RequestParser()
    replies = bytearray()
    store.clients += 1
    try:
        async for data in stream:
            for arguments in parser.feed(data):
                replies += execute(store, arguments)
                if len(replies) > REPLY_BUFFER:
                    # A short request may have a long reply: wait for those who do not read them, and let others run.
                    await stream.send(replies)
                    replies.clear()
                    await asyncio.sleep(0)
            if replies:
                await stream.send(replies)
                replies.clear()
    except ProtocolError as error:
        await stream.send(replies + encode_error(f"ERR Protocol error: {error}"))
    finally:
        store.clients -= 1


async def main(host: str, port: int) -> None:
    """Serve until a signal; clients that are idle then are not waited for."""
    store = Store()
    timeouts = aionet.Timeouts(drain=1.0)
    async with aionet.serve((host, port), lambda stream: serve_client(store, stream), timeouts=timeouts) as server:
        print("listening on", *server.addresses, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    cli = argparse.ArgumentParser(description="A server that speaks some of the Redis protocol.")
    cli.add_argument("--host", default="127.0.0.1", help="address or name to listen on (default: %(default)s)")
    cli.add_argument("--port", default=6379, type=int, help="0 for a free one (default: %(default)s)")
    cli.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = cli.parse_args()
    aionet.run(main(args.host, args.port), loop=args.loop)
