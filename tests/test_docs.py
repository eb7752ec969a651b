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


@pytest.mark.parametrize("role", ["", "<!-- server -->\n"])
def test_programs_run_on_each_loop(role: str, loop: str, tmp_path: Path) -> None:
    program = """
import aionet

async def main() -> None:
    print(aionet.current_loop_name(), flush=True)

aionet.run(main())
"""
    Page(tmp_path / "page.md", f"{role}```python{program}```\n\n```text\n{loop}\n```\n").run(loop, tmp_path)


@pytest.mark.parametrize("path", [path for path in PAGES if "<!-- file: " in path.read_text()], ids=name_of)
def test_the_files_of_a_page_pass_their_tests(path: Path, tmp_path: Path) -> None:
    Page.read(path).run_files(tmp_path)


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


@pytest.mark.parametrize(
    "page",
    [
        "```python\nraise AssertionError\n```",
        "```python\nprint('a')\n```\n\n```text\nb\n```",
        "```python\n>>> 1 + 1\n3\n```",
        "1. In a list:\n   ```python\n   print()\n   ```",
        "<!-- serving -->\n```python\nprint()\n```",
        "<!-- server -->\n```python\nprint(flush=True)\nraise SystemExit(1)\n```",
        "<!-- server -->\n```python\nimport sys\nprint(flush=True)\nsys.stderr.write('what is this?')\n```",
        "<!-- server -->\n```python\nprint('a')\n```\n\n```text\nb\n```",
    ],
)
def test_a_page_that_promises_what_does_not_happen_fails(page: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        Page(tmp_path / "page.md", page + "\n").run("asyncio", tmp_path)


def test_a_page_whose_tests_fail_fails(tmp_path: Path) -> None:
    page = "<!-- file: test_it.py -->\n```python\ndef test_it() -> None:\n    assert False\n```\n"
    with pytest.raises(AssertionError):
        Page(tmp_path / "page.md", page).run_files(tmp_path)
