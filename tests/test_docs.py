"""What the README and the documentation show is run, and where they point to exists."""

import asyncio
import re
from pathlib import Path

import pytest

import aionet
from aionet.system import loops
from tests.pages import PAGES, ROOT, Page
from tests.programs import LOOPS

_LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name_of(path: Path) -> str:
    """The page's name, from the root of the project on."""
    return str(path.relative_to(ROOT))


every_page = pytest.mark.parametrize("path", PAGES, ids=name_of)


@pytest.fixture(autouse=True, scope="module")
def libuv_has_its_pipe() -> None:
    """Run each loop once: uvloop's first one opens a pipe for signals, open as long as the process lives."""
    for name in aionet.available_loops():
        aionet.run(asyncio.sleep(0), loop=name)


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let aionet.run choose this loop."""
    name: str = request.param
    monkeypatch.setattr(loops, "available_loops", lambda: (name,))
    return name


@every_page
def test_the_programs_of_a_page_do_what_it_says(path: Path, loop: str, tmp_path: Path) -> None:
    Page.read(path).run(loop, tmp_path)


@every_page
def test_a_page_has_no_blocks_that_nothing_looks_at(path: Path) -> None:
    assert Page.read(path).languages() <= {"python", "text", "sh", "toml"}


@every_page
def test_the_links_of_a_page_lead_somewhere(path: Path) -> None:
    for link in _LINK.finditer(path.read_text()):
        target, anchor = link["target"], link["anchor"]
        if target.startswith(("http://", "https://")):
            continue
        page = path.parent / target if target else path
        assert page.exists(), link[0]
        assert not anchor or anchor in anchors(page), link[0]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = _HEADING.findall(page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def program(code: str, prints: str = "") -> str:
    """A page with one program, and what it prints."""
    return f"```python\n{code}```\n" + (f"\n```text\n{prints}\n```\n" if prints else "")


def server(at_its_end: str, prints: str = "") -> str:
    """A page with one server, which does something more at its end."""
    code = f"""
import sys
import aionet

async def serve_client(stream: aionet.Stream) -> None:
    await stream.recv()

async def main() -> None:
    async with aionet.serve("tcp://127.0.0.1:8000", serve_client) as server:
        print(*server.addresses, flush=True)
        await server.serve_forever()
        {at_its_end}

aionet.run(main())
"""
    return "<!-- server -->\n" + program(code, prints)


def name_of_the_loop(prints: str) -> str:
    """A page with one program that prints the name of its loop."""
    code = """
import aionet

async def main() -> None:
    print(aionet.current_loop_name())

aionet.run(main())
"""
    return program(code, prints)


def run(text: str, loop: str, folder: Path) -> None:
    """Run a page with this text."""
    path = folder / "page.md"
    path.write_text(text)
    Page.read(path).run(loop, folder)


def test_programs_run_on_each_loop(loop: str, tmp_path: Path) -> None:
    run(name_of_the_loop(loop), loop, tmp_path)


def test_servers_run_on_each_loop_until_they_are_ended(loop: str, tmp_path: Path) -> None:
    run(server("print(aionet.current_loop_name())", f"127.0.0.1:8000\n{loop}"), loop, tmp_path)


@pytest.mark.parametrize(
    "page",
    [
        program("raise AssertionError\n"),
        program("print('a')\n", "b"),
        program(">>> 1 + 1\n3\n"),
        name_of_the_loop("another"),
        "1. In a list:\n   ```python\n   print()\n   ```\n",
        "<!-- serving -->\n" + program("print()\n"),
        server("raise SystemExit(1)"),
        server("sys.stderr.write('what is this?')"),
        server("print('a')", "b"),
    ],
)
def test_a_page_that_promises_what_does_not_happen_fails(page: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run(page, "asyncio", tmp_path)


def test_a_page_whose_tests_fail_fails(tmp_path: Path) -> None:
    page = "<!-- file: test_it.py -->\n```python\ndef test_it() -> None:\n    assert False\n```\n"
    with pytest.raises(AssertionError):
        Page(tmp_path / "page.md", page).run_files(tmp_path)
