"""The command ``aionet demo``."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import trustme

from aionet.cli.console import output, progress_output
from aionet.cli.demo.measure import Candidate, Cores, Workload, measure
from aionet.cli.demo.progress import progress
from aionet.cli.demo.results import PEERS, Results
from aionet.cli.demo.table import report
from aionet.cli.status import INTERRUPTED
from aionet.server.admission import default_max_connections
from aionet.system.loops import available_loops, loop_factory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

__all__ = ["demo"]


# Enough for every code path to have run and every buffer to have grown, in seconds.
_WARMUP: Final = 0.25

_LARGEST_DATAGRAM: Final = 65_507  # over IPv4: larger messages are for streams alone

_MEBIBYTE: Final = 1024 * 1024


@click.command()
@click.option("--connections", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Clients at a time.")
@click.option(
    "--size", type=click.IntRange(1, 16 * _MEBIBYTE), default=1000, show_default=True, help="Bytes a message."
)
@click.option(
    "--seconds", type=click.FloatRange(0.01, 3600), default=1.0, show_default=True, help="How long a measurement takes."
)
@click.option(
    "--rounds", type=click.IntRange(1, 1000), default=3, show_default=True, help="Measurements of each server."
)
@click.option(
    "--loop",
    "loops",
    type=click.Choice(["asyncio", "uvloop"]),
    multiple=True,
    help="A loop to run the servers on; more than once for several.  [default: all that are installed]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def demo(connections: int, size: int, seconds: float, rounds: int, loops: Sequence[str], *, as_json: bool) -> None:
    """Measure aionet's streams and datagrams beside asyncio's own.

    A server that sends back what it receives runs on one core, clients on another. Each client sends a message, waits
    until all of it has come back, and sends the next. The servers take turns, each in a fresh process, and the
    medians of all rounds are shown: messages a second; the latency of half and of 99 % of the messages; the server's
    CPU time a message, which does not depend on the clients; and the ratios to asyncio's streams, plain or over TLS,
    or its DatagramProtocol, on the same loop. Datagrams are left out where a message does not fit into one.

    Ctrl-C ends early and shows what was measured until then.
    """
    _allow(connections)
    loops = tuple(dict.fromkeys(loops)) or available_loops()
    for loop in loops:
        loop_factory(loop)  # raises where it is not installed
    servers = [server for pair in PEERS.items() for server in pair]
    candidates = [Candidate(server, loop) for loop in loops for server in servers]
    if size > _LARGEST_DATAGRAM:
        candidates = [candidate for candidate in candidates if not candidate.udp]
    results = Results.of(candidates, Workload(connections, size, seconds, min(_WARMUP, seconds)), Cores.here(), rounds)
    try:
        _measure_all(results, progress_output())
    except KeyboardInterrupt:
        results.interrupted = True
    _show(results, output(), as_json=as_json)
    if results.interrupted:
        sys.exit(INTERRUPTED)


def _allow(connections: int) -> None:
    """Let the processes that are started open so many descriptors, if the system does."""
    if connections <= default_max_connections():
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = default_max_connections()
    if connections > most:
        message = f"{connections} is more than the {most} that the system's limit on descriptors ({hard}) allows."
        raise click.BadParameter(message, param_hint="--connections")


def _measure_all(results: Results, console: Console) -> None:
    with tempfile.TemporaryDirectory() as folder, progress(console, results) as shown:
        certificate = _made_certificate(Path(folder))
        for turn in range(1, results.rounds + 1):
            for candidate in results.samples:
                shown.begins(turn, candidate)
                sample = measure(candidate, results.workload, results.cores, certificate)
                results.add(candidate, sample)
                shown.ends(turn, candidate, sample)


def _made_certificate(folder: Path) -> Path:
    """Make a certificate that nobody else trusts, for the servers over TLS; return its file, which has the key too."""
    made = trustme.CA().issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    path = folder / "certificate.pem"
    made.private_key_and_cert_chain_pem.write_to_path(path)
    return path


def _show(results: Results, console: Console, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(results.as_json(), indent=2))
    else:
        console.print(report(results, console.width))
