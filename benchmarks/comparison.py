"""The comparison with the peers: which work, and who does it.

Everybody does the echo over ten connections, on each loop that he runs on. Elsewhere each library runs on the faster
of its loops, uvloop where it can, so that the whole takes about a quarter of an hour.
"""

import attrs

from benchmarks.candidate import LOOPS, Candidate
from benchmarks.idle import IdleRow
from benchmarks.measure import Workload
from benchmarks.rows import Row, Timing

# Many short measurements rather than few long ones: the candidates take turns, and what disturbs one round stays in it.
TIMING = Timing(rounds=3, seconds=0.6, warmup=0.2)
QUICK = Timing(rounds=1, seconds=0.2, warmup=0.1)  # to see that all of it works

MANY = 10_000


def on_both(*files: str) -> tuple[Candidate, ...]:
    """The servers on each loop."""
    return tuple(Candidate(file, loop) for file in files for loop in LOOPS)


def on_uvloop(*files: str) -> tuple[Candidate, ...]:
    """The servers on uvloop."""
    return tuple(Candidate(file, "uvloop") for file in files)


LIMIT = Candidate("c")
LIMITS = (LIMIT, Candidate("udp_c"))  # what a program in C does: how far all the others are from it
OWN_LOOPS = (Candidate("gevent", "gevent"), Candidate("trio", "trio"), Candidate("twisted", "twisted"))
ASYNCIO_PEERS = ("streams", "protocol", "sock", "aiofastnet_protocol", "anyio", "easynetwork", "tornado")

EVERYBODY = (*on_both("aionet_streams", "aionet_protocol", "aionet_socket", *ASYNCIO_PEERS), *OWN_LOOPS, LIMIT)
FASTEST = (
    *on_both("aionet_streams"),
    *on_uvloop("aionet_protocol", *ASYNCIO_PEERS),
    *OWN_LOOPS,
    LIMIT,
)
LINES = (
    *on_both("aionet_streams", "aionet_framed", "streams"),
    *on_uvloop("anyio", "easynetwork", "tornado"),
    Candidate("gevent", "gevent"),
    Candidate("twisted", "twisted"),
    LIMIT,
)
GROWING = (
    *on_both("aionet_streams", "streams"),
    *on_uvloop("protocol"),
    *OWN_LOOPS,
    LIMIT,
)
UDP_ECHO = (
    *on_both("udp_aionet", "udp_protocol"),
    *on_uvloop("udp_aionet_protocol", "udp_asyncudp", "udp_dgram", "udp_anyio", "udp_easynetwork"),
    Candidate("udp_sock", "asyncio"),
    Candidate("udp_gevent", "gevent"),
    Candidate("udp_trio", "trio"),
    Candidate("udp_twisted", "twisted"),
    Candidate("udp_c"),
)
UDP_RECEIVE = on_both("udp_aionet", "udp_aionet_batches", "udp_protocol")
UDP_SEND = on_both("udp_aionet", "udp_aionet_single", "udp_protocol")


@attrs.frozen
class Section:
    """Rows that belong into one table and one plot, each under the head of its column."""

    name: str
    title: str
    columns: dict[str, Row | IdleRow]
    plots: tuple[str, ...] = ("rate",)


def echo_section(name: str, title: str, connections: int, candidates: tuple[Candidate, ...], *plots: str) -> Section:
    """The echo of small, middle and large messages."""
    sizes = {"64 B": 64, "1 kB": 1000, "100 kB": 100_000}
    rows: dict[str, Row | IdleRow] = {
        head: Row(
            f"{name}-{size}",
            f"{title}, {head}",
            Workload("echo", size=size, connections=connections),
            (),
            candidates,
        )
        for head, size in sizes.items()
    }
    return Section(name, title, rows, plots)


def growth_row(connections: int) -> Row:
    """All of so many connections are busy."""
    return Row(
        f"growth-{connections}",
        f"TCP echo, 64 B, {connections} connections",
        Workload("echo", size=64, connections=connections),
        (),
        GROWING,
    )


LINES_ROW = Row("lines", "lines of 64 B, 16 a burst, 10 connections", Workload("lines", size=64, burst=16), (), LINES)
ACCEPT_ROW = Row("accept", "connect, echo 64 B once, close, 10 at a time", Workload("accept", size=64), (), FASTEST)
UDP_ECHO_ROW = Row(
    "udp-echo",
    "UDP echo, 200 B, 20 peers with 4 in flight",
    Workload("udp_echo", size=200, connections=20, burst=4),
    (),
    UDP_ECHO,
)
UDP_RECEIVE_ROW = Row(
    "udp-receive", "UDP received in bulk, 1200 B", Workload("udp_receive", size=1200), (), UDP_RECEIVE
)
UDP_SEND_ROW = Row("udp-send", "UDP sent in bulk, 1200 B", Workload("udp_send", size=1200), (), UDP_SEND)
# Without EasyNetwork, whose connection takes half a MiB with buffers of this size: 5 GB for all of them.
IDLE = tuple(candidate for candidate in FASTEST if candidate.file != "easynetwork")
TLS = (
    *on_both("aionet_tls", "streams_tls"),
    *on_uvloop("protocol_tls", "aiofastnet_tls", "anyio_tls", "easynetwork_tls", "tornado_tls"),
    Candidate("gevent_tls", "gevent"),
    Candidate("trio_tls", "trio"),
    Candidate("twisted_tls", "twisted"),
)
TLS_ECHO_ROW = Row("tls-echo", "TLS echo, 1 kB, 10 connections", Workload("echo", tls=True), (), TLS)
TLS_HANDSHAKE_ROW = Row(
    "tls-handshake", "TLS handshake, echo 64 B, close", Workload("accept", size=64, tls=True), (), TLS
)
IDLE_ROW = IdleRow("idle", f"memory of an idle connection, of {MANY}", MANY, 0, (), IDLE)

SECTIONS: tuple[Section, ...] = (
    echo_section("echo", "TCP echo, 10 connections", 10, EVERYBODY, "rate", "cpu"),
    echo_section("echo-alone", "TCP echo, 1 connection", 1, FASTEST, "rate"),
    echo_section("echo-crowd", "TCP echo, 200 connections", 200, FASTEST, "rate"),
    Section("lines", "Pipelined lines of 64 B, 16 a burst, 10 connections", {"lines": LINES_ROW}),
    Section("accept", "Connect, echo 64 B, close", {"connections": ACCEPT_ROW}),
    Section("tls-echo", "TLS echo of 1 kB, 10 connections", {"messages": TLS_ECHO_ROW}, ("rate", "cpu")),
    Section("tls-handshake", "TLS handshake, echo 64 B, close", {"handshakes": TLS_HANDSHAKE_ROW}),
    Section("udp-echo", "UDP echo of 200 B, 20 peers with 4 in flight", {"datagrams": UDP_ECHO_ROW}),
    Section("udp-receive", "UDP received in bulk, 1200 B", {"datagrams": UDP_RECEIVE_ROW}),
    Section("udp-send", "UDP sent in bulk, 1200 B", {"datagrams": UDP_SEND_ROW}),
    Section(
        "growth",
        "Cost of a 64 B echo as connections grow",
        {f"{count}": growth_row(count) for count in (10, 100, 1000, MANY)},
        ("growth",),
    ),
    Section("idle", f"Memory of an idle connection, of {MANY}", {"KiB": IDLE_ROW}, ("memory",)),
)


def rows() -> list[Row | IdleRow]:
    """Every row of every section, in order."""
    return [row for section in SECTIONS for row in section.columns.values()]
