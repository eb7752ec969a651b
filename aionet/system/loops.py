"""Choose an event loop, and run on it: asyncio's own, or uvloop where it is installed.

No event loop policy is touched: policies are global, and deprecated since Python 3.14.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from aionet.errors import MissingExtraError, OptionError

__all__ = ["LoopFactory", "available_loops", "current_loop_name", "loop_factory", "run"]

_T = TypeVar("_T")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

_NAMES = ("asyncio", "uvloop")


def available_loops() -> tuple[str, ...]:
    """Return the names of the loops that are installed here, asyncio first."""
    return _NAMES if importlib.util.find_spec("uvloop") is not None else _NAMES[:1]


def loop_factory(name: str = "auto") -> LoopFactory:
    """Return what makes a new loop, for asyncio.Runner(loop_factory=...) and for pytest.

    ``name`` is "asyncio" (its selector loop), "uvloop", or "auto": uvloop where it is installed, else asyncio.

    Raises OptionError for another name, MissingExtraError for uvloop where it is not installed.
    """
    if name == "auto":
        name = available_loops()[-1]
    if name == "asyncio":
        # Named, and not left to new_event_loop: aionet needs add_reader, which the proactor loop lacks.
        return asyncio.SelectorEventLoop
    if name == "uvloop":
        return _uvloop_factory()
    raise OptionError(f"loop={name!r}: expected 'auto', 'asyncio' or 'uvloop'")


def _uvloop_factory() -> LoopFactory:
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError as error:
        raise MissingExtraError("uvloop is not installed: pip install 'aionet[uvloop]'") from error
    return cast("LoopFactory", uvloop.new_event_loop)


def run(main: Coroutine[Any, Any, _T], *, loop: str = "auto", debug: bool | None = None) -> _T:
    """Run a coroutine on a new loop and return its result, as asyncio.run does.

    ``loop`` is "auto" (the default: uvloop where it is installed, else asyncio), "asyncio" or "uvloop". ``debug`` turns
    the loop's debug mode on or off; None leaves it to python -X dev and PYTHONASYNCIODEBUG. Ctrl-C cancels ``main``.

    Raises what the coroutine raises; OptionError and MissingExtraError as ``loop_factory`` does; RuntimeError inside a
    running loop.
    """
    try:
        factory = loop_factory(loop)
    except BaseException:
        # Else it would be reported a second time, as a coroutine that was never awaited.
        main.close()
        raise
    with asyncio.Runner(debug=debug, loop_factory=factory) as runner:
        return runner.run(main)


def current_loop_name() -> str:
    """Return the name of the running loop: "asyncio", "uvloop", or its class's top-level module for any other.

    Raises RuntimeError outside a running loop.
    """
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]
