"""The options of commands that speak TLS, as a client or as a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from aionet.tls import TLSConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aionet.address import Endpoint
    from aionet.tls import TLSInfo

__all__ = ["ClientTLS", "ServerTLS", "client_tls_options", "server_tls_options", "shown"]

_FILE: Final = click.Path(exists=True, dir_okay=False)

_CERTIFICATE: Final = (
    click.option("--tls-cert", type=_FILE, help="TLS: our certificate and, unless --tls-key has it, its key, as PEM."),
    click.option("--tls-key", type=_FILE, help="TLS: the key of our certificate, as PEM."),
)
_ALPN: Final = click.option(
    "--alpn", multiple=True, help="TLS: a protocol that we speak, such as h2; more than once, the dearest first."
)


@attrs.frozen(kw_only=True)
class ClientTLS:
    """What was asked for, of a client."""

    tls: bool
    tls_cert: str | None
    tls_key: str | None
    ca: str | None
    server_name: str | None
    alpn: Sequence[str]
    insecure_skip_verification: bool
    insecure_skip_hostname_check: bool

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> ClientTLS:
        """Take its options out of those of a command."""
        return cls(**{each.name: options.pop(each.name) for each in attrs.fields(cls)})

    def config(self, endpoint: Endpoint) -> TLSConfig | None:
        """Return how to speak TLS, None for a plain connection. Raises click.UsageError."""
        if not self.tls and endpoint.scheme != "tls":
            for field in attrs.fields(type(self)):
                if getattr(self, field.name):
                    option = "--" + field.name.replace("_", "-")
                    raise click.UsageError(f"{option} is for TLS: expected tls://host:port, or --tls")
            return None
        return TLSConfig(
            certificate=self.tls_cert,
            key=self.tls_key,
            ca=self.ca,
            alpn=self.alpn,
            insecure_skip_verification=self.insecure_skip_verification,
            insecure_skip_hostname_check=self.insecure_skip_hostname_check,
        )


@attrs.frozen(kw_only=True)
class ServerTLS:
    """What was asked for, of a server."""

    tls_cert: str | None
    tls_key: str | None
    client_ca: str | None
    alpn: Sequence[str]

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> ServerTLS:
        """Take its options out of those of a command."""
        return cls(**{each.name: options.pop(each.name) for each in attrs.fields(cls)})

    def config(self, endpoints: Sequence[Endpoint]) -> TLSConfig | None:
        """Return how to speak TLS, None for plain connections. Raises click.UsageError."""
        if self.tls_cert is None:
            if any(endpoint.scheme == "tls" for endpoint in endpoints):
                raise click.UsageError(
                    "tls:// needs a certificate: --tls-cert, and --tls-key where its key is elsewhere"
                )
            if self.tls_key or self.client_ca or self.alpn:
                raise click.UsageError("--tls-key, --client-ca and --alpn need --tls-cert")
            return None
        return TLSConfig(
            certificate=self.tls_cert,
            key=self.tls_key,
            ca=self.client_ca,
            client_certificate="required" if self.client_ca else "off",
            alpn=self.alpn,
        )


def client_tls_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ClientTLS."""
    options = (
        click.option("--tls", is_flag=True, help="TLS where the endpoint does not say so, as over a Unix socket."),
        click.option("--ca", type=_FILE, help="TLS: whom to trust, as PEM.  [default: whom the system trusts]"),
        click.option(
            "--server-name",
            "--sni",
            "server_name",
            help="TLS: the name to ask for and to find in the certificate.  [default: the host]",
        ),
        _ALPN,
        *_CERTIFICATE,
        click.option(
            "--insecure-skip-hostname-check", is_flag=True, help="TLS: take a certificate that is for another name."
        ),
        click.option(
            "--insecure-skip-verification",
            is_flag=True,
            help="TLS: take any certificate. Anybody in between can then read and change what passes.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def server_tls_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ServerTLS."""
    client_ca = click.option(
        "--client-ca", type=_FILE, help="TLS: let in only clients with a certificate of these authorities, as PEM."
    )
    for option in (_ALPN, client_ca, *reversed(_CERTIFICATE)):
        command = option(command)
    return command


def shown(info: TLSInfo) -> tuple[str, dict[str, object]]:
    """Return what the two ends have agreed on, in words and as facts."""
    facts: dict[str, object] = {
        "version": info.version,
        "cipher": info.cipher,
        "alpn": info.alpn,
        "sni": info.sni,
        "resumed": info.resumed,
    }
    agreed = [info.version, info.cipher, *(["alpn " + info.alpn] if info.alpn else [])]
    return f", {' '.join(agreed)}", facts
