"""The command ``aionet`` and its subcommands: each is a click command in a module of its own, added here."""

from __future__ import annotations

import click

from aionet.cli.completion import completion
from aionet.cli.demo.command import demo
from aionet.cli.doctor.command import doctor
from aionet.cli.netcat.connect import connect_command
from aionet.cli.netcat.listen import listen_command
from aionet.cli.serve.command import serve_command

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aionet", message="%(package)s %(version)s")
def main() -> None:
    """Networking for asyncio, from the command line.

    Every command ends with status 0 when it did what it was asked, 1 when something failed, 2 when it was called
    wrongly or a library is missing, 130 after Ctrl-C, and 143 after SIGTERM.
    """


main.add_command(demo)
main.add_command(connect_command)
main.add_command(listen_command)
main.add_command(serve_command)
main.add_command(doctor)
main.add_command(completion)
