"""The UDP client flow and the UDP server flow, one function of the socket API after the other.

    python examples/udp_flow.py                      both, in one process, on each address of localhost
    python examples/udp_flow.py server --port 8000   answers two datagrams
    python examples/udp_flow.py client --port 8000

    server: resolve  socket  bind     recvfrom  sendto             close
    client: resolve  socket           sendto    recvfrom           close
            resolve  socket  connect  send      recv               close

The client has two ways: an unconnected socket names the peer each time and hears everybody; a connected one has one
peer, hears nobody else, and is told when nobody receives there. The steps are those of the socket module, awaited where
it would block, and the same for IPv4 and IPv6.
"""

import argparse
import asyncio
import socket

import aionet

# A datagram, or its answer, may be lost: whoever asks has to ask again.
PATIENCE = 2.0
TRIES = 3


def say(who: str, what: str) -> None:
    """Print a step when it is done."""
    print(f"{who}: {what}", flush=True)


async def resolve(who: str, host: str, port: int) -> list[aionet.InetAddress]:
    """Turn a name into addresses, which are all that a socket knows: getaddrinfo."""
    addresses = await aionet.resolve(host, port, type=socket.SOCK_DGRAM)
    say(who, f"resolve {host} -> {', '.join(map(str, addresses))}")
    return addresses


def bind(address: aionet.InetAddress) -> aionet.AsyncSocket:
    """Make the socket that clients send to. There is nothing to listen for, and nobody to accept."""
    receiving = aionet.AsyncSocket(address.family, socket.SOCK_DGRAM)
    try:
        receiving.bind(address)
    except OSError:
        receiving.close()
        raise
    print("listening on", aionet.InetAddress(*receiving.getsockname()), flush=True)
    return receiving


async def serve_two(receiving: aionet.AsyncSocket) -> None:
    """Answer two datagrams, each to whoever sent it."""
    for _ in range(2):
        request, peer = await receiving.recvfrom(65535)
        address = aionet.InetAddress(*peer)
        say("server", f"recvfrom <- {address}: {request!r}")
        await receiving.sendto(request.upper(), address)
        say("server", f"sendto -> {address}")


async def ask_unconnected(address: aionet.InetAddress, request: bytes) -> None:
    """Send to an address, and receive from whoever answers first."""
    with aionet.AsyncSocket(address.family, socket.SOCK_DGRAM) as sock:  # closes it
        for _ in range(TRIES):
            await sock.sendto(request, address)
            say("client", f"sendto -> {address}: {request!r}")
            try:
                async with asyncio.timeout(PATIENCE):
                    answer, peer = await sock.recvfrom(65535)
            except TimeoutError:
                continue
            say("client", f"recvfrom <- {aionet.InetAddress(*peer)}: {answer!r}")
            break
    say("client", "close")


async def ask_connected(address: aionet.InetAddress, request: bytes) -> None:
    """Connect, which sends nothing, and exchange datagrams with that peer alone."""
    with aionet.AsyncSocket(address.family, socket.SOCK_DGRAM) as sock:
        await sock.connect(address)
        say("client", f"connect -> {address}")
        for _ in range(TRIES):
            await sock.send(request)
            say("client", f"send {request!r}")
            try:
                async with asyncio.timeout(PATIENCE):
                    answer = await sock.recv(65535)
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                say("client", f"recv <- {address}: nobody receives there")
                raise
            say("client", f"recv <- {answer!r}")
            break
    say("client", "close")


async def server(host: str, port: int) -> None:
    """The server flow."""
    with bind((await resolve("server", host, port))[0]) as receiving:
        await serve_two(receiving)
    say("server", "close")


async def client(host: str, port: int) -> None:
    """The client flow, both ways."""
    address = (await resolve("client", host, port))[0]
    await ask_connected(address, b"hello, server")
    await ask_unconnected(address, b"hello again")


async def both(host: str, port: int) -> None:
    """Both flows at once, on each address of the host."""
    for address in await resolve("server", host, port):
        with bind(address) as receiving:
            async with asyncio.TaskGroup() as flows:
                flows.create_task(serve_two(receiving))
                flows.create_task(client(*receiving.getsockname()[:2]))
        say("server", "close")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The UDP flows, step by step.")
    parser.add_argument("role", nargs="?", default="both", choices=("both", "server", "client"))
    parser.add_argument("--host", default="localhost", help="address or name (default: %(default)s)")
    parser.add_argument("--port", default=0, type=int, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = parser.parse_args()
    flow = {"both": both, "server": server, "client": client}[args.role]
    aionet.run(flow(args.host, args.port), loop=args.loop)
