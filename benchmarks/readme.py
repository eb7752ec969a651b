"""The table of the README, in Markdown."""

from collections.abc import Iterable, Iterator, Mapping

from benchmarks.rows import Result


def markdown_lines(facts: Mapping[str, str], results: Iterable[Result]) -> Iterator[str]:
    """The table, and the machine below it."""
    yield "| work | aionet | | beside | | times as fast | mark |"
    yield "|---|---|--:|---|--:|--:|--:|"
    for result in results:
        for verdict in result.verdicts:
            ratio = verdict.measured.partition(" (")[0] if verdict.peer else ""  # without the spread
            yield (
                f"| {result.title} | {verdict.ours} | {verdict.our_figure} "
                f"| {verdict.peer} | {verdict.peer_figure} | {ratio} | {verdict.mark} |"
            )
    yield ""
    yield f"Messages a second, medians; {'; '.join(f'{name}: {value}' for name, value in facts.items())}."
