"""A loop is chosen by name, for one run, and nothing global changes."""

from __future__ import annotations

import asyncio
import sys

import pytest

from aionet.errors import MissingExtraError, OptionError
from aionet.system.loops import available_loops, current_loop_name, loop_factory, run


async def name_of_the_loop() -> str:
    await asyncio.sleep(0)
    return current_loop_name()


@pytest.fixture(autouse=True, scope="module")
def libuv_has_its_pipe() -> None:
    """Run uvloop once: the first time it opens a pipe for signals, which stays open as long as the process lives."""
    for name in available_loops():
        run(name_of_the_loop(), loop=name)


@pytest.fixture
def no_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)


@pytest.mark.parametrize("name", available_loops())
def test_run_uses_the_loop_that_is_named(name: str) -> None:
    assert run(name_of_the_loop(), loop=name) == name


@pytest.mark.parametrize("name", available_loops())
def test_a_loop_factory_serves_a_runner(name: str) -> None:
    with asyncio.Runner(loop_factory=loop_factory(name)) as runner:
        assert runner.run(name_of_the_loop()) == name


def test_auto_is_uvloop_where_it_is_installed() -> None:
    pytest.importorskip("uvloop")
    assert available_loops() == ("asyncio", "uvloop")
    assert run(name_of_the_loop()) == "uvloop"


@pytest.mark.usefixtures("no_uvloop")
def test_auto_is_asyncio_where_uvloop_is_not_installed() -> None:
    assert available_loops() == ("asyncio",)
    assert run(name_of_the_loop()) == "asyncio"


@pytest.mark.usefixtures("no_uvloop")
def test_uvloop_that_is_missing_is_an_error_with_the_command_that_installs_it() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'aionet\[uvloop\]'"):
        run(name_of_the_loop(), loop="uvloop")


def test_an_unknown_loop_is_an_error_with_the_choices() -> None:
    with pytest.raises(OptionError, match="loop='trio': expected 'auto', 'asyncio' or 'uvloop'"):
        run(name_of_the_loop(), loop="trio")


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("name", available_loops())
def test_debug_reaches_the_loop(name: str, debug: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    async def is_debugging() -> bool:
        return asyncio.get_running_loop().get_debug()

    assert run(is_debugging(), loop=name, debug=debug) is debug


@pytest.mark.parametrize("name", available_loops())
def test_what_the_coroutine_raises_comes_out(name: str) -> None:
    async def fail() -> None:
        raise LookupError(name)

    with pytest.raises(LookupError, match=name):
        run(fail(), loop=name)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="asking for the policy is deprecated")
def test_no_policy_is_changed() -> None:
    before = type(asyncio.get_event_loop_policy())  # type: ignore[deprecated]
    for name in available_loops():
        run(name_of_the_loop(), loop=name)
    assert type(asyncio.get_event_loop_policy()) is before  # type: ignore[deprecated]


async def test_the_running_loop_has_a_name() -> None:
    assert current_loop_name() == type(asyncio.get_running_loop()).__module__.split(".")[0]
    assert current_loop_name() in available_loops()


def test_without_a_running_loop_there_is_no_name() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        current_loop_name()
