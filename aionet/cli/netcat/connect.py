"""The command ``aionet connect``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aionet.cli.netcat.datagrams import DatagramExchange
from aionet.cli.netcat.options import Netcat, netcat_options
from aionet.cli.netcat.session import exchange
from aionet.cli.parameters import ENDPOINT, SECONDS
from aionet.cli.running import run_command, until_terminated
from aionet.cli.tls import ClientTLS, client_tls_options
from aionet.datagram.open import connect_datagram
from aionet.stream.connect import connect

if TYPE_CHECKING:
    from aionet.address import Endpoint
    from aionet.tls import TLSConfig

__all__ = ["connect_command"]


@click.command("connect", short_help="Join stdin and stdout to a server.")
@click.argument("endpoint", type=ENDPOINT)
@click.option("--timeout", type=SECONDS, help="Seconds that connecting may take.  [default: 30]")
@click.option("--local", type=ENDPOINT, help="The address to connect from.")
@client_tls_options
@netcat_options
def connect_command(endpoint: Endpoint, local: Endpoint | None, loop: str, **options: Any) -> None:  # noqa: ANN401 - to Netcat
    """Connect to ENDPOINT: stdin goes to it, and what it sends to stdout.

    ENDPOINT is tcp://host:port, tls://host:port, udp://host:port, unix:/path, unix:@name or fd://number.

    The end of stdin is sent as the end of our half of the connection, and receiving goes on until the peer has ended,
    too. What passes is not looked at, so it may be anything.
    """
    tls = ClientTLS.taken_from(options)
    secure = tls.config(endpoint)
    run_command(until_terminated(_connect(endpoint, local, Netcat(**options), secure, tls.server_name)), loop)


async def _connect(
    endpoint: Endpoint, local: Endpoint | None, asked: Netcat, tls: TLSConfig | None, server_name: str | None
) -> int:
    events = asked.events()
    if endpoint.scheme == "udp":
        async with connect_datagram(endpoint, local=local) as datagrams:
            await DatagramExchange(datagrams, asked.ends(datagrams=True), asked, events).run()
        return 0
    if tls and tls.insecure_skip_verification:
        events.say("unverified", "The certificate is not looked at: anybody in between can be the peer.", always=True)
    opening = connect(endpoint, local=local, tls=tls, server_hostname=server_name, timeouts=asked.timeouts())
    async with opening as stream:
        await exchange(stream, asked.ends(), events)
    return 0
