"""libmemcached's tools against examples/memcached_server.py."""

from pathlib import Path

from tests.programs import Program, run, shared_by_module
from tests.tools import require_tool

server = shared_by_module("memcached_server.py")


def tool(server: Program, name: str, *args: str, status: int = 0) -> bytes:
    return run(require_tool(name), f"--servers={server.host}:{server.port}", *args, status=status)


def test_files_are_copied_there_and_back(server: Program, tmp_path: Path) -> None:
    for name, content in (("small", b"hello\r\n"), ("empty", b""), ("large", bytes(range(256)) * 4000)):
        (tmp_path / name).write_bytes(content)
        tool(server, "memccp", str(tmp_path / name))
        copied = tmp_path / f"{name}.copy"
        tool(server, "memccat", f"--file={copied}", name)
        assert copied.read_bytes() == content
    tool(server, "memcexist", "small")
    tool(server, "memctouch", "--expire=100", "small")
    tool(server, "memcrm", "small")
    tool(server, "memcexist", "small", status=1)
    assert b"curr_items: " in tool(server, "memcstat")
    tool(server, "memcflush")
    tool(server, "memcexist", "large", status=1)
    tool(server, "memcping")
