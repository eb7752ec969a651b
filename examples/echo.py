"""An echo server: what a client sends comes back, until the client ends.

    python examples/echo.py --port 8000
    nc 127.0.0.1 8000

Also on a Unix socket: ``python examples/echo.py --unix /tmp/echo.sock``. Ctrl-C drains it, a second one aborts.
"""

import argparse

import aionet


async def echo(stream: aionet.Stream) -> None:
    """Send everything back. The end of the loop is the client's end; returning closes our side."""
    async for data in stream:
        await stream.send(data)


async def main(endpoint: aionet.Endpoint) -> None:
    """Serve until a signal."""
    async with aionet.serve(endpoint, echo) as server:
        print("listening on", *server.addresses, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An echo server.")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen on (default: %(default)s)")
    parser.add_argument("--port", default=8000, type=int, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--unix", metavar="PATH", help="listen on this Unix socket instead; @NAME is an abstract one")
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = parser.parse_args()
    endpoint = aionet.Endpoint("unix", path=args.unix) if args.unix else aionet.Endpoint("tcp", args.host, args.port)
    aionet.run(main(endpoint), loop=args.loop)
