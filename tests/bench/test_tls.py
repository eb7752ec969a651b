"""TLS: the same work over it, handshakes, and sessions that are resumed."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from aionet.bench.generator import NotConnectedError
from aionet.bench.plan import TLSPlan
from aionet.errors import OptionError
from tests.bench.generating import generate, plan, replies
from tests.bench.servers import echo, make_certificate, serving

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and for localhost, with its key in the same file."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    """A server's context with that certificate."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(certificate)
    return made


async def test_messages_are_echoed_over_it(certificate: Path, context: ssl.SSLContext) -> None:
    with serving(echo, tls=context) as endpoint:
        for size in ("64", "100000", "uniform:1-3000"):
            tally = await generate(plan(endpoint, size=size, tls=TLSPlan(ca_file=str(certificate)), pipeline=2))
            assert not tally.errors
            assert replies(tally) > 4


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("resume", [True, False])
async def test_handshakes_are_counted_and_sessions_resumed_where_asked(
    certificate: Path, context: ssl.SSLContext, version: ssl.TLSVersion, *, resume: bool
) -> None:
    context.maximum_version = version
    with serving(echo, tls=context) as endpoint:
        tls = TLSPlan(ca_file=str(certificate), resume=resume)
        tally = await generate(plan(endpoint, mode="connect", tls=tls, connections=1, duration=0.5))
    assert not tally.errors
    assert tally.connected >= 2
    assert tally.resumed == (tally.connected - 1 if resume else 0)


async def test_a_certificate_that_nobody_vouches_for_is_refused(context: ssl.SSLContext) -> None:
    with serving(echo, tls=context) as endpoint:
        with pytest.raises(NotConnectedError, match="handshake: certificate verify failed"):
            await generate(plan(endpoint))
        assert replies(await generate(plan(endpoint, tls=TLSPlan(verify=False)))) > 0


async def test_a_certificate_for_another_name_is_refused(certificate: Path, context: ssl.SSLContext) -> None:
    with serving(echo, tls=context) as endpoint, pytest.raises(NotConnectedError, match="certificate verify failed"):
        await generate(plan(endpoint, tls=TLSPlan(ca_file=str(certificate), server_name="example.org")))


async def test_a_ca_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with serving(echo) as endpoint, pytest.raises(OptionError, match=r"the CA file .*no-such\.pem cannot be used"):
        given = plan(endpoint.replace("tcp:", "tls:"), tls=TLSPlan(ca_file=str(tmp_path / "no-such.pem")))
        await generate(given)
