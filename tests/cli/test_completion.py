"""Completions of the shells."""

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import aionet
from tests.programs import PATIENCE
from tests.tools import require_tool

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


# How each shell is started without anybody's settings, and made to say when it is ready for a line.
SHELLS = {
    "bash": (["--norc", "-i"], """PS1='re''ady> '; eval "$(aionet completion bash)"\n"""),
    "zsh": (
        ["-f", "-i"],
        """PS1='re''ady> '; autoload -U compinit; compinit -D -u; eval "$(aionet completion zsh)"\n""",
    ),
    "fish": (["--no-config", "-i"], "function fish_prompt; echo 're''ady> '; end; aionet completion fish | source\n"),
}


def wait_for(terminal: int, words: bytes) -> None:
    """Read what the terminal shows until it has these words."""
    shown = b""
    while words not in shown:
        assert select.select([terminal], [], [], PATIENCE)[0], shown
        shown += os.read(terminal, 65536)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_an_option_when_tab_is_pressed(shell: str, tmp_path: Path) -> None:
    arguments, setup = SHELLS[shell]
    command = ["setsid", "--ctty", require_tool(shell), *arguments]  # whoever is at a terminal controls it
    env = os.environ | {"PATH": f"{SCRIPT.parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "xterm"}
    terminal, end = pty.openpty()
    with subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=env) as process:
        os.close(end)
        try:
            os.write(terminal, setup.encode())
            wait_for(terminal, b"ready> ")
            os.write(terminal, b"aionet connect --unt\t")
            wait_for(terminal, b"il")
            os.write(terminal, b"nobody\n")
            wait_for(terminal, b"'nobody' is not one of")  # so says --until; of --unt, that there is no such option
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # setsid made it a group: zsh completes in a process of its own
            os.close(terminal)


def test_another_shell_is_status_2() -> None:
    done = aionet("completion", "csh")
    assert done.status == 2
    assert "'bash', 'zsh', 'fish'" in done.errors
