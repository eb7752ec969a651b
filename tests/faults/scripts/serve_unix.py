"""Serve an endpoint until SIGTERM: ``python -m tests.faults.scripts.serve_unix LOOP ENDPOINT``."""

import sys

import aionet
from tests.faults.running import say


async def echo(stream: aionet.Stream) -> None:
    async for data in stream:
        await stream.send(data)


async def main(endpoint: str) -> None:
    try:
        async with aionet.serve(endpoint, echo) as server:
            say([str(address) for address in server.addresses])
            await server.serve_forever()
    except aionet.ListenError as exc:
        say(str(exc))


if __name__ == "__main__":
    aionet.run(main(sys.argv[2]), loop=sys.argv[1])
