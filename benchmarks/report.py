"""What people read: text for the terminal."""

from collections.abc import Iterator, Mapping

from benchmarks.candidate import Candidate
from benchmarks.compare import Comparison, Spread

# Below this, neither side had its core to itself: something else ran on the machine.
BUSY = 0.9


def thousands(number: float) -> str:
    """With a space between thousands: 148 000."""
    return f"{number:,.0f}".replace(",", " ")


def machine_lines(facts: Mapping[str, str]) -> Iterator[str]:
    """The machine, a fact a line."""
    return (f"{name:14}{value}" for name, value in facts.items())


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """A table of the candidates, fastest first, and what is to be said about the figures."""
    yield f"{'server':50}{'messages/s':>12}{'spread':>9}{'CPU us/msg':>12}{'of fastest':>12}"
    rates = {candidate: comparison.rate(candidate) for candidate in comparison.samples}
    fastest = max((rate.median for rate in rates.values()), default=0.0)
    for candidate, rate in sorted(rates.items(), key=lambda item: -item[1].median):
        cost = comparison.cost(candidate).median * 1e6
        spread = f"±{rate.width:.0%}"
        line = f"{candidate.title:50}{thousands(rate.median):>12}{spread:>9}{cost:>12.2f}{rate.median / fastest:>12.2f}"
        yield line + remark(comparison, candidate)
    for candidate, failure in comparison.failures.items():
        yield f"{candidate.title:50}not measured: {last_line(failure)}"


def remark(comparison: Comparison, candidate: Candidate) -> str:
    """What limits the trust in a figure, if anything."""
    samples = comparison.samples[candidate]
    server = Spread.of(sample.server_busy for sample in samples).median
    client = Spread.of(sample.client_busy for sample in samples).median
    if max(server, client) < BUSY:
        return "  (disturbed: neither side had its core to itself)"
    if server < BUSY:
        return "  (the load generator was the limit)"
    return ""


def last_line(text: str) -> str:
    """Of a traceback, the line that says what was wrong."""
    return text.strip().splitlines()[-1]
