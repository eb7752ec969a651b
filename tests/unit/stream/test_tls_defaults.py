"""connect with tls=True: whom the system trusts, and nobody else."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import aionet
from aionet import TLSConfig
from tests.certificates import AUTHORITY, CA, NAME, SERVER, write_pem
from tests.programs import PATIENCE
from tests.turns import until

if TYPE_CHECKING:
    from pathlib import Path

SELF_SIGNED = TLSConfig(certificate=CA, key=AUTHORITY.private_key_pem.bytes())

# A program of its own: where the authorities are is read from the environment.
PROGRAM = """
import sys
import aionet

async def main(endpoint, name):
    async with aionet.connect(endpoint, tls=True, server_hostname=name) as stream:
        print(stream.tls.version, await stream.recv())

aionet.run(main(*sys.argv[2:]), loop=sys.argv[1])
"""


async def greet(stream: aionet.Stream) -> None:
    """Say a word."""
    await stream.send(b"hello")


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
@pytest.mark.parametrize(
    ("server", "complaint"),
    [(SERVER, "unable to get local issuer certificate"), (SELF_SIGNED, "self-signed certificate")],
    ids=["an authority of its own", "self-signed"],
)
async def test_true_verifies_the_certificate(server: TLSConfig, complaint: str, scheme: str) -> None:
    async with aionet.serve("tcp://127.0.0.1:0", greet, tls=server) as listening:
        with pytest.raises(aionet.TLSCertificateError, match=complaint):
            await aionet.connect(f"{scheme}://{listening.addresses[0]}", tls=True, server_hostname=NAME)
        await until(lambda: listening.statistics().handshake_failures == 1)
        assert listening.statistics().accepted == 0


@pytest.mark.parametrize(
    ("name", "trusted", "said"),
    [
        (NAME, True, "TLSv1.3 b'hello'"),
        ("other.test", True, "TLSCertificateError: "),
        (NAME, False, "TLSCertificateError: "),
    ],
    ids=["trusted", "trusted, but for another name", "not trusted"],
)
async def test_true_trusts_the_authorities_of_the_environment(
    name: str, said: str, tmp_path: Path, *, trusted: bool
) -> None:
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    environment = dict(os.environ)
    if trusted:
        environment["SSL_CERT_FILE"] = write_pem(tmp_path, "ca.pem", CA)
    async with aionet.serve("tls://127.0.0.1:0", greet, tls=SERVER) as server:
        command = [sys.executable, "-c", PROGRAM, loop, f"tcp://{server.addresses[0]}", name]
        done = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, timeout=PATIENCE, check=False, text=True
        )
    assert said in (done.stdout + done.stderr)
    assert (done.returncode == 0) == (said in done.stdout)
