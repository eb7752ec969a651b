"""The file of a comparison: written as each row ends, so that an interrupted run keeps what it has, and read again."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import attrs

from benchmarks.candidate import Candidate
from benchmarks.compare import Comparison, Spread
from benchmarks.measure import Sample, Workload
from benchmarks.rows import Result, Timing

DIRECTORY = Path(__file__).parent / "results"
COMPARISON = DIRECTORY / "comparison.json"
PART = DIRECTORY / "part.json"  # of a run that was quick, or of some rows only: nothing to keep
FORMAT = 1


class ResultsError(ValueError):
    """A file that is not there, is cut short, or is no comparison of this format."""


def write(path: Path, machine: Mapping[str, str], timing: Timing, results: Iterable[Result]) -> None:
    """Write all that was found, in one step: nobody reads half a file."""
    rows = [{"name": result.name, "title": result.title, **result.figures} for result in results]
    found = {"format": FORMAT, "machine": dict(machine), "timing": attrs.asdict(timing), "rows": rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".part")
    fresh.write_text(json.dumps(found, indent=1) + "\n")
    fresh.replace(path)


@attrs.frozen
class Results:
    """A comparison that was measured."""

    machine: dict[str, str]
    timing: Timing
    rates: dict[str, Comparison]
    memory: dict[str, dict[Candidate, Spread]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a file.

        Raises:
            ResultsError: what is wrong with it.

        """
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise ResultsError(f"{path}: {error}") from error
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ResultsError(f"{path}: expected the results of a comparison in format {FORMAT}")
        rows = {row["name"]: row for row in found["rows"]}
        return cls(
            found["machine"],
            Timing(**found["timing"]),
            {name: comparison(row) for name, row in rows.items() if "workload" in row},
            {name: memory(row) for name, row in rows.items() if "workload" not in row},
        )


def comparison(row: Mapping[str, Any]) -> Comparison:
    """A row of messages, as compare() gave it."""
    samples = {Candidate.parse(name): [Sample(**one) for one in them] for name, them in row["samples"].items()}
    failures = {Candidate.parse(name): failure for name, failure in row["failures"].items()}
    return Comparison(Workload(**row["workload"]), samples, failures)


def memory(row: Mapping[str, Any]) -> dict[Candidate, Spread]:
    """A row of bytes for each idle connection."""
    measured = {name: figures for name, figures in row["samples"].items() if name not in row["failures"]}
    return {Candidate.parse(name): Spread.of(figures) for name, figures in measured.items()}
