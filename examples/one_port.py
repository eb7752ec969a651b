r"""One port, several protocols: which one a client speaks shows in its first bytes.

    python examples/one_port.py --port 8002
    curl http://127.0.0.1:8002/
    curl --insecure https://127.0.0.1:8002/
    printf 'hello\n' | nc -N 127.0.0.1 8002

`peek` looks at bytes and leaves them, so that whoever serves the protocol receives them from the first one on. What
`unread` puts back is received again, too. A client of TLS sends the first byte of a handshake record; what has come of
the handshake is handed on to `start_tls`, and what the client says inside is looked at in the same way. The certificate
is made on the fly (`pip install trustme`).
"""

import argparse
import re
from collections.abc import Awaitable, Callable
from typing import Final

import trustme

import aionet

# ContentType handshake: RFC 8446 section 5.1.
HANDSHAKE: Final = b"\x16"
# request-line of RFC 9112 section 3.
REQUEST: Final = re.compile(rb"[!#-'*+\-.^_`|~0-9A-Za-z]+ \S+ HTTP/1\.[0-9]\r?\n")
EMPTY_LINE: Final = re.compile(rb"\n\r?\n")
MAX_HEAD: Final = 16 * 1024
# A minute for a line or a head, from the one before: a person types it, and nobody who has gone keeps a connection.
TIMEOUTS: Final = aionet.Timeouts(first_bytes=10.0, message=60.0, drain=1.0)


class Heads(aionet.Framer[bytes]):
    """Lines up to and with an empty one. A line may end without a CR, as the request-line may: RFC 9112 section 2.2."""

    max_bytes = MAX_HEAD

    def decode(self, buffer: aionet.ReceiveBuffer) -> bytes | aionet.NeedMore:
        """Take a head."""
        end = EMPTY_LINE.search(buffer.peek(0, MAX_HEAD))
        return buffer.take(end.end()) if end else aionet.NEED_MORE


async def serve_http(stream: aionet.Stream) -> None:
    """Answer one request."""
    head = await stream.framed(Heads()).recv()
    path = head.split()[1].decode(errors="replace")
    over = f"HTTP and {stream.tls.version}" if stream.tls else "HTTP"
    body = f"You asked for {path} over {over}.\n".encode()
    fields = b"Content-Type: text/plain\r\nContent-Length: %d\r\nConnection: close" % len(body)
    await stream.send(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (fields, b"" if head.startswith(b"HEAD ") else body))


async def serve_lines(stream: aionet.Stream) -> None:
    """Answer each line."""
    lines = stream.framed(aionet.Lines())
    async for line in lines:
        await lines.send(b"You said: " + line)


async def serve_client(stream: aionet.Stream, tls: aionet.TLSConfig) -> None:
    """Find out which protocol a client speaks, and serve it."""
    try:
        if await stream.peek(1) == HANDSHAKE:
            await stream.start_tls(tls, server_side=True, received=await stream.recv())
        line = await stream.recv_line(MAX_HEAD)
        stream.unread(line)
        await (serve_http if REQUEST.fullmatch(line) else serve_lines)(stream)
    except aionet.IncompleteReadError:
        return  # it ended inside a message
    except aionet.FrameTooLargeError as error:
        await stream.send(b"too long: at most %d bytes\n" % error.limit)


def new_certificate() -> aionet.TLSConfig:
    """Make a certificate that nobody has reason to trust."""
    certificate = trustme.CA().issue_cert("localhost", "127.0.0.1", "::1")
    return aionet.TLSConfig(certificate=certificate.private_key_and_cert_chain_pem.bytes())


def handler(tls: aionet.TLSConfig) -> Callable[[aionet.Stream], Awaitable[None]]:
    """Return what serves a client."""
    return lambda stream: serve_client(stream, tls)


async def main(host: str, port: int) -> None:
    """Serve until a signal."""
    async with aionet.serve((host, port), handler(new_certificate()), timeouts=TIMEOUTS) as server:
        print("listening on", *server.addresses, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="One port, several protocols.")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen on (default: %(default)s)")
    parser.add_argument("--port", default=8002, type=int, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = parser.parse_args()
    aionet.run(main(args.host, args.port), loop=args.loop)
