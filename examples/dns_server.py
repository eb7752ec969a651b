"""An authoritative DNS server for one zone, over UDP and TCP on one port.

    python examples/dns_server.py --port 5353 ZONEFILE
    dig -p 5353 @127.0.0.1 www.example.org

The zone is a master file (RFC 1035 section 5). Answers over UDP are cut at what the client takes (EDNS), and at --size:
the client then asks again over TCP. The zone and the answers are in the folder nameserver beside this file, which knows
only how to serve them; they need dnslib (pip install dnslib). A query over UDP needs no session: the answer is all
there is to it. It may be forged, and the answer is larger, which is what --size bounds.

Behind dnsdist with useProxyProtocol=true, --accept-proxy 127.0.0.1 takes the header off each datagram and connection.
"""

import argparse
import asyncio
from functools import partial
from pathlib import Path
from typing import cast

import aionet
from nameserver.answers import DEFAULT_SIZE, LARGEST, answer
from nameserver.zone import Zone

# Of both kinds of sockets, until one that is free for UDP is free for TCP, too.
PORT_TRIES = 16


async def answer_datagrams(endpoint: aionet.DatagramEndpoint, zone: Zone, size: int) -> None:
    """Answer each query, from the address that it was sent to."""
    async for datagram in endpoint:
        reply = answer(datagram.data, zone, largest=size)
        if reply is not None:
            try:
                await endpoint.sendto(reply, datagram.peer, local=datagram.local)
            except aionet.DatagramError:
                pass  # there is no way back to this client


async def answer_stream(stream: aionet.Stream, zone: Zone) -> None:
    """Answer the queries of a connection, each with its length before it (RFC 7766), until the client ends."""
    while length := await stream.recv(1):
        length += await stream.recv_exactly(1)
        query = await stream.recv_exactly(int.from_bytes(length, "big"))
        reply = answer(query, zone, over_tcp=True)
        if reply is None:
            return
        await stream.send_many([len(reply).to_bytes(2, "big"), reply])


async def listen(
    host: str, port: int, zone: Zone, proxy: aionet.ProxyProtocol | None
) -> tuple[aionet.DatagramEndpoint, aionet.Server]:
    """Bind both kinds of sockets to one port."""
    timeouts = aionet.Timeouts(idle=10, first_bytes=10, drain=5)
    for attempt in range(PORT_TRIES):
        endpoint = await aionet.bind_datagram(
            aionet.Endpoint("udp", host, port), options=aionet.DatagramOptions(pktinfo=True), proxy=proxy
        )
        place = aionet.Endpoint("tcp", host, cast("aionet.InetAddress", endpoint.local).port)
        try:
            return endpoint, await aionet.serve(
                place, partial(answer_stream, zone=zone), timeouts=timeouts, proxy=proxy
            )
        except BaseException as error:
            await endpoint.aclose()
            if port or attempt == PORT_TRIES - 1 or not isinstance(error, aionet.ListenError):
                raise
    raise AssertionError


async def main(host: str, port: int, zone: Zone, size: int, proxy: aionet.ProxyProtocol | None) -> None:
    """Serve until a signal."""
    endpoint, server = await listen(host, port, zone, proxy)
    async with endpoint, server:
        answering = asyncio.create_task(answer_datagrams(endpoint, zone, size))
        print("listening on", endpoint.local, flush=True)
        await server.serve_forever()
        answering.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An authoritative DNS server.")
    parser.add_argument("zonefile", type=Path, help="a zone, as a master file")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen on (default: %(default)s)")
    parser.add_argument("--port", default=5353, type=int, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--size", default=DEFAULT_SIZE, type=int, help="of the largest answer (default: %(default)s)")
    parser.add_argument(
        "--accept-proxy",
        metavar="NETWORK",
        action="append",
        help="expect PROXY protocol headers of version 2, from this network only; may be repeated",
    )
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = parser.parse_args()
    if not 512 <= args.size <= LARGEST:  # noqa: PLR2004 - RFC 6891 section 6.2.3
        parser.error("--size: expected 512 to 65535")
    accepts = aionet.ProxyProtocol(mode="v2", trusted=args.accept_proxy) if args.accept_proxy else None
    aionet.run(main(args.host, args.port, Zone(args.zonefile.read_text()), args.size, accepts), loop=args.loop)
