"""The command ``aionet completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]

_SHELLS = ["bash", "zsh", "fish"]


@click.command(short_help="Print completions for a shell.")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    r"""Print what makes a shell complete the commands and options of aionet.

    \b
    bash  echo 'eval "$(aionet completion bash)"' >> ~/.bashrc
    zsh   echo 'eval "$(aionet completion zsh)"' >> ~/.zshrc
    fish  aionet completion fish > ~/.config/fish/completions/aionet.fish
    """
    made = get_completion_class(shell)
    assert made is not None, "click knows every shell of _SHELLS"  # noqa: S101 - for the type checkers
    click.echo(made(context.find_root().command, {}, "aionet", "_AIONET_COMPLETE").source())
