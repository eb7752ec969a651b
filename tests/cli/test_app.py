"""The command line itself."""

import re
import subprocess
import sys
from importlib import metadata

import click
import pytest

from aionet.cli.app import main
from tests.pages import ROOT

REFERENCE = (ROOT / "docs" / "reference" / "command-line.md").read_text()


def aionet(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aionet", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_names_the_commands() -> None:
    result = aionet("--help")
    assert result.returncode == 0
    assert "python -m aionet [OPTIONS] COMMAND" in result.stdout
    assert "..." not in result.stdout.partition("Commands:")[2]  # each line says all that it has to say
    assert re.search(r"^  bench +Measure how fast a server really is\.$", result.stdout, re.MULTILINE)
    assert re.search(
        r"^  demo +Measure aionet's streams and datagrams beside asyncio's own\.$", result.stdout, re.MULTILINE
    )


def test_help_of_a_command_names_its_options_and_their_defaults() -> None:
    result = aionet("demo", "-h")
    assert result.returncode == 0
    for option in ("--connections", "--size", "--seconds", "--rounds", "--loop", "--json"):
        assert option in result.stdout
    assert "[default: 1000;" in result.stdout


def test_version_is_that_of_the_package() -> None:
    result = aionet("--version")
    assert (result.returncode, result.stdout) == (0, f"aionet {metadata.version('aionet')}\n")


def test_a_command_imports_nothing_of_the_others() -> None:
    program = (
        "import atexit, sys; from aionet.__main__ import main;"
        "atexit.register(lambda: sys.stderr.write(' '.join(sys.modules))); main()"
    )
    command = [sys.executable, "-c", program, "connect", "-h"]
    imported = subprocess.run(command, capture_output=True, text=True, check=True).stderr.split()
    assert "aionet.cli.netcat.connect" in imported
    assert not {"rich", "aionet.cli.demo", "aionet.cli.doctor"}.intersection(imported)


@pytest.mark.parametrize("wrong", [["no-such-command"], ["--no-such-option"]])
def test_what_it_does_not_know_is_named(wrong: list[str]) -> None:
    result = aionet(*wrong)
    assert result.returncode == 2
    assert wrong[0] in result.stderr


CONTEXT = click.Context(main)


@pytest.mark.parametrize("name", main.list_commands(CONTEXT))
def test_every_option_of_a_command_is_in_its_section_of_the_reference(name: str) -> None:
    _, heading, rest = REFERENCE.partition(f"## `aionet {name}")
    section = rest.partition("\n## ")[0]
    assert heading
    command = main.get_command(CONTEXT, name)
    assert command is not None
    for option in command.params:
        if isinstance(option, click.Option):
            for written in (*option.opts, *option.secondary_opts):
                assert f"`{written}" in section, written
