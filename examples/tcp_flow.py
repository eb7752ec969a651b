"""The TCP client flow and the TCP server flow, one function of the socket API after the other.

    python examples/tcp_flow.py                      both, in one process, on each address of localhost
    python examples/tcp_flow.py server --port 8000   serves one client
    python examples/tcp_flow.py client --port 8000

    server: resolve  socket  bind  listen  accept           recv  send  shutdown  close
    client: resolve  socket                         connect  send  shutdown  recv  close

The steps are those of the socket module, awaited where it would block, and the same for IPv4 and IPv6.
"""

import argparse
import asyncio
import socket

import aionet


def say(who: str, what: str) -> None:
    """Print a step when it is done."""
    print(f"{who}: {what}", flush=True)


async def resolve(who: str, host: str, port: int) -> list[aionet.InetAddress]:
    """Turn a name into addresses, which are all that a socket knows: getaddrinfo."""
    addresses = await aionet.resolve(host, port, type=socket.SOCK_STREAM)
    say(who, f"resolve {host} -> {', '.join(map(str, addresses))}")
    return addresses


def listen(address: aionet.InetAddress) -> aionet.AsyncSocket:
    """Make the socket that clients connect to."""
    listening = aionet.AsyncSocket(address.family, socket.SOCK_STREAM)
    try:
        # Or else the port of a server that has just ended could not be bound for a minute.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError:
        listening.close()
        raise
    print("listening on", aionet.InetAddress(*listening.getsockname()), flush=True)
    return listening


async def serve_one(listening: aionet.AsyncSocket) -> None:
    """Accept a client, receive all that it says, and reply."""
    connection, peer = await listening.accept()
    with connection:  # closes it
        say("server", f"accept <- {aionet.InetAddress(*peer)}")
        request = await receive_to_end(connection)
        say("server", f"recv <- {request!r}, and the end")
        await connection.sendall(request.upper())
        say("server", "send the reply")
        connection.shutdown(socket.SHUT_WR)
        say("server", "shutdown: the client reads our end")
    say("server", "close")


async def connect(addresses: list[aionet.InetAddress]) -> aionet.AsyncSocket:
    """Connect to the first address that answers; the error of the last one that did not is raised."""
    for address in addresses:
        connection = aionet.AsyncSocket(address.family, socket.SOCK_STREAM)
        try:
            await connection.connect(address)
        except OSError as error:
            connection.close()
            say("client", f"connect -> {address}: {error}")
            if address is addresses[-1]:
                raise
        else:
            say("client", f"connect -> {address}")
            return connection
    raise ValueError("no addresses")


async def ask(addresses: list[aionet.InetAddress], request: bytes) -> None:
    """Connect, send a request and its end, and receive the reply."""
    with await connect(addresses) as connection:  # closes it
        while request:  # send takes what there is room for; sendall is this loop
            sent = await connection.send(request)
            say("client", f"send {request[:sent]!r}")
            request = request[sent:]
        connection.shutdown(socket.SHUT_WR)
        say("client", "shutdown: the server reads our end")
        say("client", f"recv <- {await receive_to_end(connection)!r}, and the end")
    say("client", "close")


async def receive_to_end(connection: aionet.AsyncSocket) -> bytes:
    """Receive until the peer's end, which reads as no bytes. What was sent at once may come in several pieces."""
    pieces = []
    while piece := await connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


async def server(host: str, port: int) -> None:
    """The server flow."""
    with listen((await resolve("server", host, port))[0]) as listening:
        await serve_one(listening)


async def client(host: str, port: int) -> None:
    """The client flow."""
    await ask(await resolve("client", host, port), b"hello, server")


async def both(host: str, port: int) -> None:
    """Both flows at once, on each address of the host."""
    for address in await resolve("server", host, port):
        with listen(address) as listening:
            async with asyncio.TaskGroup() as flows:
                flows.create_task(serve_one(listening))
                flows.create_task(client(*listening.getsockname()[:2]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The TCP flows, step by step.")
    parser.add_argument("role", nargs="?", default="both", choices=("both", "server", "client"))
    parser.add_argument("--host", default="localhost", help="address or name (default: %(default)s)")
    parser.add_argument("--port", default=0, type=int, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = parser.parse_args()
    flow = {"both": both, "server": server, "client": client}[args.role]
    aionet.run(flow(args.host, args.port), loop=args.loop)
