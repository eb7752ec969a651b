"""`python -m benchmarks.beside`: aionet bench beside other people's load generators, on the same server in one run.

Each pair drives the same server in turns, the server on one core and the generator on another, and the medians are put
side by side with the part of its core that each side used: the one that used all of it was the limit. Where two
generators find different figures, that says why: who leaves the server idle is the slower generator.
"""

import argparse
import contextlib
import json
import re
import resource
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from aionet.bench.conduct import measure as drive
from aionet.bench.expect import Expect
from aionet.bench.machine import cpu_seconds
from aionet.bench.plan import Plan
from aionet.bench.sizes import Sizes
from benchmarks.generator import Aside
from benchmarks.measure import cores, pinned

CONNECTIONS = 50
PAGE = b"x" * 200
DATAGRAM = 1200


@attrs.frozen
class Server:
    """Where it listens, and its process; 0 where there is none."""

    port: int
    pid: int = 0


@attrs.frozen
class Figure:
    """What one run came to, and the parts of a core that the generator and the server used."""

    rate: float
    generator: float
    server: float


@attrs.frozen
class Pair:
    """The same work by two generators."""

    name: str
    unit: str
    theirs: Callable[[float], Figure]
    ours: Callable[[float], Figure]


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def program(command: list[str], port: int) -> Iterator[Server]:
    """A server that runs until the block ends."""
    with pinned(cores()[0]):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with process:
        try:
            deadline = time.monotonic() + 10
            while True:
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    message = f"{' '.join(command)} does not listen"
                    raise RuntimeError(message)
                time.sleep(0.02)
            yield Server(port, process.pid)
        finally:
            process.terminate()


@contextlib.contextmanager
def redis() -> Iterator[Server]:
    """A redis-server that keeps nothing."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with program(command, port) as server:
        yield server


@contextlib.contextmanager
def nginx() -> Iterator[Server]:
    """An nginx of one process with one small page."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        (place / "index.html").write_bytes(PAGE)
        (place / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {place}/pid; error_log {place}/error;\n"
            "events { worker_connections 1024; }\n"
            "http { access_log off; keepalive_requests 100000000;\n"
            f"  server {{ listen 127.0.0.1:{port}; root {place}; }} }}\n"
        )
        with program(["nginx", "-e", f"{place}/error", "-c", str(place / "nginx.conf")], port) as server:
            yield server


@contextlib.contextmanager
def iperf() -> Iterator[Server]:
    """An iperf (version 2) server, which takes what it is sent."""
    port = free_port()
    with program(["iperf", "-s", "-B", "127.0.0.1", "-p", str(port)], port) as server:
        yield server


@contextlib.contextmanager
def unread() -> Iterator[Server]:
    """A UDP socket that nobody reads: the kernel takes what fits, and drops the rest."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield Server(sock.getsockname()[1])


def ours(seconds: float, server: Server, plan: Plan) -> Figure:
    """What aionet bench finds."""
    with pinned(cores()[1]):
        timed = attrs.evolve(plan, duration=seconds, warmup=0.3)
        results = drive(timed, pids=[server.pid] if server.pid else [], observer=Aside())
    if results.errors:
        message = f"errors: {dict(results.errors)}"
        raise RuntimeError(message)
    bits = results.bytes_sent / results.seconds * 8
    return Figure(bits if plan.mode == "sink" else results.rate, results.client_cpu, results.server_cpu or 0.0)


def theirs(server: Server, rate: Callable[[str], float], *command: object) -> Figure:
    """What another program finds, which `rate` reads in its output."""
    words = [str(word) for word in command]
    began, server_began, generator_began = time.monotonic(), cpu_seconds(server.pid), children_cpu()
    with pinned(cores()[1]):
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    took = time.monotonic() - began
    used = (cpu_seconds(server.pid) or 0.0) - (server_began or 0.0)
    try:
        return Figure(rate(done.stdout), (children_cpu() - generator_began) / took, used / took)
    except (ValueError, LookupError) as error:
        message = f"{' '.join(words)} said: {done.stdout or done.stderr}"
        raise RuntimeError(message) from error


def children_cpu() -> float:
    """Seconds of CPU time of the processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def redis_benchmark(server: Server, seconds: float, pipeline: int) -> Figure:
    """Pings a second, inline as ours are. It counts requests and not seconds: so many are near enough to those."""

    def rate(text: str) -> float:
        rows = [line.split(",") for line in text.replace('"', "").splitlines()]
        return float(next(row[1] for row in rows if row and row[0].startswith("PING")))

    count = int(seconds * 60_000 * (1 if pipeline == 1 else 8)) // pipeline * pipeline
    work = ["-t", "ping_inline", "-c", CONNECTIONS, "-n", count, "-P", pipeline]
    return theirs(server, rate, "redis-benchmark", "-p", server.port, "--csv", *work)


def wrk(server: Server, seconds: float) -> Figure:
    """Requests a second, by one thread."""

    def rate(text: str) -> float:
        if "Non-2xx" in text:
            raise ValueError(text)
        return float(text.partition("Requests/sec:")[2].split()[0])

    url = f"http://127.0.0.1:{server.port}/"
    return theirs(server, rate, "wrk", "-t", 1, "-c", CONNECTIONS, "-d", f"{max(round(seconds), 1)}s", url)


def iperf_stream(server: Server, seconds: float) -> Figure:
    """Bits a second."""
    where = ["-c", "127.0.0.1", "-p", server.port, "-t", max(round(seconds), 1)]
    return theirs(server, lambda text: float(text.split(",")[-1]), "iperf", *where, "-l", 65536, "-y", "C")


def iperf_datagrams(server: Server, seconds: float) -> Figure:
    """Bits a second that it has sent; it would rather hear from a server of its own, and says so for two seconds."""
    whole = max(round(seconds), 1)

    def rate(text: str) -> float:
        return int(re.findall(r"Sent (\d+) datagrams", text)[0]) * DATAGRAM * 8 / whole

    where = ["-c", "127.0.0.1", "-p", server.port, "-t", whole]
    return theirs(server, rate, "iperf", "-u", *where, "-l", DATAGRAM, "-b", "100g")


def http_reply(port: int, request: bytes) -> int:
    """How long nginx's reply is: always the same."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(request)
        received = b""
        while not received.endswith(PAGE):
            received += sock.recv(65536)
        return len(received)


def pings(server: Server, pipeline: int) -> Pair:
    """redis-benchmark and us."""
    plan = Plan(
        endpoint=f"tcp://127.0.0.1:{server.port}",
        mode="request-file",
        request=b"PING\r\n",
        expect=Expect.parse("line"),
        connections=CONNECTIONS,
        pipeline=pipeline,
    )
    return Pair(
        f"redis PING, {CONNECTIONS} connections, {pipeline} under way",
        "requests/s",
        lambda seconds: redis_benchmark(server, seconds, pipeline),
        lambda seconds: ours(seconds, server, plan),
    )


def pages(server: Server) -> Pair:
    """Wrk and us."""
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    plan = Plan(
        endpoint=f"tcp://127.0.0.1:{server.port}",
        mode="request-file",
        request=request,
        expect=Expect.parse(f"bytes:{http_reply(server.port, request)}"),
        connections=CONNECTIONS,
    )
    return Pair(
        f"nginx, {len(PAGE)} bytes, {CONNECTIONS} connections",
        "requests/s",
        lambda seconds: wrk(server, seconds),
        lambda seconds: ours(seconds, server, plan),
    )


def bulk(server: Server) -> Pair:
    """Iperf and us."""
    # Nothing but zeros, since iperf's server takes what comes first for the options of its client, and dies of some.
    plan = Plan(endpoint=f"tcp://127.0.0.1:{server.port}", mode="sink", request=bytes(65536), connections=1)
    return Pair(
        "bulk TCP, one connection, 64 KiB a write",
        "bit/s",
        lambda seconds: iperf_stream(server, seconds),
        lambda seconds: ours(seconds, server, plan),
    )


def datagrams(server: Server) -> Pair:
    """Iperf and us."""
    plan = Plan(endpoint=f"udp://127.0.0.1:{server.port}", mode="sink", size=Sizes.parse(str(DATAGRAM)), connections=1)
    return Pair(
        f"UDP, one socket, {DATAGRAM} B a datagram, sent",
        "bit/s",
        lambda seconds: iperf_datagrams(server, seconds),
        lambda seconds: ours(seconds, server, plan),
    )


def compare(pair: Pair, seconds: float, rounds: int) -> dict[str, object]:
    """Run both in turns, print the medians, and return them."""
    theirs: list[Figure] = []
    mine: list[Figure] = []
    for _ in range(rounds):
        theirs.append(pair.theirs(seconds))
        mine.append(pair.ours(seconds))
    their, our = median(theirs), median(mine)
    print(
        f"{pair.name}: theirs {their.rate:,.0f}, ours {our.rate:,.0f} {pair.unit}, {our.rate / their.rate:.2f}x", end=""
    )
    print(f"; {used('their', their)}; {used('our', our)}")
    return {"name": pair.name, "unit": pair.unit, "theirs": attrs.asdict(their), "ours": attrs.asdict(our)}


def used(whose: str, figure: Figure) -> str:
    """What each side had of its core."""
    return f"{whose} generator used {figure.generator:.0%} of its core, the server {figure.server:.0%}"


def median(figures: list[Figure]) -> Figure:
    """The median of each of them."""
    return Figure(*map(statistics.median, zip(*map(attrs.astuple, figures), strict=True)))


def every_pair(stack: contextlib.ExitStack) -> Iterator[Pair]:
    """Each pair, its server started."""
    server = stack.enter_context(redis())
    yield pings(server, 1)
    yield pings(server, 16)
    yield pages(stack.enter_context(nginx()))
    yield bulk(stack.enter_context(iperf()))
    yield datagrams(stack.enter_context(unread()))


def main() -> None:
    """Run all pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="a run (3)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        found = [compare(pair, arguments.seconds, arguments.rounds) for pair in every_pair(stack)]
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
