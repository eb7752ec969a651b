"""The command ``aionet listen``."""

from __future__ import annotations

import asyncio
import errno
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import attrs
import click

from aionet.cli.netcat.datagrams import DatagramExchange
from aionet.cli.netcat.options import Netcat, netcat_options
from aionet.cli.netcat.session import Until, exchange
from aionet.cli.parameters import ENDPOINT, SECONDS
from aionet.cli.running import run_command, until_terminated
from aionet.cli.stdio import StandardStreamError
from aionet.cli.tls import ServerTLS, server_tls_options
from aionet.datagram.open import bind_datagram
from aionet.errors import AionetError, ConnectTimeoutError
from aionet.stream.listen import listen

if TYPE_CHECKING:
    from aionet.address import Endpoint
    from aionet.stream.listen import Listener
    from aionet.stream.stream import Stream
    from aionet.tls import TLSConfig

__all__ = ["listen_command"]


@click.command("listen", short_help="Join stdin and stdout to a client.")
@click.argument("endpoint", type=ENDPOINT)
@click.option("--once/--keep-open", default=True, help="Take one peer, or one after the other.  [default: once]")
@click.option("--timeout", type=SECONDS, help="Seconds to wait for a peer.  [default: no limit]")
@server_tls_options
@netcat_options
def listen_command(endpoint: Endpoint, loop: str, *, once: bool, **options: Any) -> None:  # noqa: ANN401 - to Netcat
    """Listen on ENDPOINT: stdin goes to whoever connects, and what they send to stdout.

    ENDPOINT is tcp://host:port, tls://host:port or udp://host:port (port 0: a free one), unix:/path, unix:@name or
    fd://number.

    Peers are served one at a time, the others wait. With --keep-open stdin goes to whichever is connected when it
    brings something; once it has ended, peers get our end at once and are only listened to. Over UDP the peer is the
    first that sends something, with --keep-open the last one.
    """
    tls = ServerTLS.taken_from(options).config([endpoint])
    run_command(until_terminated(_listen(endpoint, Netcat(**options), tls, once=once)), loop)


async def _listen(endpoint: Endpoint, asked: Netcat, tls: TLSConfig | None, *, once: bool) -> int:
    if endpoint.scheme == "udp":
        return await _listen_for_datagrams(endpoint, asked, once=once)
    ends, events = asked.ends(), asked.events()
    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(listen(endpoint, tls=tls, timeouts=asked.timeouts()))
        events.listening(listener.addresses)
        if once:
            stream = await _next_peer(listener, asked.timeout)
            await stack.aclose()  # whoever else comes is refused, and does not wait in vain
            await exchange(stream, ends, events)
            return 0
        while True:
            stream = await _next_peer(listener, asked.timeout)
            try:
                await exchange(stream, ends, events)
            except StandardStreamError:
                raise
            except AionetError as error:
                events.failed(error)


async def _listen_for_datagrams(endpoint: Endpoint, asked: Netcat, *, once: bool) -> int:
    events = asked.events()
    ends = asked.ends(datagrams=True)
    if not once and asked.until is None:
        ends = attrs.evolve(ends, until=Until.PEER)  # whose end never comes
    async with bind_datagram(endpoint) as datagrams:
        events.listening([datagrams.local])
        await DatagramExchange(datagrams, ends, asked, events, changing=not once).run()
    return 0


async def _next_peer(listener: Listener, seconds: float | None) -> Stream:
    try:
        async with asyncio.timeout(seconds):
            return await listener.accept()
    except TimeoutError as error:
        where = ", ".join(map(str, listener.addresses))
        raise ConnectTimeoutError(errno.ETIMEDOUT, f"listen on {where}: no peer within {seconds:g} s") from error
