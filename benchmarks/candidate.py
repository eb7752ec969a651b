"""What is compared: a server file on a loop, written `streams@uvloop`; `c` needs no loop."""

import importlib.util
import sys
from pathlib import Path
from typing import Self

import attrs

from benchmarks import native

SERVERS = Path(__file__).parent / "servers"
LOOPS = ("asyncio", "uvloop")

# Libraries that bring a loop of their own: their servers, as their names say, run on that and on no other.
OWN_LOOPS = ("gevent", "trio", "twisted")

ASYNCIO_ONLY = ("udp_sock",)  # uvloop has no sock_recvfrom

# What a part of a server's name stands for, if that is a package that may be missing.
PACKAGES = {
    "aiofastnet": "aiofastnet",
    "aionet": "aionet",
    "anyio": "anyio",
    "asyncudp": "asyncudp",
    "dgram": "asyncio_dgram",
    "easynetwork": "easynetwork",
    "gevent": "gevent",
    "tornado": "tornado",
    "trio": "trio",
    "twisted": "twisted",
    "uvloop": "uvloop",
}

# The names a reader knows; a server file that is not here goes by its own.
TITLES = {
    "aiofastnet_protocol": "Protocol, aiofastnet's transport",
    "aiofastnet_tls": "TLS, Protocol, aiofastnet's transport",
    "aionet_framed": "aionet framed streams",
    "aionet_protocol": "Protocol, aionet's transport",
    "aionet_socket": "aionet AsyncSocket",
    "aionet_streams": "aionet streams",
    "aionet_tls": "TLS, aionet streams",
    "anyio": "anyio streams",
    "anyio_tls": "TLS, anyio streams",
    "c": "C, epoll",
    "easynetwork": "EasyNetwork's TCP server",
    "easynetwork_tls": "TLS, EasyNetwork's TCP server",
    "gevent": "gevent's StreamServer",
    "protocol": "Protocol, the loop's transport",
    "sock": "loop.sock_recv, sock_sendall",
    "streams": "asyncio streams",
    "streams_64k": "asyncio streams, 64 KiB reads",
    "gevent_tls": "TLS, gevent's StreamServer",
    "protocol_tls": "TLS, Protocol, the loop's transport",
    "streams_tls": "TLS, asyncio streams",
    "tornado": "Tornado's IOStream",
    "trio": "trio streams",
    "twisted": "Twisted's Protocol",
    "twisted_tls": "TLS, Twisted's Protocol",
    "tornado_tls": "TLS, Tornado's IOStream",
    "trio_tls": "TLS, trio streams",
    "udp_aionet": "aionet datagram endpoint",
    "udp_aionet_batches": "aionet datagram endpoint, recv_batch",
    "udp_aionet_peers": "aionet datagram endpoint, a thousand peers",
    "udp_aionet_protocol": "DatagramProtocol, aionet's transport",
    "udp_aionet_sessions": "aionet serve_datagram",
    "udp_aionet_single": "aionet datagram endpoint, one sendto each",
    "udp_anyio": "anyio's UDP socket",
    "udp_asyncudp": "asyncudp",
    "udp_c": "C, epoll",
    "udp_dgram": "asyncio_dgram",
    "udp_easynetwork": "EasyNetwork's UDP server",
    "udp_gevent": "gevent's DatagramServer",
    "udp_protocol": "DatagramProtocol, the loop's transport",
    "udp_sock": "loop.sock_recvfrom, sock_sendto",
    "udp_trio": "trio's sockets",
    "udp_twisted": "Twisted's DatagramProtocol",
}


class CandidateError(ValueError):
    """No such server file or loop."""


@attrs.frozen(order=True)
class Candidate:
    """A server file of `benchmarks/servers` and the loop it runs on ("" for a program in C)."""

    file: str
    loop: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `file@loop`, or from `file` alone where it runs on one loop only, or is a program in C."""
        file, _, loop = text.partition("@")
        if file.startswith("_") or not any((SERVERS / f"{file}{kind}").exists() for kind in (".c", ".py")):
            message = f"server {text!r}: expected one of {', '.join(map(str, every()))}"
            raise CandidateError(message)
        loops = loops_of(file)
        if not loop and len(loops) == 1:
            return cls(file, loops[0])
        if loop not in loops or not loop:
            expected = " or ".join(str(cls(file, name)) for name in loops)
            message = f"server {text!r}: expected {f'{file} alone' if loops == ('',) else expected}"
            raise CandidateError(message)
        return cls(file, loop)

    def __str__(self) -> str:
        return f"{self.file}@{self.loop}" if self.loop else self.file

    @property
    def title(self) -> str:
        """For people: `asyncio streams, on uvloop`."""
        title = TITLES.get(self.file, self.file)
        return f"{title}, on {self.loop}" if self.loop in LOOPS else title

    @property
    def ours(self) -> bool:
        """Whether it is aionet that is measured."""
        return "aionet" in self.file.split("_")

    @property
    def missing(self) -> str | None:
        """The package that this candidate needs and that is not installed, if any."""
        needed = [PACKAGES[part] for part in (*self.file.split("_"), self.loop) if part in PACKAGES]
        return next((name for name in needed if importlib.util.find_spec(name) is None), None)

    def command(self, service: str) -> list[str]:
        """The command that runs the server."""
        if not self.loop:
            return [str(native.build(f"servers/{self.file}.c"))]
        return [sys.executable, "-m", "benchmarks.servers", self.file, service, "--loop", self.loop]


def loops_of(file: str) -> tuple[str, ...]:
    """The loops that a server file runs on; "" for a program in C."""
    if (SERVERS / f"{file}.c").exists():
        return ("",)
    if file in ASYNCIO_ONLY:
        return ("asyncio",)
    own = [loop for loop in OWN_LOOPS if loop in file.split("_")]
    return tuple(own) or LOOPS


def every() -> list[Candidate]:
    """All that there are."""
    files = sorted(path.stem for path in SERVERS.glob("*.py") if not path.stem.startswith("_"))
    programs = sorted(path.stem for path in SERVERS.glob("*.c"))
    return [Candidate(file, loop) for file in (*files, *programs) for loop in loops_of(file)]
