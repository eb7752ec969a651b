"""The error tree: whose fault it was, what users catch, what survives a pickle."""

from __future__ import annotations

import asyncio
import copy
import errno
import pickle
import re
import socket
from typing import Any, Final

import pytest

import aionet
from aionet import errors
from aionet.errors import AionetError

ATTEMPTS: Final = ((aionet.InetAddress("127.0.0.1", 80), ConnectionRefusedError(errno.ECONNREFUSED, "refused")),)

# One of each class, made as aionet makes it.
EXAMPLES: Final[list[AionetError]] = [
    errors.AionetError("message"),
    errors.ClosedError.of("accept", "127.0.0.1:80"),
    errors.ClosedStreamError.of("recv", "127.0.0.1:80 <- 127.0.0.1:5000"),
    errors.BusyError("recv: another task is receiving"),
    errors.BrokenStreamError(errno.EHOSTUNREACH, "send: no route"),
    errors.StreamResetError(errno.ECONNRESET, "recv: reset by peer"),
    errors.StreamBrokenPipeError(errno.EPIPE, "send: the peer no longer receives"),
    errors.ConnectError(errno.ECONNREFUSED, "connect: refused", ATTEMPTS),
    errors.ConnectTimeoutError(errno.ETIMEDOUT, "connect: no answer", ATTEMPTS),
    errors.ResolveError(socket.EAI_NONAME, "cannot resolve 'x'"),
    errors.ListenError(errno.EADDRINUSE, "listen: taken"),
    errors.DatagramError(errno.ENETUNREACH, "sendto: no route"),
    errors.DatagramRefusedError(errno.ECONNREFUSED, "recv: nobody receives there"),
    errors.LimitError("message"),
    errors.FrameTooLargeError("recv_line: no b'\\n' within 10 bytes", 10),
    errors.DatagramTooLargeError(errno.EMSGSIZE, "send: larger than the path takes"),
    errors.StreamTimeoutError(errno.ETIMEDOUT, "idle"),
    errors.SessionTimeoutError(errno.ETIMEDOUT, "idle"),
    errors.AmplificationError("send: 3 times what came"),
    errors.ProtocolError("message"),
    errors.IncompleteReadError("recv_exactly: the stream ended", b"abc", 5),
    errors.FrameError("recv: no netstring"),
    errors.MessageError("recv: a message that cannot be decoded", b"nonsense"),
    errors.ProxyProtocolError("bad PROXY header"),
    errors.TLSError(errno.EPROTO, "recv: bad record mac"),
    errors.TLSHandshakeError(errno.EPROTO, "TLS handshake: wrong version number"),
    errors.TLSCertificateError(errno.EPROTO, "TLS handshake: the certificate has expired"),
    errors.TLSHandshakeTimeoutError(errno.ETIMEDOUT, "no TLS handshake within 10 s"),
    errors.TruncatedStreamError(errno.EPROTO, "recv: the connection ended without close_notify"),
    errors.AddressError("bad host"),
    errors.OptionError("bad option"),
    errors.MissingExtraError("pip install 'aionet[uvloop]'"),
]
each_example = pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)

# What users already catch.
STANDARD: Final[dict[str, type[BaseException]]] = {
    "ClosedError": OSError,
    "ClosedStreamError": OSError,
    "BusyError": RuntimeError,
    "BrokenStreamError": ConnectionError,
    "StreamResetError": ConnectionResetError,
    "StreamBrokenPipeError": BrokenPipeError,
    "ConnectError": ConnectionError,
    "ConnectTimeoutError": TimeoutError,
    "ResolveError": socket.gaierror,
    "ListenError": OSError,
    "DatagramError": OSError,
    "DatagramRefusedError": ConnectionRefusedError,
    "DatagramTooLargeError": OSError,
    "FrameTooLargeError": ValueError,
    "StreamTimeoutError": TimeoutError,
    "IncompleteReadError": asyncio.IncompleteReadError,
    "ProxyProtocolError": ValueError,
    "TLSError": ConnectionError,
    "TLSHandshakeError": ConnectionError,
    "TLSCertificateError": ConnectionError,
    "TLSHandshakeTimeoutError": TimeoutError,
    "TruncatedStreamError": ConnectionError,
    "AddressError": ValueError,
    "OptionError": ValueError,
    "MissingExtraError": ImportError,
}


def classes() -> list[type[AionetError]]:
    """Return every class of the tree."""
    return [getattr(errors, name) for name in errors.__all__]


def test_there_is_an_example_of_every_class() -> None:
    assert {type(error) for error in EXAMPLES} == set(classes())


def test_every_error_is_public_and_has_one_root() -> None:
    for error in classes():
        assert issubclass(error, AionetError)
        assert getattr(aionet, error.__name__) is error
        assert error.__name__ == "AionetError" or AionetError in error.__mro__[1:]
        assert error.__doc__


@pytest.mark.parametrize(("name", "standard"), STANDARD.items())
def test_each_error_is_what_users_already_catch(name: str, standard: type[BaseException]) -> None:
    assert issubclass(getattr(errors, name), standard)


def test_you_closed_it_is_not_the_world_broke_it() -> None:
    assert not issubclass(errors.ClosedStreamError, ConnectionError)
    assert not issubclass(errors.BrokenStreamError, errors.ClosedError)
    assert not issubclass(errors.StreamTimeoutError, ConnectionError)
    assert not issubclass(errors.IncompleteReadError, ConnectionError)


def drawn() -> dict[str, str]:
    """Read the tree in the module's text: each class and the one that it hangs from."""
    parents: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    (?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+Error)\b", line)
        if match is None:
            continue
        depth = len(match["branch"])
        above = {at: name for at, name in above.items() if at < depth} | {depth: match["name"]}
        parents[match["name"]] = above[max(at for at in above if at < depth)] if depth else ""
    return parents


def test_the_tree_that_is_drawn_is_the_tree() -> None:
    assert drawn() == {error.__name__: _parent(error) for error in classes()}


def _parent(error: type[AionetError]) -> str:
    parents = [base.__name__ for base in error.__bases__ if issubclass(base, AionetError)]
    return parents[0] if parents else ""


def test_the_standard_types_that_are_drawn_are_those() -> None:
    text = errors.__doc__ or ""
    for name, standard in STANDARD.items():
        line = next((line for line in text.splitlines() if re.search(rf"\b{name} {{2,}}\w", line)), "")
        if line:
            assert standard.__name__ in line


@each_example
def test_an_error_prints_its_message_and_nothing_else(error: AionetError) -> None:
    assert str(error) == error.args[-1]
    assert "Errno" not in str(error)


def test_an_error_without_message_prints_nothing() -> None:
    assert str(AionetError()) == ""


@each_example
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_a_pickle(error: AionetError, protocol: int) -> None:
    assert_same(pickle.loads(pickle.dumps(error, protocol)), error)  # noqa: S301 - our own


@each_example
def test_an_error_can_be_copied(error: AionetError) -> None:
    assert_same(copy.copy(error), error)
    assert_same(copy.deepcopy(error), error)


def assert_same(again: AionetError, error: AionetError) -> None:
    """Compare all that an error says."""
    assert type(again) is type(error)
    assert again is not error
    assert str(again) == str(error)
    assert repr(again) == repr(error)
    for name in ("errno", "limit", "partial", "expected", "strerror"):
        assert getattr(again, name, None) == getattr(error, name, None)
    attempts: Any = getattr(error, "attempts", ())
    assert [(str(address), repr(cause)) for address, cause in getattr(again, "attempts", ())] == [
        (str(address), repr(cause)) for address, cause in attempts
    ]


@pytest.mark.parametrize("error", [error for error in EXAMPLES if isinstance(error, OSError)], ids=repr)
def test_an_error_of_the_system_has_its_number(error: OSError) -> None:
    assert isinstance(error.errno, int)
    assert error.strerror == str(error)


def test_an_error_of_ours_is_never_turned_into_a_standard_one() -> None:
    # OSError's own constructor picks the class by the errno; ours say what they are.
    assert type(errors.BrokenStreamError(errno.EPIPE, "message")) is errors.BrokenStreamError
    assert type(errors.ClosedError(errno.ECONNRESET, "message")) is errors.ClosedError
    assert type(errors.ListenError(errno.EADDRINUSE, "message")) is errors.ListenError


def test_closed_names_the_operation_and_what_is_closed() -> None:
    error = errors.ClosedStreamError.of("recv", "127.0.0.1:80 <- 127.0.0.1:5000")
    assert error.errno == errno.EBADF
    assert str(error) == "recv on 127.0.0.1:80 <- 127.0.0.1:5000: it is closed"


def test_an_incomplete_read_is_asyncios_own() -> None:
    error = errors.IncompleteReadError("message", b"abc", None)
    assert isinstance(error, EOFError)
    assert (error.partial, error.expected) == (b"abc", None)
