"""A certificate and its key, apart or together, in files or as PEM, the key encrypted or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from cryptography.hazmat.primitives import serialization

import aionet
from aionet import Certificate, TLSConfig
from aionet.system.tls_context import server_tls
from tests.certificates import AUTHORITY, CA, CLIENT, NAME, SERVER, issue, write_pem

if TYPE_CHECKING:
    from pathlib import Path

OTHER = "other.test"
PASSWORD = "open sesame"  # noqa: S105 - a test's
GUESS = "open barley"
LOCAL = "tls://127.0.0.1:0"


def parts(*names: str) -> tuple[bytes, bytes]:
    """Issue a certificate; return it and its key."""
    issued = AUTHORITY.issue_cert(*names)
    return b"".join(pem.bytes() for pem in issued.cert_chain_pems), issued.private_key_pem.bytes()


def encrypted(key: bytes) -> bytes:
    """Return the same key, to be had with the password only."""
    return serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSWORD.encode()),
    )


CERTIFICATE, KEY = parts(NAME)
ENCRYPTED = encrypted(KEY)
SHAPES: dict[str, dict[str, Any]] = {
    "apart": {"certificate": CERTIFICATE, "key": KEY},
    "encrypted": {"certificate": CERTIFICATE, "key": ENCRYPTED, "password": PASSWORD},
    "encrypted, its password as bytes": {"certificate": CERTIFICATE, "key": ENCRYPTED, "password": PASSWORD.encode()},
    "together and encrypted": {"certificate": ENCRYPTED + CERTIFICATE, "password": PASSWORD},
    "a password that nothing asks for": {"certificate": CERTIFICATE, "key": KEY, "password": PASSWORD},
}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
# Files as strings and as paths, and the PEM itself.
every_form = pytest.mark.parametrize("form", ["bytes", "names", "paths"])


def given(shape: dict[str, Any], form: str, folder: Path) -> dict[str, Any]:
    """Return the arguments of TLSConfig, their PEM in files unless the form is bytes."""
    if form == "bytes":
        return shape
    for name in ("certificate", "key"):
        if name in shape:
            write_pem(folder, f"{name}.pem", shape[name])
    files = {name: folder / f"{name}.pem" for name in ("certificate", "key") if name in shape}
    return shape | (files if form == "paths" else {name: str(path) for name, path in files.items()})


async def leave(_stream: aionet.Stream) -> None:
    """Do nothing: nobody comes."""


async def shown(server: TLSConfig, client: TLSConfig = CLIENT, name: str = NAME) -> tuple[Any, Any]:
    """Connect, and return the names of the server's certificate and, where it gave one, of the client's."""
    seen: list[Any] = []

    async def look(stream: aionet.Stream) -> None:
        seen.append(names(stream))
        await stream.send(b"x")

    async with (
        aionet.serve(LOCAL, look, tls=server) as listening,
        aionet.connect(f"tls://{listening.addresses[0]}", tls=client, server_hostname=name) as stream,
    ):
        assert await stream.recv() == b"x"
        return names(stream), seen[0]


def names(stream: aionet.Stream) -> Any:
    certificate = stream.get_extra_info("peercert")
    return [name for _, name in certificate["subjectAltName"]] if certificate else None


@every_form
@every_shape
async def test_a_server_shows_a_certificate_whatever_way_it_was_given(
    shape: dict[str, Any], form: str, tmp_path: Path
) -> None:
    assert await shown(TLSConfig(**given(shape, form, tmp_path))) == ([NAME], None)


@every_form
@every_shape
async def test_a_client_shows_its_own_whatever_way_it_was_given(
    shape: dict[str, Any], form: str, tmp_path: Path
) -> None:
    server = attrs.evolve(SERVER, ca=CA, client_certificate="required")
    _, seen = await shown(server, TLSConfig(ca=CA, **given(shape, form, tmp_path)))
    assert seen == [NAME]


@every_form
@every_shape
async def test_a_name_has_a_certificate_whatever_way_it_was_given(
    shape: dict[str, Any], form: str, tmp_path: Path
) -> None:
    first, key = parts(OTHER)  # apart, too: the chosen certificate must not be looked for with this one's key
    several = TLSConfig(certificate=first, key=key, sni={NAME: Certificate(**given(shape, form, tmp_path))})
    assert await shown(several) == ([NAME], None)
    assert await shown(several, name=OTHER) == ([OTHER], None)


@every_form
@pytest.mark.parametrize(
    "shape",
    [
        SHAPES["encrypted"] | {"password": GUESS},
        SHAPES["together and encrypted"] | {"password": GUESS},
        SHAPES["encrypted"] | {"password": None},
        {"certificate": CERTIFICATE, "key": parts(NAME)[1]},
        {"certificate": KEY, "key": CERTIFICATE},
        {"certificate": CERTIFICATE},
    ],
    ids=["wrong password", "wrong password, together", "no password", "another's key", "the wrong way round", "no key"],
)
@pytest.mark.parametrize("where", ["serve", "connect", "sni"])
async def test_what_does_not_fit_is_refused_before_anything_is_opened(
    where: str, shape: dict[str, Any], form: str, tmp_path: Path
) -> None:
    arguments = given(shape, form, tmp_path)
    is_encrypted = "password" in shape
    expected = "a password that opens it" if is_encrypted else "a certificate and its key in PEM"
    with pytest.raises(aionet.OptionError, match=f"expected {expected}") as caught:
        if where == "connect":
            await aionet.connect("tls://127.0.0.1:1", tls=TLSConfig(ca=CA, **arguments), server_hostname=NAME)
        elif where == "serve":
            await aionet.serve(LOCAL, leave, tls=TLSConfig(**arguments))
        else:
            several = TLSConfig(certificate=issue(OTHER), sni={NAME: Certificate(**arguments)})
            await aionet.serve(LOCAL, leave, tls=several)
    text = str(caught.value)
    for name in ("certificate", "key"):
        given_one = arguments.get(name)
        assert given_one is None or f"{name}={_said(given_one)}" in text
    assert GUESS not in text  # it may be nearly right, and this is for a log
    assert "PRIVATE KEY" not in text


def _said(pem: Any) -> str:
    return f"<{len(pem)} bytes>" if isinstance(pem, bytes) else repr(str(pem))


def test_secrets_are_not_shown() -> None:
    for made in (TLSConfig(**SHAPES["encrypted"]), Certificate(**SHAPES["encrypted"])):
        assert PASSWORD not in repr(made)
        assert "PRIVATE KEY" not in repr(made)


def test_a_key_alone_is_refused() -> None:
    with pytest.raises(aionet.OptionError, match="certificate=None: expected the certificate that the key belongs to"):
        TLSConfig(key=KEY)


@pytest.mark.parametrize("password", [GUESS, None], ids=["wrong", "none"])
def test_whoever_gave_a_wrong_password_or_none_is_told_that_it_is_the_password(password: str | None) -> None:
    with pytest.raises(aionet.OptionError, match="password"):
        server_tls(attrs.evolve(TLSConfig(**SHAPES["encrypted"]), password=password))
