"""A TFTP server (RFC 1350, 2347 to 2349): octet mode, reading and writing, the options blksize, tsize and timeout.

    python examples/tftp_server.py --port 6969 --write FOLDER
    tftp -m octet 127.0.0.1 6969 -c get FILE
    atftp --get --remote-file FILE --option "blksize 8192" 127.0.0.1 6969

Each client has a session, and each transfer a port of its own. Nothing outside FOLDER is read or written, and no file
is replaced. Ctrl-C lets transfers finish, a second one aborts them.
"""

import argparse
import logging
from pathlib import Path

import aionet
from tftp.server import serve


async def main(endpoint: aionet.Endpoint, folder: Path, *, writable: bool) -> None:
    """Serve until a signal."""
    async with serve(endpoint, folder, writable=writable) as server:
        print("listening on", *server.addresses, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A TFTP server.")
    parser.add_argument("folder", type=Path, help="whose files are served")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to receive at (default: %(default)s)")
    parser.add_argument("--port", default=6969, type=int, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="let clients write files that are not there yet")
    parser.add_argument("--verbose", action="store_true", help="say which transfers fail, and why")
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, format="%(message)s")
    aionet.run(main(aionet.Endpoint("udp", args.host, args.port), args.folder, writable=args.write), loop=args.loop)
