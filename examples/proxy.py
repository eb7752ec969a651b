"""A TCP relay: what a client sends goes to the target, and what the target sends comes back.

    python examples/proxy.py --port 8080 tcp://example.org:80
    curl -H 'Host: example.org' http://127.0.0.1:8080/

The target may be a Unix socket (unix:/run/app.sock), and --unix listens on one. Each half ends on its own: a client
that sends everything, shuts down and then reads the reply gets all of it.

With --send-proxy the target is told who the client is, by the PROXY protocol; with --accept-proxy the relay stands
behind a proxy of its own, which tells it.

    python examples/proxy.py --accept-proxy 127.0.0.0/8 --send-proxy v2 tcp://127.0.0.1:9000
"""

import argparse
import asyncio

import aionet


async def pump(source: aionet.Stream, sink: aionet.Stream) -> None:
    """Relay one direction, and then its end.

    ``send`` waits while the sink's queue is long, so the source is not read either: whoever sends faster than the other
    side reads is held up by its own kernel, and the relay's memory stays bounded.
    """
    async for data in source:
        await sink.send(data)
    await sink.send_eof()


async def relay(client: aionet.Stream, target: aionet.Endpoint, proxy_version: int | None) -> None:
    """Relay both directions until both have ended; what breaks on one side breaks the other.

    Where the target cannot be reached, ConnectError leaves this handler: the server logs it and resets the client.
    """
    header = None if proxy_version is None else aionet.proxy_header_for(client, proxy_version)
    async with aionet.connect(target, proxy_header=header) as upstream:
        try:
            async with asyncio.TaskGroup() as directions:  # the first to fail cancels the other
                directions.create_task(pump(client, upstream))
                directions.create_task(pump(upstream, client))
        except* aionet.BrokenStreamError:
            # With a reset: a clean end would tell the other side that it has seen everything.
            client.abort()
            upstream.abort()


async def main(
    endpoint: aionet.Endpoint,
    target: aionet.Endpoint,
    proxy_version: int | None,
    proxy: aionet.ProxyProtocol | None,
) -> None:
    """Serve until a signal."""
    async with aionet.serve(endpoint, lambda client: relay(client, target, proxy_version), proxy=proxy) as server:
        print("listening on", *server.addresses, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A TCP relay.")
    parser.add_argument("target", type=aionet.Endpoint.parse, help="tcp://host:port, unix:/path or unix:@name")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen on (default: %(default)s)")
    parser.add_argument("--port", default=8080, type=int, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--unix", metavar="PATH", help="listen on this Unix socket instead; @NAME is an abstract one")
    parser.add_argument("--send-proxy", choices=("v1", "v2"), help="begin with a PROXY protocol header to the target")
    parser.add_argument(
        "--accept-proxy",
        metavar="NETWORK",
        action="append",
        help="expect a PROXY protocol header, from this network only; unix: is for --unix; may be repeated",
    )
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = parser.parse_args()
    endpoint = aionet.Endpoint("unix", path=args.unix) if args.unix else aionet.Endpoint("tcp", args.host, args.port)
    version = int(args.send_proxy[1:]) if args.send_proxy else None
    accepts = aionet.ProxyProtocol(mode="either", trusted=args.accept_proxy) if args.accept_proxy else None
    aionet.run(main(endpoint, args.target, version, accepts), loop=args.loop)
