"""Completions of the shells."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import aionet

SCRIPT = Path(sys.executable).with_name("aionet")


def completed(*words: str) -> list[str]:
    """What bash is told for the last of these words."""
    env = os.environ | {
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "_AIONET_COMPLETE": "bash_complete",
    }
    done = subprocess.run([SCRIPT], env=env, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    done = aionet("completion", shell)
    assert (done.status, done.errors) == (0, "")
    assert f"_AIONET_COMPLETE={shell}_complete" in done.output.decode()


def test_bash_takes_it() -> None:
    script = 'eval "$("$0" -m aionet completion bash)"; complete -p aionet'
    command = ["bash", "-c", script, sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "-F _aionet_completion aionet" in done.stdout


def test_commands_options_and_their_values_are_completed() -> None:
    assert completed("aionet", "li") == ["listen"]
    assert completed("aionet", "connect", "--unt") == ["--until"]
    assert completed("aionet", "connect", "--until", "") == ["both", "peer", "stdin"]


def test_another_shell_is_status_2() -> None:
    done = aionet("completion", "csh")
    assert done.status == 2
    assert "'bash', 'zsh', 'fish'" in done.errors
