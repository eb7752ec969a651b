"""What a run found, in a form that can be kept: a file of JSON that says how it came about."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self, cast

import attrs

from aionet.bench.histogram import Histogram
from aionet.bench.machine import Machine, Worker, versions
from aionet.bench.plan import Plan
from aionet.bench.slot import Datagrams
from aionet.bench.tally import Point, Tally
from aionet.errors import AionetError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["PERCENTILES", "Results", "ResultsError"]

PERCENTILES: Final = (50.0, 75.0, 90.0, 99.0, 99.9, 99.99)

_FORMAT: Final = "aionet bench results"
_VERSION: Final = 1

# So many values above a percentile make it a figure; with fewer it is a matter of chance.
_VALUES_ABOVE: Final = 10


class ResultsError(AionetError, ValueError):
    """A file holds no results, or not all of them, or those of another version."""


@attrs.frozen(kw_only=True)
class Results:
    """All that was measured, how, and where.

    ``began`` is the time in ISO 8601, ``seconds`` how long was measured. The counts are those of the measurement;
    ``late_replies`` came after it and are among the latencies only. ``latency`` is that of replies, ``lag`` how late
    messages left by the schedule, ``setup`` how long connections took to be ready. ``client_cpu`` is in cores, that of
    the busiest generator, ``server_cpu`` likewise, None where nobody looked. ``failures`` says which generators did not
    live to the end, and ``tls`` what was agreed on. ``workers`` are those of a cluster; ``machine`` and ``versions``
    are then those of the machine that conducted the run.
    """

    plan: Plan
    command: str
    began: str
    machine: Machine
    versions: dict[str, str]
    loop: str
    generators: int
    seconds: float
    replies: int
    late_replies: int
    sent: int
    bytes_sent: int
    bytes_received: int
    connected: int
    resumed: int
    points: list[Point]
    latency: Histogram = attrs.field(eq=False)
    lag: Histogram = attrs.field(eq=False)
    setup: Histogram = attrs.field(eq=False)
    errors: Counter[str]
    datagrams: Datagrams
    client_cpu: float
    server_cpu: float | None
    interrupted: bool
    failures: list[str]
    tls: str | None
    workers: list[Worker] = attrs.field(factory=list[Worker])

    @classmethod
    def of(
        cls,
        plan: Plan,
        tally: Tally,
        *,
        command: str,
        began: str,
        machine: Machine,
        loop: str,
        server_cpu: float | None = None,
        interrupted: bool = False,
        failures: Sequence[str] = (),
        tls: str | None = None,
    ) -> Self:
        """Make results of what all generators have counted, wherever they ran.

        Raises MissingExtraError where the package ``hdrhistogram`` is not installed.
        """
        points = tally.settled()
        seconds = sum(point.seconds for point in points)
        jitter = sum(tally.jitters) / len(tally.jitters) if tally.jitters else 0.0
        return cls(
            plan=plan,
            command=command,
            began=began,
            machine=machine,
            versions=versions(),
            loop=loop,
            generators=plan.processes,
            seconds=seconds,
            replies=sum(point.replies for point in points),
            late_replies=tally.late_replies,
            sent=sum(point.sent for point in points),
            bytes_sent=sum(point.bytes_sent for point in points),
            bytes_received=sum(point.bytes_received for point in points),
            connected=tally.connected,
            resumed=tally.resumed,
            points=points,
            latency=Histogram(tally.latency),
            lag=Histogram(tally.lag),
            setup=Histogram(tally.setup),
            errors=tally.errors,
            datagrams=attrs.evolve(tally.datagrams, jitter=jitter),
            client_cpu=sum(point.client_cpu * point.seconds for point in points) / seconds if seconds else 0.0,
            server_cpu=server_cpu,
            interrupted=interrupted,
            failures=list(failures),
            tls=tls,
        )

    @property
    def rate(self) -> float:
        """Replies a second; in mode connect, connections."""
        return self.replies / self.seconds if self.seconds else 0.0

    @property
    def loss(self) -> float:
        """The part of the datagrams that had no reply in time."""
        answered = self.replies + self.late_replies
        asked = answered + self.datagrams.lost
        return self.datagrams.lost / asked if asked else 0.0

    @property
    def failed(self) -> int:
        """How many errors of all kinds."""
        return self.errors.total()

    @property
    def server_cost(self) -> float | None:
        """Seconds of the server's CPU a reply; None where nobody looked."""
        return None if self.server_cpu is None or not self.rate else self.server_cpu / self.rate

    def supports(self, percentile: float) -> bool:
        """Whether there are enough values for that percentile to be more than chance."""
        return round(self.latency.count * (100 - percentile) / 100, 6) >= _VALUES_ABOVE

    def as_json(self) -> dict[str, Any]:
        """The results as JSON, with what people look for first in plain figures."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "summary": self._summary(),
            "plan": self.plan.as_json(),
            "machine": attrs.asdict(self.machine),
            "workers": [attrs.asdict(worker) for worker in self.workers],
            "datagrams": attrs.asdict(self.datagrams),
            "points": [point.as_json() for point in self.points],
            **{name: getattr(self, name).encode() for name in _HISTOGRAMS},
            "errors": dict(self.errors.most_common()),
            **{name: getattr(self, name) for name in _PLAIN},
        }

    def _summary(self) -> dict[str, Any]:
        latency = self.latency
        return {
            "rate_per_second": round(self.rate, 1),
            "latency_us": {f"p{percent:g}": latency.percentile(percent) / 1e3 for percent in PERCENTILES}
            | {"max": latency.max / 1e3, "mean": round(latency.mean / 1e3, 3)},
            "errors": self.failed,
            "loss": self.loss,
        }

    @classmethod
    def from_json(cls, whole: object) -> Self:
        """Make results of their JSON.

        Raises ResultsError that says what is wrong with it.
        """
        given = cast("dict[str, Any]", whole)
        if not isinstance(whole, dict) or given.get("format") != _FORMAT:
            raise ResultsError("these are no results of aionet bench")
        if given.get("version") != _VERSION:
            raise ResultsError(f"results of version {given.get('version')!r}: expected version {_VERSION}")
        try:
            return cls(
                plan=Plan.from_json(given["plan"]),
                machine=Machine(**given["machine"]),
                workers=[Worker.from_json(worker) for worker in given.get("workers", ())],
                datagrams=Datagrams(**given["datagrams"]),
                points=[Point.from_json(point) for point in given["points"]],
                latency=Histogram.decode(given["latency"]),
                lag=Histogram.decode(given["lag"]),
                setup=Histogram.decode(given["setup"]),
                errors=Counter(given["errors"]),
                **{name: given[name] for name in _PLAIN},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
            raise ResultsError(f"the results are damaged: {what}") from error

    def save(self, path: Path) -> None:
        """Write the results to a file, all of them or none."""
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(json.dumps(self.as_json(), indent=1) + "\n")
        fresh.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the results that were saved.

        Raises ResultsError that names the file and what is wrong with it.
        """
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "no text"
            raise ResultsError(f"{path}: {why}") from error
        try:
            return cls.from_json(json.loads(text))
        except json.JSONDecodeError as error:
            ends_in_the_middle = text.startswith("{") and not text.endswith("}\n")
            why = "truncated: the JSON ends in the middle" if ends_in_the_middle else f"no JSON: {error}"
            raise ResultsError(f"{path}: {why}") from error
        except ResultsError as error:
            raise ResultsError(f"{path}: {error}") from error

    def rates(self) -> list[float]:
        """The rate of each slot, those left out that were cut short by Ctrl-C."""
        if not self.points:
            return []
        # Half of the usual: one slot that is long, since the generator was held up, must not leave out all others.
        least = statistics.median(point.seconds for point in self.points) / 2
        return [point.rate for point in self.points if point.seconds >= least]


_HISTOGRAMS: Final = ("latency", "lag", "setup")
_PLAIN: Final = (
    "command",
    "began",
    "versions",
    "loop",
    "generators",
    "seconds",
    "replies",
    "late_replies",
    "sent",
    "bytes_sent",
    "bytes_received",
    "connected",
    "resumed",
    "client_cpu",
    "server_cpu",
    "interrupted",
    "failures",
    "tls",
)
