"""The C programs of the benchmarks are compiled once for the whole run, outside the user's cache."""

import os
from collections.abc import Iterator

import pytest

from tests.tools import require_tool


@pytest.fixture(scope="session", autouse=True)
def compiled_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is compiled in a directory of this run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def cc() -> str:
    """Skip without a C compiler."""
    return require_tool(os.environ.get("CC", "cc"))
