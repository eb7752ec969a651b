"""Where commands write."""

import io
import sys

import pytest

from aionet.cli.console import output, progress_output


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> tuple[io.BytesIO, io.BytesIO]:
    """What reaches stdout and stderr, which can encode no more than ASCII."""
    streams = io.BytesIO(), io.BytesIO()
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(streams[0], encoding="ascii", write_through=True))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(streams[1], encoding="ascii", write_through=True))
    return streams


def test_results_go_to_stdout_and_progress_to_stderr(written: tuple[io.BytesIO, io.BytesIO]) -> None:
    output().print("result")
    progress_output().print("progress")
    assert [stream.getvalue() for stream in written] == [b"result\n", b"progress\n"]


def test_what_cannot_be_encoded_is_replaced(written: tuple[io.BytesIO, io.BytesIO]) -> None:
    output().print("5 µs")
    assert written[0].getvalue() == b"5 ?s\n"
