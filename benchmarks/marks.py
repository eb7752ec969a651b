"""The marks that aionet has to reach, and the rows that measure them.

Both sides run in one go, on the same loop unless the mark says otherwise.
"""

from benchmarks.candidate import Candidate
from benchmarks.generator import GeneratorRow
from benchmarks.idle import KIB, IdleRow
from benchmarks.measure import Workload
from benchmarks.rows import Mark, Row

LOOPS = ("asyncio", "uvloop")


def on(loop: str, ours: str, peer: str, least: float | None) -> Mark:
    """A mark with both sides on one loop."""
    return Mark(Candidate(ours, loop), Candidate(peer, loop), least)


def everywhere(ours: str, peer: str, least: float) -> tuple[Mark, ...]:
    """The same mark on each loop."""
    return tuple(on(loop, ours, peer, least) for loop in LOOPS)


UVLOOP_STREAMS = Candidate("streams", "uvloop")
UVLOOP_STREAMS_64K = Candidate("streams_64k", "uvloop")
UVLOOP_PROTOCOL = Candidate("protocol", "uvloop")
LIMIT = Candidate("c")
UVLOOP_DATAGRAMS = Candidate("udp_protocol", "uvloop")
UVLOOP_ASYNCUDP = Candidate("udp_asyncudp", "uvloop")

ROWS: tuple[Row | IdleRow | GeneratorRow, ...] = (
    Row(
        "echo",
        "TCP echo, 1000 B, 10 connections",
        Workload("echo", size=1000),
        (
            on("asyncio", "aionet_streams", "streams", 3.0),
            Mark(Candidate("aionet_streams", "asyncio"), UVLOOP_STREAMS, 1.0),
            on("uvloop", "aionet_streams", "streams", 1.2),
        ),
        shown=(UVLOOP_PROTOCOL, LIMIT),
    ),
    Row(
        "echo-100k",
        "TCP echo, 100 kB, 10 connections",
        Workload("echo", size=100_000),
        (
            *(Mark(Candidate("aionet_streams", loop), UVLOOP_STREAMS, 2.0) for loop in LOOPS),
            *(Mark(Candidate("aionet_streams", loop), UVLOOP_STREAMS_64K) for loop in LOOPS),
        ),
        shown=(UVLOOP_PROTOCOL, LIMIT),
    ),
    Row(
        "lines",
        "lines of 64 B, 16 a burst, 10 connections",
        Workload("lines", size=64, burst=16),
        everywhere("aionet_streams", "streams", 1.5),
    ),
    Row(
        "framed-lines",
        "framed lines of 64 B, 16 a burst, 10 connections",
        Workload("lines", size=64, burst=16),
        everywhere("aionet_framed", "streams", 1.5),
    ),
    Row(
        "prefixed",
        "100 B with their length in front, 64 in flight, 10 connections",
        Workload("prefixed", size=100, burst=64),
        everywhere("aionet_framed", "streams", 2.0),
        shown=(LIMIT,),
    ),
    Row(
        "protocol",
        "a Protocol's echo, 1000 B, 10 connections",
        Workload("echo", size=1000),
        (on("asyncio", "aionet_protocol", "protocol", 3.0), on("uvloop", "aionet_protocol", "protocol", None)),
        shown=tuple(Candidate("aiofastnet_protocol", loop) for loop in LOOPS),
    ),
    Row(
        "socket",
        "awaitable sockets' echo, 1000 B, 10 connections",
        Workload("echo", size=1000),
        (on("asyncio", "aionet_socket", "sock", 3.0), on("uvloop", "aionet_socket", "sock", None)),
    ),
    Row(
        "accept",
        "connect, echo 64 B once, close, 10 at a time",
        Workload("accept", size=64),
        everywhere("aionet_streams", "streams", 1.5),
        shown=(UVLOOP_PROTOCOL, LIMIT),
    ),
    Row(
        "udp-echo",
        "UDP echo, 200 B, 20 peers with 4 in flight",
        Workload("udp_echo", size=200, connections=20, burst=4),
        (
            on("asyncio", "udp_aionet", "udp_protocol", 5.0),
            *(Mark(Candidate("udp_aionet", loop), UVLOOP_DATAGRAMS, 1.0) for loop in LOOPS),
            *(Mark(Candidate("udp_aionet", loop), UVLOOP_ASYNCUDP, 1.2) for loop in LOOPS),
        ),
        shown=(*(Candidate("udp_aionet_protocol", loop) for loop in LOOPS), Candidate("udp_c")),
    ),
    Row(
        "udp-sessions",
        "UDP echo, 200 B, 1000 peers, a handler for each beside one for all",
        Workload("udp_echo", size=200, connections=1000, burst=1),
        everywhere("udp_aionet_sessions", "udp_aionet_peers", 0.6),
    ),
    Row(
        "udp-receive",
        "UDP received in bulk, 1200 B, sent in runs",
        Workload("udp_receive", size=1200),
        tuple(Mark(Candidate("udp_aionet", loop), UVLOOP_DATAGRAMS, 2.0) for loop in LOOPS),
        shown=(*(Candidate("udp_aionet_batches", loop) for loop in LOOPS), Candidate("udp_protocol", "asyncio")),
    ),
    Row(
        "udp-send",
        "UDP sent in bulk to one peer, 1200 B",
        Workload("udp_send", size=1200),
        everywhere("udp_aionet", "udp_aionet_single", 5.0),
        shown=tuple(Candidate("udp_protocol", loop) for loop in LOOPS),
    ),
    Row(
        "tls-echo",
        "TLS echo, 1000 B, 10 connections",
        Workload("echo", size=1000, tls=True),
        (
            on("asyncio", "aionet_tls", "streams_tls", 2.0),
            on("uvloop", "aionet_tls", "streams_tls", 2.5),
            *everywhere("aionet_tls", "aiofastnet_tls", 0.65),
        ),
    ),
    Row(
        "tls-handshake",
        "TLS handshake, echo 64 B once, close, 10 at a time",
        Workload("accept", size=64, tls=True),
        everywhere("aionet_tls", "streams_tls", 1.0),
    ),
    IdleRow(
        "tls-idle",
        "memory of an idle TLS connection with its Stream and its task, of 1000",
        connections=1000,
        most=24 * KIB,
        ours=tuple(Candidate("aionet_tls", loop) for loop in LOOPS),
        shown=tuple(Candidate("streams_tls", loop) for loop in LOOPS),
        tls=True,
    ),
    IdleRow(
        "idle",
        "memory of an idle connection with its Stream and its task, of 10 000",
        connections=10_000,
        most=6 * KIB,
        ours=tuple(Candidate("aionet_streams", loop) for loop in LOOPS),
        shown=tuple(Candidate("streams", loop) for loop in LOOPS),
    ),
    GeneratorRow("generator", "aionet bench itself: one client process, against servers in C"),
)
