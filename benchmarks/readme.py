"""The table of the README, in Markdown."""

from collections.abc import Iterable, Iterator, Mapping

from benchmarks.rows import Result


def markdown_lines(facts: Mapping[str, str], results: Iterable[Result]) -> Iterator[str]:
    """The table, and the machine below it."""
    yield "| work | aionet | | beside | | times as fast | by CPU | mark |"
    yield "|---|---|--:|---|--:|--:|--:|--:|"
    for result in results:
        for verdict in result.verdicts:
            ratio = verdict.measured.partition(" (")[0] if verdict.peer else ""  # without the spread
            by_cpu = verdict.by_cpu.removeprefix("by CPU ")
            yield (
                f"| {result.title} | {verdict.ours} | {verdict.our_figure} "
                f"| {verdict.peer} | {verdict.peer_figure} | {ratio} | {by_cpu} | {verdict.mark} |"
            )
    yield ""
    means = "Messages a second, medians; by CPU: the ratio of the servers' CPU time a message"
    yield f"{means}; {'; '.join(f'{name}: {value}' for name, value in facts.items())}."
