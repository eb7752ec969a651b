"""The command ``aionet bench``."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aionet.bench.cluster import FORMS, measure_on
from aionet.bench.conduct import measure
from aionet.cli.bench.compare import compare
from aionet.cli.bench.live import observer
from aionet.cli.bench.options import CONDITION, FAIL_ON_HELP, load_options, plan_of
from aionet.cli.bench.summary import summary
from aionet.cli.console import output, progress_output
from aionet.cli.status import FAILED, INTERRUPTED
from aionet.errors import AionetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aionet.bench.conditions import Condition
    from aionet.bench.results import Results

__all__ = ["bench"]


class _Bench(click.Group):
    """A group whose first argument is an endpoint, if it is not the name of one of its commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click.Group.parse_args."""
        if not args or args[0] not in self.commands:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Bench)
def bench() -> None:
    """Measure how fast a server really is.

    aionet bench ENDPOINT drives a server; aionet bench compare A B tells which of two is faster.
    """


class _RunContext(click.Context):
    """Called as its group is: nobody has to say ``run``."""

    @property
    def command_path(self) -> str:
        """As click.Context.command_path."""
        return self.parent.command_path if self.parent is not None else super().command_path


class _Run(click.Command):
    """What the group does where its first argument is an endpoint."""

    context_class = _RunContext

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click.Command.format_usage."""
        formatter.write_usage(ctx.command_path, "[OPTIONS] ENDPOINT")
        formatter.write_usage(ctx.command_path, "compare [OPTIONS] A B", prefix="       ")


@bench.command(cls=_Run, hidden=True)
@click.argument("endpoint")
@load_options
@click.option(
    "--cluster",
    help=f"Generate on every worker of a Dask cluster: {FORMS}. --processes is then how many generators on each.",
)
@click.option("--pid", "pids", type=int, multiple=True, help="The server's process on this machine: its CPU is shown.")
@click.option("--fail-on", "conditions", type=CONDITION, multiple=True, metavar="CONDITION", help=FAIL_ON_HELP)
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), help="Write the results to a file, as JSON.")
@click.option(
    "--hgrm", type=click.Path(path_type=Path), help="Write the latencies as HdrHistogram's plotters take them."
)
@click.option("--report", type=click.Path(path_type=Path), help="Write a page with plots, all in one HTML file.")
@click.option("--plots", type=click.Path(path_type=Path), help="Write the plots to a folder, as PNG and SVG.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Show nothing while it measures.")
def run(
    cluster: str | None,
    pids: Sequence[int],
    conditions: Sequence[Condition],
    file: Path | None,
    hgrm: Path | None,
    report: Path | None,
    plots: Path | None,
    *,
    as_json: bool,
    quiet: bool,
    **options: Any,  # noqa: ANN401 - those of load_options
) -> None:
    """Drive the server at ENDPOINT and tell how it did.

    ENDPOINT is tcp://host:port, tls://host:port, unix:/path or udp://host:port.

    Without --rate it is a closed loop: each connection sends when it is answered. That tells what a server can do, and
    hides how long others would have waited. With --rate it is an open loop, and every latency counts from when the
    message was due.

    What was measured, how, and what speaks against the figures is shown in the end. Ctrl-C ends early and shows what
    was measured until then.
    """
    for path in (file, hgrm, report):
        _must_be_writable(path)
    plan = plan_of(**options)
    with observer(progress_output(), quiet=quiet) as shown:
        if cluster is None:
            results = measure(plan, command=_command_line(), pids=pids, observer=shown)
        else:
            results = measure_on(cluster, plan, command=_command_line(), pids=pids, observer=shown)
    if file is not None:
        results.save(file)
    if hgrm is not None:
        hgrm.write_text(results.latency.hgrm())
    if as_json:
        click.echo(json.dumps(results.as_json(), indent=2))
    else:
        output().print(summary(results))
    _draw(results, report, plots)
    _leave(results, conditions)


def _must_be_writable(path: Path | None) -> None:
    """Say so now, and not after the measurement."""
    if path is not None and not path.absolute().parent.is_dir():
        raise AionetError(f"{path}: there is no folder {path.absolute().parent}")


def _command_line() -> str:
    return shlex.join(["aionet", *sys.argv[1:]])


def _draw(results: Results, report: Path | None, plots: Path | None) -> None:
    if report is None and plots is None:
        return
    from aionet.bench.page import page  # noqa: PLC0415 - matplotlib takes a second to import, and may be missing
    from aionet.bench.plots import save  # noqa: PLC0415

    if plots is not None:
        save(results, plots)
    if report is not None:
        report.write_text(page(results), encoding="utf-8")


def _leave(results: Results, conditions: Sequence[Condition]) -> None:
    broken = [str(condition) for condition in conditions if condition.broken_by(results)]
    if broken:
        progress_output().print(f"failed on: {', '.join(broken)}", style="bold red", soft_wrap=True)
        sys.exit(FAILED)
    if results.interrupted:
        sys.exit(INTERRUPTED)
    if not results.replies and not results.late_replies:
        raise AionetError(f"{results.plan.endpoint}: nothing came back")


bench.add_command(compare)
