"""Every test that takes ``pairs`` runs on every kind of transport."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.contract.pairs import FACTORIES

# An operation that never returns is what most of these tests would find: they need not wait a minute for it.
_TIMEOUT: Final = 15  # seconds


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Hand each factory to the tests that take ``pairs``, and those that reset to the ones that need a reset."""
    resetting = tuple(factory for factory in FACTORIES if factory.resets)
    for name, factories in (("pairs", FACTORIES), ("resetting_pairs", resetting)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, factories, ids=[factory.name for factory in factories])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the time limit of each test in this folder that has none of its own."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TIMEOUT))
