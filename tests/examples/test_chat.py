"""examples/chat.py: everybody hears everybody, and nobody waits for who does not read."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.programs import PATIENCE, Program, every_loop, receive_all, running

# 50 MB in all, of which a queue holds 1 MB, and the kernel some more.
LINES = 100_000
LINE = b"x" * 500
MEMORY = 4 * 1024 * 1024


class Talker:
    """A client with a name, over a plain blocking socket."""

    def __init__(self, sock: socket.socket, name: str) -> None:
        self.sock = sock
        self.file = sock.makefile("rb")
        assert self.hears() == "* what is your name?"
        self.says(name)
        self.others = self.hears()

    def says(self, line: str) -> None:
        self.sock.sendall(line.encode() + b"\n")

    def hears(self) -> str:
        return self.file.readline().decode().rstrip("\n")

    def hears_until(self, line: str) -> None:
        while (heard := self.hears()) != line:
            assert heard, f"the server ended before {line!r}"


@contextmanager
def talking(chat: Program, name: str) -> Iterator[Talker]:
    with chat.connect() as sock:
        talker = Talker(sock, name)
        with talker.file:
            yield talker


@every_loop
def test_what_one_says_the_others_hear(loop: str) -> None:
    with (
        running("chat.py", loop=loop) as chat,
        talking(chat, "Ada") as ada,
        talking(chat, "Bob") as bob,
        talking(chat, "Eve") as eve,
    ):
        assert (ada.others, bob.others, eve.others) == ("* here: Ada", "* here: Ada, Bob", "* here: Ada, Bob, Eve")
        assert [ada.hears(), ada.hears(), bob.hears()] == ["* Bob has come", "* Eve has come", "* Eve has come"]
        ada.says("hello")
        assert (bob.hears(), eve.hears()) == ("Ada: hello", "Ada: hello")
        bob.says("hi")
        assert (ada.hears(), eve.hears()) == ("Bob: hi", "Bob: hi")
        eve.sock.shutdown(socket.SHUT_WR)
        assert (eve.hears(), eve.hears()) == ("* goodbye", "")
        assert (ada.hears(), bob.hears()) == ("* Eve has left", "* Eve has left")


@every_loop
def test_many_clients_hear_each_other_without_loss(loop: str) -> None:
    names = [str(number) for number in range(30)]
    lines = [str(number) for number in range(100)]
    with ExitStack() as stack:
        chat = stack.enter_context(running("chat.py", loop=loop))
        talkers = [stack.enter_context(talking(chat, name)) for name in names]
        for talker in talkers:
            talker.sock.sendall("".join(f"{line}\n" for line in lines).encode())
        for name, talker in zip(names, talkers, strict=True):
            heard: dict[str, list[str]] = {other: [] for other in names if other != name}
            while any(len(said) < len(lines) for said in heard.values()):
                speaker, colon, line = talker.hears().partition(": ")
                if colon and speaker in heard:
                    heard[speaker].append(line)
            assert all(said == lines for said in heard.values())


def flood_until(notice: str, talker: Talker, listener: Talker) -> None:
    """Talk, while the listener hears all of it and nobody else reads, until it hears ``notice`` too."""
    for _ in range(LINES // 100):
        talker.sock.sendall((LINE + b"\n") * 100)
        talked = 0
        while talked < 100:
            line = listener.hears()
            assert line, "the server ended"
            if line == notice:
                return
            talked += line.startswith("Ada: x")
    pytest.fail(f"{LINES} lines, and no {notice!r}")


@every_loop
def test_who_never_reads_holds_up_nobody_and_is_disconnected_at_a_bounded_cost(loop: str) -> None:
    with running("chat.py", loop=loop) as chat, talking(chat, "Ada") as ada, talking(chat, "Bob") as bob:
        with talking(chat, "Sloth") as sloth:
            before = chat.memory()
            flood_until("* Sloth reads too slowly", ada, bob)
            assert chat.memory() - before < MEMORY
            connection = select.poll()
            connection.register(sloth.sock, 0)  # a reset alone
            assert connection.poll(PATIENCE * 1000)
        ada.says("he is gone")
        bob.hears_until("Ada: he is gone")


@every_loop
def test_who_reads_too_slowly_is_told_so_after_what_it_missed(loop: str) -> None:
    with (
        running("chat.py", loop=loop) as chat,
        talking(chat, "Ada") as ada,
        talking(chat, "Bob") as bob,
        talking(chat, "Sloth") as sloth,
    ):
        flood_until("* Sloth reads too slowly", ada, bob)
        sloth.hears_until("* you read too slowly")
        assert sloth.hears() == ""


@every_loop
def test_a_line_without_end_is_refused(loop: str) -> None:
    with running("chat.py", loop=loop) as chat, talking(chat, "Ada") as ada, talking(chat, "Bob") as bob:
        assert ada.hears() == "* Bob has come"
        bob.sock.sendall(b"x" * 100_000)
        assert (bob.hears(), bob.hears()) == ("* a line has at most 512 bytes", "")
        assert ada.hears() == "* Bob has left"


@every_loop
def test_what_would_play_tricks_on_a_terminal_is_taken_out(loop: str) -> None:
    with running("chat.py", loop=loop) as chat, talking(chat, "A\x1bda\r") as ada, talking(chat, "Bob") as bob:
        assert bob.others == "* here: Ada, Bob"
        ada.sock.sendall(b"\x1b[2J\xff\x07 na\xc3\xafve\r\n")
        assert bob.hears() == "Ada: [2J\N{REPLACEMENT CHARACTER} na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve"


@every_loop
@pytest.mark.parametrize("named", [True, False])
def test_the_server_says_goodbye_when_it_is_told_to_end(loop: str, *, named: bool) -> None:
    with running("chat.py", loop=loop, ends_by=None) as chat, chat.connect() as sock:
        if named:
            Talker(sock, "Ada").file.close()
        else:
            assert sock.recv(100) == b"* what is your name?\n"
        chat.process.terminate()
        assert receive_all(sock) == b"* goodbye\n"
