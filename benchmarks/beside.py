"""`python -m benchmarks.beside`: aionet bench beside other people's load generators, on the same server in one run.

Each pair drives the same server in turns, and the medians are put side by side, with the part of its core that our
generator used: where that is all of it, the generator was the limit and not the server.
"""

import argparse
import contextlib
import json
import re
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
from aionet.bench.plan import Plan
from aionet.bench.sizes import Sizes

CONNECTIONS = 50
PAGE = b"x" * 200
DATAGRAM = 1200


@attrs.frozen
class Figure:
    """What one run came to, and the part of a core that its generator used, where that is known."""

    rate: float
    busy: float | None = None


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
def program(command: list[str], port: int) -> Iterator[None]:
    """A server that runs until the block ends."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 10
            while True:
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    message = f"{' '.join(command)} does not listen"
                    raise RuntimeError(message)
                time.sleep(0.02)
            yield
        finally:
            process.terminate()


@contextlib.contextmanager
def redis() -> Iterator[int]:
    """A redis-server that keeps nothing."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with program(command, port):
        yield port


@contextlib.contextmanager
def nginx() -> Iterator[int]:
    """An nginx with one worker and one small page."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        (place / "index.html").write_bytes(PAGE)
        (place / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error;\n"
            "events { worker_connections 1024; }\n"
            "http { access_log off; keepalive_requests 100000000;\n"
            f"  server {{ listen 127.0.0.1:{port}; root {place}; }} }}\n"
        )
        with program(["nginx", "-e", f"{place}/error", "-c", str(place / "nginx.conf")], port):
            yield port


@contextlib.contextmanager
def iperf() -> Iterator[int]:
    """An iperf (version 2) server, which takes what it is sent."""
    port = free_port()
    with program(["iperf", "-s", "-B", "127.0.0.1", "-p", str(port)], port):
        yield port


@contextlib.contextmanager
def unread() -> Iterator[int]:
    """A UDP socket that nobody reads: the kernel takes what fits, and drops the rest."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def ours(seconds: float, plan: Plan) -> Figure:
    """What aionet bench finds."""
    results = drive(attrs.evolve(plan, duration=seconds, warmup=0.3))
    if results.errors:
        message = f"errors: {dict(results.errors)}"
        raise RuntimeError(message)
    bits = results.bytes_sent / results.seconds * 8
    return Figure(bits if plan.mode == "sink" else results.rate, results.client_cpu)


def output(*command: object) -> str:
    """What a program prints."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
    return done.stdout


def redis_benchmark(port: int, seconds: float, pipeline: int) -> Figure:
    """Pings a second, inline as ours are. It counts requests and not seconds: so many are near enough to those."""
    count = int(seconds * 60_000 * (1 if pipeline == 1 else 8)) // pipeline * pipeline
    work = ["-t", "ping_inline", "-c", CONNECTIONS, "-n", count, "-P", pipeline]
    text = output("redis-benchmark", "-p", port, "--csv", *work)
    rows = [line.split(",") for line in text.replace('"', "").splitlines()]
    return Figure(float(next(row[1] for row in rows if row[0].startswith("PING"))))


def wrk(port: int, seconds: float) -> Figure:
    """Requests a second, by one thread."""
    text = output("wrk", "-t", 1, "-c", CONNECTIONS, "-d", f"{max(round(seconds), 1)}s", f"http://127.0.0.1:{port}/")
    found = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if found is None or "Non-2xx" in text:
        raise RuntimeError(text)
    return Figure(float(found[1]))


def iperf_stream(port: int, seconds: float) -> Figure:
    """Bits a second."""
    text = output("iperf", "-c", "127.0.0.1", "-p", port, "-t", max(round(seconds), 1), "-l", 65536, "-y", "C")
    return Figure(float(text.split(",")[-1]))


def iperf_datagrams(port: int, seconds: float) -> Figure:
    """Bits a second that it has sent; it would rather hear from a server of its own, and says so for two seconds."""
    whole = max(round(seconds), 1)
    text = output("iperf", "-u", "-c", "127.0.0.1", "-p", port, "-t", whole, "-l", DATAGRAM, "-b", "100g")
    found = re.search(r"Sent (\d+) datagrams", text)
    if found is None:
        raise RuntimeError(text)
    return Figure(int(found[1]) * DATAGRAM * 8 / whole)


def http_reply(port: int, request: bytes) -> int:
    """How long nginx's reply is: always the same."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(request)
        received = b""
        while not received.endswith(PAGE):
            received += sock.recv(65536)
        return len(received)


def pings(port: int, pipeline: int) -> Pair:
    """redis-benchmark and us."""
    plan = Plan(
        endpoint=f"tcp://127.0.0.1:{port}",
        mode="request-file",
        request=b"PING\r\n",
        expect=Expect.parse("line"),
        connections=CONNECTIONS,
        pipeline=pipeline,
    )
    return Pair(
        f"redis PING, {CONNECTIONS} connections, {pipeline} under way",
        "requests/s",
        lambda seconds: redis_benchmark(port, seconds, pipeline),
        lambda seconds: ours(seconds, plan),
    )


def pages(port: int) -> Pair:
    """Wrk and us."""
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    plan = Plan(
        endpoint=f"tcp://127.0.0.1:{port}",
        mode="request-file",
        request=request,
        expect=Expect.parse(f"bytes:{http_reply(port, request)}"),
        connections=CONNECTIONS,
    )
    return Pair(
        f"nginx, {len(PAGE)} bytes, {CONNECTIONS} connections",
        "requests/s",
        lambda seconds: wrk(port, seconds),
        lambda seconds: ours(seconds, plan),
    )


def bulk(port: int) -> Pair:
    """Iperf and us."""
    plan = Plan(endpoint=f"tcp://127.0.0.1:{port}", mode="sink", size=Sizes.parse("65536"), connections=1)
    return Pair(
        "bulk TCP, one connection, 64 KiB a write",
        "bit/s",
        lambda seconds: iperf_stream(port, seconds),
        lambda seconds: ours(seconds, plan),
    )


def datagrams(port: int) -> Pair:
    """Iperf and us."""
    plan = Plan(endpoint=f"udp://127.0.0.1:{port}", mode="sink", size=Sizes.parse(str(DATAGRAM)), connections=1)
    return Pair(
        f"UDP, one socket, {DATAGRAM} B a datagram, sent",
        "bit/s",
        lambda seconds: iperf_datagrams(port, seconds),
        lambda seconds: ours(seconds, plan),
    )


def compare(pair: Pair, seconds: float, rounds: int) -> dict[str, object]:
    """Run both in turns, print the medians, and return them."""
    theirs: list[Figure] = []
    mine: list[Figure] = []
    for _ in range(rounds):
        theirs.append(pair.theirs(seconds))
        mine.append(pair.ours(seconds))
    their_rate, rate = (statistics.median(each.rate for each in side) for side in (theirs, mine))
    busy = statistics.median(each.busy or 0.0 for each in mine)
    print(f"{pair.name}: theirs {their_rate:,.0f}, ours {rate:,.0f} {pair.unit}, {rate / their_rate:.2f}x", end="")
    print(f"; our generator used {busy:.0%} of its core")
    return {"name": pair.name, "unit": pair.unit, "theirs": their_rate, "ours": rate, "our_generator_cpu": busy}


def every_pair(stack: contextlib.ExitStack) -> Iterator[Pair]:
    """Each pair, its server started."""
    redis_port = stack.enter_context(redis())
    yield pings(redis_port, 1)
    yield pings(redis_port, 16)
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
