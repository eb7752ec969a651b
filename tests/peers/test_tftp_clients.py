"""tftp-hpa and atftp against examples/tftp_server.py, over a good network and over a bad one."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from tests.programs import Program, every_loop, run, running
from tests.tools import require_tool

SIZES = [0, 511, 512, 513, 5_000_000]

# The first datagrams both ways get through: a client that has no option yet forgets it when its request is lost.
LOSS = ("--loss", "0.1", "--seed", "4")


@attrs.frozen
class Files:
    """The folder that is served, and the one of the clients."""

    served: Path
    mine: Path

    def make(self, folder: Path, size: int) -> str:
        """Make a file of that size, and return its name."""
        name = f"file{size}"
        (folder / name).write_bytes(random.Random(size).randbytes(size))
        return name

    def equal(self, one: str, other: str) -> bool:
        """Whether a file of mine is one that is served."""
        return (self.mine / one).read_bytes() == (self.served / other).read_bytes()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Two empty folders."""
    found = Files(tmp_path / "served", tmp_path / "mine")
    found.served.mkdir()
    found.mine.mkdir()
    return found


@contextmanager
def serving(files: Files, loop: str) -> Iterator[Program]:
    """The server."""
    with running("tftp_server.py", "--write", str(files.served), loop=loop) as server:
        yield server


def tftp(server: Program, *words: str) -> str:
    """What tftp-hpa says."""
    place = [server.host, str(server.port)]
    return run(require_tool("tftp"), "-m", "octet", *place, "-c", *words).decode()


def atftp(server: Program, how: str, local: Path, remote: str, *options: str) -> None:
    """Get or put a file with atftp."""
    asked = [word for option in options for word in ("--option", option)]
    names = ["--local-file", str(local), "--remote-file", remote]
    run(require_tool("atftp"), how, *names, *asked, server.host, str(server.port))


@every_loop
def test_tftp_gets_and_puts_files_of_every_size(files: Files, loop: str) -> None:
    with serving(files, loop) as server:
        for size in SIZES:
            name = files.make(files.served, size)
            tftp(server, "get", name, str(files.mine / name))
            assert files.equal(name, name)
            tftp(server, "put", str(files.mine / name), f"put-{name}")
            assert files.equal(name, f"put-{name}")
        assert not list(files.served.glob(".*"))


@every_loop
@pytest.mark.parametrize("options", [(), ("blksize 1428", "tsize 0"), ("blksize 65464", "timeout 1")], ids=str)
def test_atftp_gets_and_puts_with_options(files: Files, loop: str, options: tuple[str, ...]) -> None:
    with serving(files, loop) as server:
        for size in (*SIZES, 1428, 65464):
            name = files.make(files.served, size)
            atftp(server, "--get", files.mine / name, name, *options)
            assert files.equal(name, name)
            atftp(server, "--put", files.mine / name, f"put-{name}", *options)
            assert files.equal(name, f"put-{name}")


@every_loop
def test_one_datagram_in_ten_may_be_lost(files: Files, loop: str) -> None:
    with (
        serving(files, loop) as server,
        running("lossy_relay.py", *LOSS, server.host, str(server.port), loop=loop) as relay,
    ):
        name = files.make(files.served, 2_000_000)
        atftp(relay, "--get", files.mine / name, name, "blksize 65464")
        assert files.equal(name, name)
        atftp(relay, "--put", files.mine / name, f"put-{name}", "blksize 65464")
        assert files.equal(name, f"put-{name}")
        small = files.make(files.served, 20_000)
        tftp(relay, "get", small, str(files.mine / small))
        assert files.equal(small, small)


@every_loop
def test_nothing_outside_the_folder_is_read_or_written(files: Files, loop: str) -> None:
    (files.mine / "secret").write_text("secret")
    (files.served / "link").symlink_to(files.mine / "secret")
    (files.served / "folder").symlink_to(files.mine)
    with serving(files, loop) as server:
        for name in ("../mine/secret", "/../mine/secret", "link", "folder/secret"):
            assert "outside of the folder" in tftp(server, "get", name, str(files.mine / "got")), name
        for name in ("../mine/new", "folder/new"):
            assert "outside of the folder" in tftp(server, "put", str(files.mine / "secret"), name)
        assert not (files.mine / "new").exists()


@every_loop
def test_what_cannot_be_is_said(files: Files, loop: str) -> None:
    name = files.make(files.served, 10)
    files.make(files.mine, 10)
    (files.served / "below").mkdir()
    with serving(files, loop) as server:
        assert "no such file" in tftp(server, "get", "nothing", str(files.mine / "got"))
        assert "no such file" in tftp(server, "get", "below", str(files.mine / "got"))
        assert "the file exists" in tftp(server, "put", str(files.mine / name), name)
        assert "no such folder" in tftp(server, "put", str(files.mine / name), "missing/new")
        place = [server.host, str(server.port)]
        said = run(require_tool("tftp"), "-m", "netascii", *place, "-c", "get", name, str(files.mine / "got"))
        assert b"only octet mode" in said
    with running("tftp_server.py", str(files.served), loop=loop) as server:
        assert "nothing is written here" in tftp(server, "put", str(files.mine / name), "new")


@every_loop
def test_ipv6_and_every_interface_are_served_alike(files: Files, loop: str) -> None:
    name = files.make(files.served, 1000)
    with running("tftp_server.py", "--host", "*", str(files.served), loop=loop) as server:
        for host in ("127.0.0.1", "127.0.0.2", "::1"):
            (files.mine / name).unlink(missing_ok=True)
            run(
                require_tool("tftp"),
                *["-m", "octet", host, str(server.port), "-c", "get", name, str(files.mine / name)],
            )
            assert files.equal(name, name)
