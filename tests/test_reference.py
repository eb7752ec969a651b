"""The reference says what the code says: names, parameters, defaults, and what is awaited."""

from __future__ import annotations

import asyncio
import builtins
import enum
import inspect
import re
import socket
import time
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import aionet
from tests.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES = {path.name: path.read_text() for path in sorted((ROOT / "docs" / "reference").glob("*.md"))}
TEXT = "\n".join(PAGES.values())

# A heading such as: ### `await Stream.recv(max_bytes=262144)`
_HEADING = re.compile(r"^#+ `(?P<awaited>await )?(?P<name>[\w.]+)\((?P<parameters>.*)\)`$", re.MULTILINE)
_ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<default>[^|]*) \|", re.MULTILINE)
_ERROR = re.compile(r"^\| `(?P<name>\w+)` \| (?:`(?P<parent>\w+)` )?\| (?:(?P<standard>[\w.]+) )?\|", re.MULTILINE)

_OPTIONS = (aionet.SocketOptions, aionet.DatagramOptions, aionet.SessionOptions, aionet.Timeouts, aionet.Limits)

HEADINGS = list(_HEADING.finditer(TEXT))
NAMES_OF_THE_SYSTEM = vars(socket) | {"SIGINT": 2, "SIGTERM": 15, "time": time} | vars(aionet)


def found(name: str) -> Any:
    """What a qualified name such as Stream.recv stands for."""
    thing: Any = aionet
    for part in name.split("."):
        thing = inspect.getattr_static(thing, part) if inspect.isclass(thing) else getattr(thing, part)
    return thing.__func__ if isinstance(thing, classmethod) else thing


def parameters_of(function: Callable[..., object]) -> list[tuple[str, object, object]]:
    """Each parameter: its name, whether it is given by keyword only, and its default."""
    given = inspect.signature(function).parameters.values()
    return [
        (each.name, each.kind is each.KEYWORD_ONLY, each.default) for each in given if each.name not in ("self", "cls")
    ]


def public_attributes(thing: type) -> set[str]:
    """What a class of aionet's offers beyond what its standard parents do."""
    classes = [each for each in thing.__mro__ if each.__module__.startswith("aionet")]
    return {name for each in classes for name in vars(each) if not name.startswith("_")}


@pytest.mark.parametrize("heading", HEADINGS, ids=lambda heading: heading["name"])
def test_a_heading_has_the_parameters_and_defaults_of_the_function(heading: re.Match[str]) -> None:
    written = eval(f"lambda {heading['parameters']}: 0", NAMES_OF_THE_SYSTEM)  # noqa: S307 - our own page
    function = found(heading["name"])
    assert parameters_of(written) == parameters_of(function)


@pytest.mark.parametrize("heading", HEADINGS, ids=lambda heading: heading["name"])
def test_a_heading_awaits_what_has_to_be_awaited(heading: re.Match[str]) -> None:
    function = found(heading["name"])
    returned = inspect.signature(function).return_annotation
    coroutine = inspect.iscoroutinefunction(function) or str(returned).startswith("Coroutine")
    assert bool(heading["awaited"]) == coroutine


@pytest.mark.parametrize("name", aionet.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert re.search(rf"`(?:await )?{name}\b", TEXT)


@pytest.mark.parametrize(
    "thing",
    [
        thing
        for thing in vars(aionet).values()
        if inspect.isclass(thing)
        and thing.__module__.startswith("aionet")
        and not issubclass(thing, (Exception, enum.Enum, aionet.StreamTransport, aionet.DatagramTransport))
        and thing not in _OPTIONS
    ],
    ids=lambda thing: thing.__name__,
)
def test_everything_that_a_class_offers_is_in_the_reference(thing: type) -> None:
    missing = {
        name for name in public_attributes(thing) if not re.search(rf"`(?:await )?{thing.__name__}\.{name}\b", TEXT)
    }
    assert not missing


@pytest.mark.parametrize(
    ("thing", "more"),
    [
        (aionet.StreamTransport, set[str]()),
        (aionet.DatagramTransport, {name for name in dir(asyncio.Transport) if "_write_buffer_" in name}),
    ],
    ids=["stream", "datagram"],
)
def test_the_whole_interface_of_a_transport_is_in_the_reference(thing: type, more: set[str]) -> None:
    interface = next(each for each in thing.__mro__ if each.__module__.startswith("asyncio"))
    offered = {name for name in dir(interface) if not name.startswith("_")}
    assert offered | more == set(re.findall(rf"`{thing.__name__}\.(\w+)", TEXT))


@pytest.mark.parametrize(
    "thing",
    _OPTIONS,
    ids=lambda thing: thing.__name__,
)
def test_a_table_of_options_has_every_option_with_its_default(thing: type) -> None:
    section = TEXT.partition(f"## `{thing.__name__}`\n")[2].partition("\n## ")[0]
    rows = {row["name"]: row["default"] for row in _ROW.finditer(section)}
    made = thing()
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(thing)
    computed = {"low_water": "high_water / 4"}
    assert rows == {each.name: computed.get(each.name, repr(getattr(made, each.name))) for each in fields}


def test_the_table_of_errors_is_the_tree_of_errors() -> None:
    rows = {row["name"]: row for row in _ERROR.finditer(PAGES["errors.md"])}
    errors = {
        name: thing for name, thing in vars(aionet).items() if inspect.isclass(thing) and issubclass(thing, Exception)
    }
    assert rows.keys() == errors.keys()
    for name, error in errors.items():
        parent, standard = rows[name]["parent"], rows[name]["standard"]
        if parent:
            assert error.__bases__[0] is errors[parent]
        assert standard or len(error.__bases__) == 1
        if standard:
            module, _, last = standard.rpartition(".")
            places: dict[str, object] = {"": builtins, "asyncio": asyncio, "socket": socket}
            assert issubclass(error, getattr(places[module], last))
