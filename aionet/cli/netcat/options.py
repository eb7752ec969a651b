"""The options that ``aionet connect`` and ``aionet listen`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import click

from aionet.cli.events import Events
from aionet.cli.netcat.lines import LINE_ENDINGS
from aionet.cli.netcat.session import Ends, Until
from aionet.cli.parameters import SECONDS, json_option, loop_option
from aionet.cli.stdio import StandardInput, StandardOutput
from aionet.options import LARGEST_DATAGRAM, Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Netcat", "netcat_options"]


@attrs.frozen(kw_only=True)
class Netcat:
    """What was asked for, of either command."""

    timeout: float | None
    idle: float | None
    until: str | None
    eol: str | None
    wait: float
    datagram_size: int
    verbose: bool
    as_json: bool

    def timeouts(self) -> Timeouts:
        """Return the timeouts of the streams."""
        return Timeouts(connect=self.timeout or Timeouts().connect, idle=self.idle)

    def ends(self, *, datagrams: bool = False) -> Ends:
        """Return our ends of the connection.

        At a terminal the peer's end is the end of it all, unless it was asked otherwise: who reads there that nobody
        listens any more should not have to type an end of file.
        """
        stdin = StandardInput()
        until = Until(self.until) if self.until else Until.PEER if stdin.is_terminal and not datagrams else Until.BOTH
        return Ends(stdin, StandardOutput(), until, LINE_ENDINGS[self.eol] if self.eol else None)

    def events(self) -> Events:
        """Return what says what happens."""
        return Events(as_json=self.as_json, verbose=self.verbose)


def netcat_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that both commands have."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
    click.option("--idle", type=SECONDS, help="Break off when nothing comes or leaves for so many seconds."),
    click.option(
        "--until",
        type=click.Choice([each.value for each in Until]),
        help="Whose end ends the connection; stdin's is sent in any case.  [default: both; peer at a terminal]",
    ),
    click.option(
        "--eol",
        type=click.Choice(list(LINE_ENDINGS)),
        help="Line mode: what each line of stdin, ended by LF or CR LF, ends with when it leaves.",
    ),
    click.option(
        "--wait",
        type=click.FloatRange(min=0),
        default=1.0,
        show_default=True,
        help="UDP: end when, after the end of stdin, nothing has come for so many seconds.",
    ),
    click.option(
        "--datagram-size",
        type=click.IntRange(1, LARGEST_DATAGRAM),
        default=8192,
        show_default=True,
        help="UDP: what stdin brings at a time is one datagram, of so many bytes at most.",
    ),
    click.option("-v", "--verbose", is_flag=True, help="Say who connects and disconnects, on stderr."),
    json_option("Say what happens as lines of JSON, on stderr."),
    loop_option,
]
