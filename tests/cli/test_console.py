"""Where commands write."""

import io
import sys

import pytest

from aionet.cli.console import output, progress_output


def ascii_streams(monkeypatch: pytest.MonkeyPatch) -> tuple[io.BytesIO, io.BytesIO]:
    """Replace stdout and stderr by streams that can encode no more than ASCII, and return what receives theirs."""
    received = io.BytesIO(), io.BytesIO()
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    for name, stream in zip(("stdout", "stderr"), received, strict=True):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding="ascii", write_through=True))
    return received


def test_results_go_to_stdout_and_progress_to_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout, stderr = ascii_streams(monkeypatch)
    output().print("result")
    progress_output().print("progress")
    assert (stdout.getvalue(), stderr.getvalue()) == (b"result\n", b"progress\n")


def test_what_cannot_be_encoded_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout, _ = ascii_streams(monkeypatch)
    output().print("5 µs")
    assert stdout.getvalue() == b"5 ?s\n"
