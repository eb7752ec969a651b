"""The command ``aionet`` and its subcommands: each is a click command in a module of its own, named here."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from aionet.cli.status import INTERRUPTED

__all__ = ["main"]

# Where each command is. It is imported when it is used: to draw tables takes libraries that netcat has no use for, and
# that take a third of its start.
_COMMANDS: Final = {
    "bench": "aionet.cli.bench.command:bench",
    "completion": "aionet.cli.completion:completion",
    "connect": "aionet.cli.netcat.connect:connect_command",
    "demo": "aionet.cli.demo.command:demo",
    "doctor": "aionet.cli.doctor.command:doctor",
    "listen": "aionet.cli.netcat.listen:listen_command",
    "serve": "aionet.cli.serve.command:serve_command",
}


class _Commands(click.Group):
    """A group that imports its commands when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """As click.Group.invoke; click would make status 1 of Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("aionet: interrupted", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aionet", message="%(package)s %(version)s")
def main() -> None:
    """Networking for asyncio, from the command line.

    Every command ends with status 0 when it did what it was asked, 1 when something failed, 2 when it was called
    wrongly or a library is missing, 130 after Ctrl-C, and 143 after SIGTERM.
    """
