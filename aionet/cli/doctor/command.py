"""The command ``aionet doctor``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import attrs
import click
from rich.table import Table
from rich.text import Text

from aionet.cli.console import output
from aionet.cli.doctor.features import features
from aionet.cli.doctor.finding import Finding, Verdict
from aionet.cli.doctor.limits import limits
from aionet.cli.doctor.versions import versions
from aionet.cli.parameters import json_option

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["doctor"]

_STYLES: Final = {Verdict.OK: "green", Verdict.LIMITED: "yellow", Verdict.UNKNOWN: "dim"}


@click.command(short_help="Say what holds aionet back on this system.")
@json_option("Print what was found as JSON.")
def doctor(*, as_json: bool) -> None:
    """Look at this system: what aionet finds here, what holds it back, and what to do about it.

    Nothing is assumed: the kernel is asked, or tried with sockets on the loopback interface. Nothing is changed. The
    limits are those of this process: a server started otherwise, by systemd or in a container, may have others.
    """
    found = {"versions": versions(), "features": features(), "limits": limits()}
    if as_json:
        facts = {group: [attrs.asdict(each) for each in findings] for group, findings in found.items()}
        click.echo(json.dumps(facts, indent=2))
        return
    console = output()
    for group, findings in found.items():
        console.print(_table(group, findings))
    limited = sum(each.verdict is Verdict.LIMITED for findings in found.values() for each in findings)
    console.print(_summary(limited))


def _table(group: str, findings: list[Finding]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=21, no_wrap=True)
    table.add_column(width=7, no_wrap=True)
    table.add_column(ratio=1)
    table.title, table.title_justify, table.title_style = group.capitalize(), "left", "bold"
    for each in findings:
        explained = Text(f"{each.shown}: " if each.shown else "").append(each.means, "dim")
        if each.advice:
            explained.append(f"\ntry: {each.advice}", "bold")
        table.add_row(f"  {each.name}", Text(each.verdict, _STYLES[each.verdict]), explained)
    return table


def _summary(limited: int) -> Text:
    if not limited:
        return Text("Nothing here holds aionet back.")
    things = "1 thing is" if limited == 1 else f"{limited} things are"
    return Text(f"{things} limited. Beside each it says what that costs, and below what to try.")
