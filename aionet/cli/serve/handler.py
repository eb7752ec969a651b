"""The handler that ``module:handler`` names, imported and looked at before anything is listened on."""

from __future__ import annotations

import importlib
import inspect
import sys
from functools import reduce
from typing import TYPE_CHECKING, Any, cast

from aionet.errors import AionetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    from aionet.stream.stream import Stream

    Handler = Callable[[Stream], Awaitable[object]]

__all__ = ["HandlerError", "import_handler"]


class HandlerError(AionetError, ValueError):
    """What should be served is not there, or no handler; the message says what is expected."""


def import_handler(name: str) -> Handler:
    """Import ``module:handler``; the module may be in the current folder, and the handler an attribute of something.

    What the module itself raises goes through. Raises HandlerError.
    """
    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        raise HandlerError(f"{name!r}: expected module:handler, such as app:handle for the function handle of app.py")
    module = _import(module_name)
    try:
        found = reduce(getattr, path.split("."), cast("Any", module))
    except AttributeError:
        raise HandlerError(f"{module_name} has no {path!r}{_instead(module)}") from None
    _check(found, name)
    handler: Handler = found
    return handler


def _import(name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")  # the current folder, as for python -m
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Where one of its own imports is missing, its traceback says where.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        hint = "; name the module, not its file" if name.endswith(".py") else ""
        raise HandlerError(f"no module {error.name!r} here or among what is installed{hint}") from None


def _instead(module: ModuleType) -> str:
    """The handlers that the module does have."""
    own = (name for name, value in vars(module).items() if _fault(value) is None and not name.startswith("_"))
    listed = ", ".join(sorted(own))
    return f"; it has {listed}" if listed else ""


def _check(found: object, name: str) -> None:
    fault = _fault(found)
    if fault:
        raise HandlerError(f"{name} is {fault}; expected an async function that takes a stream")


def _fault(found: Any) -> str | None:  # noqa: ANN401 - anything that a module may hold
    """What is wrong with it as a handler."""
    if inspect.isclass(found) or not callable(found):
        return "a class" if inspect.isclass(found) else f"of type {type(found).__name__}"
    if not (inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(found.__call__)):
        return "a function without async"
    try:
        inspect.signature(found).bind(None)
    except TypeError as error:
        return f"a function of other parameters ({error})"
    return None
