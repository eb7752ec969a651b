"""The command ``aionet connect``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aionet.cli.netcat.datagrams import DatagramExchange
from aionet.cli.netcat.options import Netcat, netcat_options
from aionet.cli.netcat.session import exchange
from aionet.cli.parameters import ENDPOINT, SECONDS
from aionet.cli.running import run_command, until_terminated
from aionet.datagram.open import connect_datagram
from aionet.stream.connect import connect

if TYPE_CHECKING:
    from aionet.address import Endpoint

__all__ = ["connect_command"]


@click.command("connect", short_help="Join stdin and stdout to a server.")
@click.argument("endpoint", type=ENDPOINT)
@click.option("--timeout", type=SECONDS, help="Seconds that connecting may take.  [default: 30]")
@click.option("--local", type=ENDPOINT, help="The address to connect from.")
@netcat_options
def connect_command(endpoint: Endpoint, local: Endpoint | None, loop: str, **options: Any) -> None:  # noqa: ANN401 - to Netcat
    """Connect to ENDPOINT: stdin goes to it, and what it sends to stdout.

    ENDPOINT is tcp://host:port, udp://host:port, unix:/path, unix:@name or fd://number.

    The end of stdin is sent as the end of our half of the connection, and receiving goes on until the peer has ended,
    too. What passes is not looked at, so it may be anything.
    """
    run_command(until_terminated(_connect(endpoint, local, Netcat(**options))), loop)


async def _connect(endpoint: Endpoint, local: Endpoint | None, asked: Netcat) -> int:
    if endpoint.scheme == "udp":
        async with connect_datagram(endpoint, local=local) as datagrams:
            await DatagramExchange(datagrams, asked.ends(datagrams=True), asked, asked.events()).run()
        return 0
    async with connect(endpoint, local=local, timeouts=asked.timeouts()) as stream:
        await exchange(stream, asked.ends(), asked.events())
    return 0
