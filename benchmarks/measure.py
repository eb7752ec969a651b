"""One measurement: a server in a process on one core, the load generator in another on another core."""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, cast

import attrs

from benchmarks import native
from benchmarks.candidate import Candidate

Mode = Literal["echo", "lines", "prefixed", "accept", "hold", "udp_echo", "udp_receive", "udp_send"]

ROOT = Path(__file__).parent.parent
# Debian, Ubuntu: apt install libssl-dev. Only the rows about TLS need it.
TLS_FLAGS = ("-DTLS", "-lssl", "-lcrypto")
PATIENCE = 15.0  # seconds for a process to leave; only a broken one needs them


class BenchmarkError(Exception):
    """A server or the load generator failed; the message holds what it said."""


@attrs.frozen
class Workload:
    """What the load generator does; times in seconds, sizes in bytes."""

    mode: Mode
    size: int = 1000
    connections: int = 10
    burst: int = 16
    warmup: float = 0.5
    seconds: float = 2.0
    tls: bool = False

    @property
    def service(self) -> str:
        """What the server has to offer."""
        return self.mode if self.mode in {"lines", "prefixed"} or self.datagrams else "echo"

    @property
    def datagrams(self) -> bool:
        """Whether it is about UDP, which has a load generator of its own."""
        return self.mode.startswith("udp_")

    def arguments(self) -> list[str]:
        """The load generator's command line."""
        named = {name: value for name, value in attrs.asdict(self).items() if name not in {"mode", "tls"}}
        return [self.mode, *(word for name, value in named.items() for word in (f"--{name}", str(value)))]


@attrs.frozen
class Sample:
    """What one measurement found."""

    messages: int
    seconds: float
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


def cores() -> tuple[int, int]:
    """The core for the server and the one for the load generator: the same one if there is no other."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[min(1, len(usable) - 1)]


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """What is started in here runs on that core: a child inherits the mask, whatever language it is written in."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Program:
    """A child process that speaks in lines of JSON; its stdin's end tells it to leave."""

    def __init__(self, command: list[str], core: int) -> None:
        """Start it on that core."""
        self.name = " ".join(command)
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  not a pipe: a full one would stop a talkative server
        with pinned(core):
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, cwd=ROOT, text=True
            )
        self.input = cast("IO[str]", self.process.stdin)
        self.output = cast("IO[str]", self.process.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.finish()
        except BenchmarkError as own:
            if error is None:
                raise
            if str(own) not in str(error):
                error.add_note(str(own))  # what a server said is often why the client failed
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.errors.close()

    def hear(self) -> dict[str, Any]:
        """The next line it prints."""
        line = self.output.readline()
        if not line:
            self.finish()
            message = f"{self.name}: ended without an answer"
            raise BenchmarkError(message)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self) -> dict[str, Any]:
        """Send a line and hear the answer."""
        self.input.write("\n")
        self.input.flush()
        return self.hear()

    def finish(self) -> None:
        """End its stdin and wait until it has left, which it must do without a complaint."""
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired as error:
            message = f"{self.name}: still there {PATIENCE:g} s after the end of its stdin"
            raise BenchmarkError(message) from error
        self.errors.seek(0)
        said = self.errors.read(4096)
        if self.process.returncode != 0 or said:
            message = f"{self.name}: status {self.process.returncode}\n{said}"
            raise BenchmarkError(message)


def load(address: str, workload: Workload, server: int, core: int) -> Program:
    """The load generator, started."""
    source, flags = ("datagrams.c", ()) if workload.datagrams else ("load.c", TLS_FLAGS if workload.tls else ())
    program = native.build(source, flags=flags)
    command = [str(program), *workload.arguments(), "--address", address, "--server", str(server)]
    return Program(command, core)


@contextlib.contextmanager
def serving(candidate: Candidate, service: str) -> Iterator[Callable[[Workload], Sample]]:
    """Run the candidate's server; yield a function that drives it once.

    Raises:
        BenchmarkError: with what the server or the load generator said.

    """
    server_core, client_core = cores()
    with Program(candidate.command(service), server_core) as server:
        address = server.hear()["address"]

        def drive(workload: Workload) -> Sample:
            with load(address, workload, server.process.pid, client_core) as client:
                return Sample(**client.hear())

        yield drive


def measure(candidate: Candidate, workload: Workload) -> Sample:
    """Start the candidate's server, drive it once, and end it. Raises as serving."""
    with serving(candidate, workload.service) as drive:
        return drive(workload)
