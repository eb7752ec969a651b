"""One measurement: a server on one core, the load generator on the others, and what was found."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import attrs

from aionet.bench.buckets import quantile
from aionet.bench.process import PATIENCE, Process, ProcessError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Candidate", "Cores", "Sample", "Workload", "measure"]

# Two load generators in Python outrun any server in Python; where there are two cores, one has to do.
_MOST_CLIENTS: Final = 2

# What a client may take to connect, in seconds: a handshake of TLS is one or two milliseconds of CPU for both sides.
_CONNECT: Final = 0.01

_SERVER: Final = Path(__file__).with_name("server.py")
_CLIENT: Final = Path(__file__).with_name("client.py")

_TITLES: Final = {
    "aionet": "aionet",
    "streams": "asyncio streams",
    "tls": "aionet, TLS",
    "streams_tls": "asyncio, TLS",
    "datagrams": "aionet, UDP",
    "protocol": "asyncio, UDP",
}
_UDP: Final = frozenset({"datagrams", "protocol"})
_TLS: Final = frozenset({"tls", "streams_tls"})


@attrs.frozen
class Candidate:
    """A server and the loop that it runs on."""

    server: str
    loop: str

    @property
    def title(self) -> str:
        """For people, without the loop."""
        return _TITLES[self.server]

    @property
    def udp(self) -> bool:
        """Whether it serves datagrams, and no streams."""
        return self.server in _UDP

    @property
    def tls(self) -> bool:
        """Whether its streams are over TLS."""
        return self.server in _TLS

    def __str__(self) -> str:
        return f"{self.title} on {self.loop}"


@attrs.frozen
class Workload:
    """What each measurement does: ``size`` in bytes, times in seconds."""

    connections: int
    size: int
    seconds: float
    warmup: float


@attrs.frozen
class Cores:
    """Which core each process is pinned to; None: the system decides."""

    server: int | None
    clients: tuple[int | None, ...]

    @classmethod
    def here(cls) -> Self:
        """One for the server and one or two others for the load generators, where there are two."""
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) == 1:
            return cls(None, (None,))
        return cls(usable[0], tuple(usable[1 : 1 + _MOST_CLIENTS]))

    @property
    def shared(self) -> bool:
        """Whether the server and the load generator have to share a core."""
        return self.server is None


@attrs.frozen
class Sample:
    """What one measurement found; ``client_cpu`` is that of the busiest load generator. Times in seconds."""

    messages: int
    seconds: float
    p50: float
    p99: float
    server_cpu: float
    client_cpu: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def cost(self) -> float:
        """Seconds of the server's CPU a message."""
        return self.server_cpu / self.messages

    @property
    def server_busy(self) -> float:
        """The part of its core that the server used."""
        return self.server_cpu / self.seconds

    @property
    def client_busy(self) -> float:
        """The part of its core that the load generator used."""
        return self.client_cpu / self.seconds


def measure(candidate: Candidate, workload: Workload, cores: Cores, certificate: Path) -> Sample:
    """Start the candidate's server, drive it, and end it.

    ``certificate`` is a PEM file with its key, for servers over TLS.

    Raises:
        ProcessError: the server or the load generator failed.

    """
    with ExitStack() as running:
        arguments: list[object] = [candidate.server, "--loop", candidate.loop]
        if candidate.tls:
            arguments += ["--certificate", certificate]
        server = running.enter_context(Process(f"the server ({candidate})", _SERVER, arguments, cores.server))
        address = server.hear()["address"]
        clients = [running.enter_context(client) for client in _clients(address, candidate, workload, cores)]
        try:
            return _drive(server, clients, workload)
        except ProcessError as error:
            raise server.explain(error) from error


def _clients(address: str, candidate: Candidate, workload: Workload, cores: Cores) -> Iterable[Process]:
    count = min(len(cores.clients), workload.connections)
    for number, core in enumerate(cores.clients[:count]):
        connections = workload.connections // count + (number < workload.connections % count)
        arguments = [address, "--connections", connections, "--size", workload.size]
        arguments += ["--warmup", workload.warmup, "--seconds", workload.seconds]
        if candidate.udp:
            arguments.append("--udp")
        if candidate.tls:
            arguments.append("--tls")
        yield Process("the load generator", _CLIENT, arguments, core)


def _drive(server: Process, clients: list[Process], workload: Workload) -> Sample:
    for client in clients:
        client.hear(PATIENCE + workload.warmup + workload.connections * _CONNECT)
    cpu = server.ask()["cpu"]
    for client in clients:
        client.tell()
    found = [client.hear(workload.seconds + PATIENCE) for client in clients]
    cpu = server.ask()["cpu"] - cpu
    latencies = Counter[int]()
    for each in found:
        latencies.update(dict(each["latencies_us"]))
    return Sample(
        messages=sum(each["messages"] for each in found),
        seconds=max(each["seconds"] for each in found),
        p50=quantile(latencies, 0.5) / 1e6,
        p99=quantile(latencies, 0.99) / 1e6,
        server_cpu=cpu,
        client_cpu=max(each["cpu"] for each in found),
    )
