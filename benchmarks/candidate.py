"""What is compared: a server file on a loop, written `streams@uvloop`; `c` needs no loop."""

import importlib.util
import sys
from pathlib import Path
from typing import Self

import attrs

from benchmarks import native

SERVERS = Path(__file__).parent / "servers"
LOOPS = ("asyncio", "uvloop")
LIBRARIES = frozenset({"aiofastnet", "aionet", "asyncudp", "uvloop"})  # a server file is named for the one it needs

# The names a reader knows; a server file that is not here goes by its own.
TITLES = {
    "aiofastnet_protocol": "Protocol, aiofastnet's transport",
    "aiofastnet_tls": "TLS, Protocol, aiofastnet's transport",
    "aionet_framed": "aionet framed streams",
    "aionet_protocol": "Protocol, aionet's transport",
    "aionet_socket": "aionet AsyncSocket",
    "aionet_streams": "aionet streams",
    "aionet_tls": "TLS, aionet streams",
    "c": "C, epoll",
    "protocol": "Protocol, the loop's transport",
    "sock": "loop.sock_recv, sock_sendall",
    "streams": "asyncio streams",
    "streams_64k": "asyncio streams, 64 KiB reads",
    "udp_aionet": "aionet datagram endpoint",
    "udp_aionet_batches": "aionet datagram endpoint, recv_batch",
    "udp_aionet_protocol": "DatagramProtocol, aionet's transport",
    "udp_aionet_single": "aionet datagram endpoint, one sendto each",
    "udp_asyncudp": "asyncudp",
    "udp_c": "C, epoll",
    "udp_protocol": "DatagramProtocol, the loop's transport",
    "streams_tls": "TLS, asyncio streams",
}


class CandidateError(ValueError):
    """No such server file or loop."""


@attrs.frozen(order=True)
class Candidate:
    """A server file of `benchmarks/servers` and the loop it runs on ("" if it brings its own)."""

    file: str
    loop: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `file@loop`, or from `file` for a program in C."""
        file, _, loop = text.partition("@")
        native_program = (SERVERS / f"{file}.c").exists()
        if not native_program and (file.startswith("_") or not (SERVERS / f"{file}.py").exists()):
            message = f"server {text!r}: expected one of {', '.join(map(str, every()))}"
            raise CandidateError(message)
        if loop not in (("",) if native_program else LOOPS):
            expected = f"{file} alone" if native_program else " or ".join(f"{file}@{name}" for name in LOOPS)
            message = f"server {text!r}: expected {expected}"
            raise CandidateError(message)
        return cls(file, loop)

    def __str__(self) -> str:
        return f"{self.file}@{self.loop}" if self.loop else self.file

    @property
    def title(self) -> str:
        """For people: `asyncio streams, on uvloop`."""
        title = TITLES.get(self.file, self.file)
        return f"{title}, on {self.loop}" if self.loop else title

    @property
    def missing(self) -> str | None:
        """The package that this candidate needs and that is not installed, if any."""
        needed = [name for name in (*self.file.split("_"), self.loop) if name in LIBRARIES]
        return next((name for name in needed if importlib.util.find_spec(name) is None), None)

    def command(self, service: str) -> list[str]:
        """The command that runs the server."""
        if not self.loop:
            return [str(native.build(f"servers/{self.file}.c"))]
        return [sys.executable, "-m", "benchmarks.servers", self.file, service, "--loop", self.loop]


def every() -> list[Candidate]:
    """All that there are."""
    python = sorted(path.stem for path in SERVERS.glob("*.py") if not path.stem.startswith("_"))
    programs = sorted(path.stem for path in SERVERS.glob("*.c"))
    return [Candidate(file, loop) for file in python for loop in LOOPS] + [Candidate(file) for file in programs]
