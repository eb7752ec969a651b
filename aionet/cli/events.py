"""What a command says of its connections while it runs: on stderr, for people or, as lines of JSON, for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aionet.address import Address

__all__ = ["Events", "counted"]


class Events:
    """Says what happens: in words, and then only what was asked for; or as JSON, and then all of it."""

    def __init__(self, *, as_json: bool, verbose: bool) -> None:
        self._as_json = as_json
        self._verbose = verbose

    def say(self, event: str, words: str, *, always: bool = False, **facts: object) -> None:
        """Say that something happened: ``words`` to people, the name of the event and its facts to programs."""
        if self._as_json:
            click.echo(json.dumps({"event": event, **facts}), err=True)
        elif self._verbose or always:
            click.echo(words, err=True)

    def listening(self, addresses: Iterable[Address]) -> None:
        """Say where clients can connect to; always, since the system may have chosen the port."""
        listed = [str(each) for each in addresses]
        self.say("listening", f"listening on {', '.join(listed)}", always=True, addresses=listed)

    def failed(self, error: Exception) -> None:
        """Say why a connection failed, where the command goes on."""
        self.say("failed", f"aionet: {error}", always=True, error=str(error))


def counted(count: int, thing: str) -> str:
    """Return such as "1 connection" or "2 connections"."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
