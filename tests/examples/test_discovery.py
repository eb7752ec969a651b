"""examples/discovery.py finds those who announce themselves, through a group on loopback."""

import signal

from hypothesis import given
from hypothesis import strategies as st

import discovery
from tests.ports import free_port
from tests.programs import command, every_loop, run, running


@every_loop
def test_whoever_announces_itself_is_found(loop: str) -> None:
    place, port = ["--group", "239.255.54.55"], free_port()
    with (
        running("discovery.py", "announce", "one", *place, loop=loop, ends_by=signal.SIGINT, port=port),
        running("discovery.py", "announce", "the other", *place, loop=loop, ends_by=signal.SIGINT, port=port),
    ):
        said = run(*command("discovery.py", "find", *place, "--port", str(port), "--seconds", "1", loop=loop)).decode()
    assert sorted(line.partition(" at ")[0] for line in said.splitlines()) == ["one", "the other"]


@every_loop
def test_nobody_is_found_in_another_group(loop: str) -> None:
    place = ["--group", "239.255.54.56", "--port", str(free_port()), "--seconds", "0.1"]
    assert run(*command("discovery.py", "find", *place, loop=loop)) == b""


@given(data=st.binary() | st.text().map(str.encode) | st.just(b"[" * 100_000))
def test_what_is_no_message_is_taken_for_none(data: bytes) -> None:
    discovery.parse(data)


@given(name=st.text())
def test_a_message_is_parsed_as_it_was_built(name: str) -> None:
    assert discovery.parse(discovery.build(discovery.HERE, name)) == (discovery.HERE, name)
