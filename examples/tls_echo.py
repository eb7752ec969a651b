"""An echo server behind TLS, with a certificate that it makes on the fly.

    pip install trustme
    python examples/tls_echo.py --port 8443 --ca /tmp/ca.pem
    openssl s_client -connect 127.0.0.1:8443 -CAfile /tmp/ca.pem -verify_return_error

The authority that issues the certificate lives as long as the program; ``--ca`` is where clients find it. With
``--client-certificate required`` only those get in whose certificate is that authority's: ``--client`` is where one is
written, for such a client to use. SIGHUP makes a new certificate, and loses no connection.
"""

import argparse
import asyncio
import signal
import tempfile
from pathlib import Path
from typing import Literal

import attrs
import trustme

import aionet


async def echo(stream: aionet.Stream) -> None:
    """Send everything back. The end of the loop is the client's close_notify."""
    async for data in stream:
        await stream.send(data)


def issue(authority: trustme.CA, names: list[str], path: Path) -> None:
    """Write a new certificate for some names, and its key, to a file that is ours alone."""
    pem = authority.issue_cert(*names).private_key_and_cert_chain_pem.bytes()
    path.touch(mode=0o600)
    path.write_bytes(pem)


async def main(endpoint: aionet.Endpoint, tls: aionet.TLSConfig, renew: asyncio.Event) -> None:
    """Serve until a signal; renew the certificate whenever it is asked for."""
    async with aionet.serve(endpoint, echo, tls=tls) as server:
        print("listening on", *server.addresses, flush=True)
        serving = asyncio.create_task(server.serve_forever())
        while not serving.done():
            asked = asyncio.create_task(renew.wait())
            await asyncio.wait([serving, asked], return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if renew.is_set():
                renew.clear()
                aionet.reload_certificates(tls)
                print("renewed", flush=True)


async def run(args: argparse.Namespace, folder: Path) -> None:
    """Make the certificates, then serve."""
    authority = trustme.CA()
    mine = folder / "server.pem"
    names = ["localhost", "127.0.0.1", "::1", *args.name]
    issue(authority, names, mine)
    if args.ca:
        args.ca.write_bytes(authority.cert_pem.bytes())
    if args.client:
        issue(authority, ["client@example.org"], args.client)
    mode: Literal["off", "optional", "required"] = args.client_certificate
    tls = aionet.TLSConfig(certificate=mine, alpn=args.alpn)
    if mode != "off":
        tls = attrs.evolve(tls, client_certificate=mode, ca=authority.cert_pem.bytes())
    renew = asyncio.Event()

    def hang_up() -> None:
        issue(authority, names, mine)
        renew.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up)
    await main(aionet.Endpoint("tls", args.host, args.port), tls, renew)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An echo server behind TLS.")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen on (default: %(default)s)")
    parser.add_argument("--port", default=8443, type=int, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--name", action="append", default=[], help="one more name in the certificate")
    parser.add_argument("--ca", type=Path, help="write the authority's certificate to this file")
    parser.add_argument("--client", type=Path, help="write a client's certificate and key to this file")
    parser.add_argument("--client-certificate", default="off", choices=("off", "optional", "required"))
    parser.add_argument("--alpn", action="append", default=[], help="a protocol to offer; may be given again")
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        aionet.run(run(arguments, Path(temporary)), loop=arguments.loop)
