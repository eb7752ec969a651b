"""A relay for UDP that loses datagrams, and the same ones each time: to see what a protocol makes of a bad network.

    python examples/lossy_relay.py --port 7000 --loss 0.1 --seed 1 127.0.0.1 6969

Each client has a session, and in it a port of its own towards the server. A server may go on from another port, as
those of TFTP do: what the client sends then goes to where the last answer came from.
"""

import argparse
import asyncio
import random
from functools import partial

import aionet


async def relay(session: aionet.DatagramSession, server: aionet.InetAddress, loss: float, seed: int) -> None:
    """Relay between one client and the server, both ways, until the client is silent."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    any_port = aionet.InetAddress("::" if server.family == aionet.InetAddress("::", 0).family else "0.0.0.0", 0)  # noqa: S104
    async with aionet.bind_datagram(any_port) as upstream, asyncio.TaskGroup() as group:
        answers_from: list[aionet.Address] = [server]

        async def back() -> None:
            async for datagram in upstream:
                answers_from[0] = datagram.peer
                if chance.random() >= loss:
                    await session.send(datagram.data)

        backwards = group.create_task(back())
        async for data in session:
            if chance.random() >= loss:
                await upstream.sendto(data, answers_from[0])
        backwards.cancel()


async def main(endpoint: aionet.Endpoint, host: str, port: int, loss: float, seed: int) -> None:
    """Relay until a signal."""
    server = (await aionet.resolve(host, port))[0]
    # What the server answers, and how much, is its own matter.
    options = aionet.SessionOptions(amplification=None, drain=0.0)
    handler = partial(relay, server=server, loss=loss, seed=seed)
    async with aionet.serve_datagram(endpoint, handler, sessions=options) as relaying:
        print("listening on", *relaying.addresses, flush=True)
        await relaying.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A relay for UDP that loses datagrams.")
    parser.add_argument("server_host")
    parser.add_argument("server_port", type=int)
    parser.add_argument("--loss", default=0.1, type=float, help="part of the datagrams (default: %(default)s)")
    parser.add_argument("--seed", default=1, type=int, help="which ones (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to receive at (default: %(default)s)")
    parser.add_argument("--port", default=7000, type=int, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = parser.parse_args()
    place = aionet.Endpoint("udp", args.host, args.port)
    aionet.run(main(place, args.server_host, args.server_port, args.loss, args.seed), loop=args.loop)
