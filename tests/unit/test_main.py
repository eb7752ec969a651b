"""``aionet`` and ``python -m aionet``."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("library", ["click", "rich", "trustme"])
def test_without_its_libraries_the_command_names_what_installs_them(library: str) -> None:
    hide_and_run = f"import sys; sys.modules[{library!r}] = None; from aionet.__main__ import main; main()"
    result = subprocess.run([sys.executable, "-c", hide_and_run], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == f"aionet: {library} is not installed: pip install 'aionet[cli]'\n"


def test_the_module_runs_the_command_line() -> None:
    result = subprocess.run([sys.executable, "-m", "aionet", "--help"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "demo" in result.stdout
