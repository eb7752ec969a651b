"""The programs that the tests talk to: redis-cli, wrk, curl, socat and their like."""

import os
import shutil

import pytest

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}


def require_tool(name: str) -> str:
    """Return the path of the program ``name``; without it, skip the test, or fail it where ``CI`` is true."""
    path = shutil.which(name)
    if path is not None:
        return path
    reason = f"{name} is not installed"
    if IN_CI:
        pytest.fail(reason)
    pytest.skip(reason)
