"""HTTP/1.1 with keep-alive: h11 knows the protocol, aionet moves the bytes.

    pip install h11
    python examples/http_hello.py --port 8000
    curl -i http://127.0.0.1:8000/

With ``--tls-cert`` and ``--tls-key``, two files in PEM, it is https.

GET and HEAD say hello, POST counts the bytes of its body.
"""

import argparse
import asyncio
from email.utils import formatdate
from http import HTTPStatus

import h11

import aionet

# What the head of the next request may take, in seconds: a client that sends a byte now and then wins nothing by it.
REQUEST_TIMEOUT = 10.0
# The longest silence inside a body.
IDLE_TIMEOUT = 30.0


class Connection:
    """One client: what h11 makes of the bytes, and the stream that they come and go by."""

    def __init__(self, stream: aionet.Stream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.SERVER)
        self._method = b""  # of the request that is being answered

    async def serve(self) -> None:
        """Answer one request after the other, until either side has had enough."""
        try:
            while await self._begin_request():
                await self._answer()
                if self._http.our_state is h11.MUST_CLOSE:
                    return
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as error:
            if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:  # no response has begun
                await self._respond(HTTPStatus(error.error_status_hint), f"{error}\n", ("connection", "close"))

    async def _begin_request(self) -> bool:
        """Receive the head of a request; say whether there was one, or the client's end."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                event = await self._next_event()
        except TimeoutError:
            message = f"no request within {REQUEST_TIMEOUT:g} s"
            raise h11.RemoteProtocolError(message, HTTPStatus.REQUEST_TIMEOUT) from None
        self._method = event.method if isinstance(event, h11.Request) else b""
        return bool(self._method)

    async def _next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[]))
            self._http.receive_data(await self._stream.recv())
        return event

    async def _answer(self) -> None:
        """Receive the body, however large, and respond."""
        size = 0
        while isinstance(event := await self._next_event(), h11.Data):
            size += len(event.data)
        if self._method in {b"GET", b"HEAD"}:
            await self._respond(HTTPStatus.OK, "Hello, world!\n")
        elif self._method == b"POST":
            await self._respond(HTTPStatus.OK, f"{size} bytes\n")
        else:
            await self._respond(HTTPStatus.METHOD_NOT_ALLOWED, "GET, HEAD or POST\n", ("allow", "GET, HEAD, POST"))

    async def _respond(self, status: HTTPStatus, text: str, *more_headers: tuple[str, str]) -> None:
        body = text.encode()
        headers = [
            ("date", formatdate(usegmt=True)),
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", str(len(body))),
            *more_headers,
        ]
        if self._stream.draining.is_set():
            headers.append(("connection", "close"))
        head = h11.Response(status_code=status, reason=status.phrase, headers=headers)
        # The response to a HEAD request is only the head of what GET would get.
        content = [] if self._method == b"HEAD" else [h11.Data(data=body)]
        await self._send(head, *content, h11.EndOfMessage())

    async def _send(self, *events: h11.Event) -> None:
        await self._stream.send(b"".join(self._http.send(event) or b"" for event in events))


async def main(host: str, port: int, tls: aionet.TLSConfig | None) -> None:
    """Serve until a signal, and then for as long as a silent client may take."""
    timeouts = aionet.Timeouts(idle=IDLE_TIMEOUT, drain=REQUEST_TIMEOUT)
    async with aionet.serve(
        (host, port), lambda stream: Connection(stream).serve(), tls=tls, timeouts=timeouts
    ) as server:
        print("listening on", *server.addresses, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An HTTP server that says hello.")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen on (default: %(default)s)")
    parser.add_argument("--port", default=8000, type=int, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    parser.add_argument("--tls-cert", metavar="PEM", help="serve https with this certificate")
    parser.add_argument("--tls-key", metavar="PEM", help="its key, unless that is in the same file")
    args = parser.parse_args()
    config = aionet.TLSConfig(certificate=args.tls_cert, key=args.tls_key, alpn=["http/1.1"]) if args.tls_cert else None
    aionet.run(main(args.host, args.port, config), loop=args.loop)
