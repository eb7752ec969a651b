"""The ssl module's contexts, made of a TLSConfig, and what belongs to a context: its sessions, its certificates.

A context is dear to make, since whom the system trusts is read from files, so the clients of one TLSConfig share one.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from aionet.errors import OptionError
from aionet.tls import PEM, Certificate, TLSConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from aionet.tls import TLSLike

__all__ = ["ClientTLS", "ServerTLS", "client_tls", "reload_certificates", "server_tls"]

# Peers whose last session is kept: one is some 2 KiB.
_SESSIONS: Final = 256


class _NamedSocket(ssl.SSLSocket):
    """A server's socket, which knows the name that the client asked for."""

    requested_name: str | None = None


class _NamedObject(ssl.SSLObject):
    """The same without a descriptor."""

    requested_name: str | None = None


class ClientTLS:
    """A client's context, and the sessions that its next connections may resume."""

    __slots__ = ("__weakref__", "_sessions", "context")

    def __init__(self, context: ssl.SSLContext, *, resume: bool) -> None:
        self.context = context
        self._sessions: OrderedDict[Hashable, ssl.SSLSession] | None = OrderedDict() if resume else None

    def session(self, peer: Hashable) -> ssl.SSLSession | None:
        """Return the last session with a peer."""
        return None if self._sessions is None else self._sessions.get(peer)

    def keep(self, peer: Hashable, session: ssl.SSLSession | None) -> None:
        """Keep a session for the next connection to the same peer; those of peers long unseen are forgotten."""
        if self._sessions is None or session is None:
            return
        self._sessions[peer] = session
        self._sessions.move_to_end(peer)
        if len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)


class ServerTLS:
    """A server's context: that of the handshakes that begin now."""

    __slots__ = ("context",)

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context


_DEFAULT: Final = TLSConfig()


def client_tls(tls: TLSLike) -> ClientTLS:
    """Return what a client needs, the same each time for the same TLSConfig.

    Raises:
        OptionError: a file cannot be used.

    """
    if isinstance(tls, ssl.SSLContext):
        return ClientTLS(tls, resume=False)
    made = _made_of(config := _config_of(tls))
    if "client" not in made:
        made["client"] = ClientTLS(_client_context(config), resume=config.session_tickets)
    return cast("ClientTLS", made["client"])


def server_tls(tls: TLSLike) -> ServerTLS:
    """Return what a server needs, the same each time for the same TLSConfig.

    Raises:
        OptionError: there is no certificate, or a file cannot be used.

    """
    if isinstance(tls, ssl.SSLContext):
        return ServerTLS(tls)
    made = _made_of(config := _config_of(tls))
    if "server" not in made:
        made["server"] = ServerTLS(_server_context(config))
    return cast("ServerTLS", made["server"])


def reload_certificates(tls: TLSConfig) -> None:
    """Read the files of a TLSConfig anew, for every handshake that begins from now on, on whichever server or client.

    Connections that exist go on with what they have. What cannot be read raises, and changes nothing.

    Raises:
        OptionError: a file cannot be used.

    """
    made = _made_of(_checked(tls))
    server = _server_context(tls) if "server" in made else None
    client = _client_context(tls) if "client" in made else None
    if server is not None:
        made["server"].context = server
    if client is not None:
        made["client"] = ClientTLS(client, resume=tls.session_tickets)


def _checked(tls: object) -> TLSConfig:
    if not isinstance(tls, TLSConfig):
        message = f"reload_certificates: {tls!r}: expected a TLSConfig"
        raise OptionError(message)
    return tls


def _made_of(config: TLSConfig) -> dict[str, Any]:
    return config._made  # noqa: SLF001 - what is made of it lives as long as it does, and is nobody else's  # pyright: ignore[reportPrivateUsage]


def _config_of(tls: Any) -> TLSConfig:  # noqa: ANN401 - what it is, is for this to find out
    if tls is True:
        return _DEFAULT
    if isinstance(tls, TLSConfig):
        return tls
    message = f"tls={tls!r}: expected a TLSConfig, an ssl.SSLContext or True"
    raise OptionError(message)


def _client_context(config: TLSConfig) -> ssl.SSLContext:
    context = _context(config, ssl.PROTOCOL_TLS_CLIENT)
    if config.client_certificate != "off" or config.sni:
        message = "TLSConfig: client_certificate and sni are a server's: expected neither in a client's"
        raise OptionError(message)
    if config.insecure_skip_verification:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context.check_hostname = not config.insecure_skip_hostname_check
    if config.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_ca(context, config.ca)
    return context


def _server_context(config: TLSConfig) -> ssl.SSLContext:
    if config.certificate is None:
        message = "TLSConfig: certificate=None: expected one, since a server needs it"
        raise OptionError(message)
    if config.insecure_skip_verification or config.insecure_skip_hostname_check:
        message = "TLSConfig: insecure_skip_...=True is for clients: a server verifies what client_certificate says"
        raise OptionError(message)
    context = _context(config, ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    if config.client_certificate != "off":
        context.verify_mode = ssl.CERT_REQUIRED if config.client_certificate == "required" else ssl.CERT_OPTIONAL
    if config.ca is not None:
        _load_ca(context, config.ca)
    if not config.session_tickets:
        context.num_tickets = 0
    context.sslsocket_class = _NamedSocket
    context.sslobject_class = _NamedObject
    context.sni_callback = _chooser({name: _server_context(_with(config, each)) for name, each in config.sni})
    return context


def _with(config: TLSConfig, certificate: Certificate) -> TLSConfig:
    """The same with another certificate: OpenSSL takes ALPN, the CA and the key log of the chosen context, too."""
    return attrs.evolve(
        config, certificate=certificate.certificate, key=certificate.key, password=certificate.password, sni=()
    )


def _chooser(contexts: dict[str, ssl.SSLContext]) -> Callable[[Any, str | None, ssl.SSLContext], None]:
    """Make the function that OpenSSL calls with the name that a client asks for; one that we do not have is no error.

    The first certificate is then shown, and the client says what it thinks of it (RFC 6066 section 3 leaves it open).
    """

    def choose(sock: Any, name: str | None, _context: ssl.SSLContext) -> None:  # noqa: ANN401 - a socket or an object
        sock.requested_name = name
        if name is None:
            return
        name = name.lower()
        chosen = contexts.get(name) or contexts.get("*." + name.partition(".")[2])
        if chosen is not None:
            sock.context = chosen

    # Clients ask for the form that is in the DNS, and so in ASCII.
    contexts = {name.encode("idna").decode("ascii").lower(): context for name, context in contexts.items()}
    return choose


def _context(config: TLSConfig, protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = config.minimum_version
    context.maximum_version = config.maximum_version
    # Renegotiation (TLS 1.2 and before) has nothing to offer, and a peer can have us compute with it.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if config.accept_truncation:
        context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    if not config.session_tickets:
        context.options |= ssl.OP_NO_TICKET
    if config.ciphers is not None:
        try:
            context.set_ciphers(config.ciphers)
        except ssl.SSLError as exc:
            message = f"TLSConfig: ciphers={config.ciphers!r}: expected names that OpenSSL knows"
            raise OptionError(message) from exc
    if config.alpn:
        context.set_alpn_protocols(list(config.alpn))
    if config.keylog_file is not None:
        _set_keylog(context, config.keylog_file)
    if config.certificate is not None:
        _load_certificate(
            context, Certificate(certificate=config.certificate, key=config.key, password=config.password)
        )
    return context


def _set_keylog(context: ssl.SSLContext, file: str | os.PathLike[str]) -> None:
    try:
        context.keylog_filename = os.fspath(file)
    except OSError as exc:
        message = f"TLSConfig: keylog_file={os.fspath(file)!r}: {_reason(exc)}: expected a file that can be written"
        raise OptionError(message) from exc


def _load_ca(context: ssl.SSLContext, ca: PEM) -> None:
    try:
        with _Files() as files:  # the module takes text, too, but none with a comment that is not ASCII
            context.load_verify_locations(cafile=files.path(ca))
    except (OSError, ValueError) as exc:
        message = f"TLSConfig: ca={_name(ca)}: {_reason(exc)}: expected certificates in PEM"
        raise OptionError(message) from exc


def _load_certificate(context: ssl.SSLContext, certificate: Certificate) -> None:
    password = certificate.password
    asked = False

    def ask() -> str | bytes:  # never on the terminal: a server would wait for ever
        nonlocal asked
        asked = True
        return password or b""

    try:
        with _Files() as files:
            context.load_cert_chain(
                files.path(certificate.certificate),
                None if certificate.key is None else files.path(certificate.key),
                password=ask,
            )
    except (OSError, ValueError) as exc:
        reason, expected = _reason(exc), "a certificate and its key in PEM"
        if asked:  # OpenSSL has no more to say of a wrong one than of nonsense
            reason = "the key is encrypted" if password is None else "not the password of this key, or no key"
            expected = "a password that opens it"
        key = "" if certificate.key is None else f", key={_name(certificate.key)}"
        message = f"TLSConfig: certificate={_name(certificate.certificate)}{key}: {reason}: expected {expected}"
        raise OptionError(message) from exc


class _Files:
    """Files for OpenSSL, which reads PEM from nothing else: readable by us alone, and gone when the block ends."""

    def __init__(self) -> None:
        self._paths: list[str] = []

    def __enter__(self) -> _Files:  # noqa: PYI034 - nobody derives from it
        return self

    def __exit__(self, *exc: object) -> None:
        for path in self._paths:
            os.unlink(path)  # noqa: PTH108 - as it came from mkstemp

    def path(self, pem: PEM) -> str | os.PathLike[str]:
        """Return the path of what may be PEM text."""
        if not isinstance(pem, bytes):
            return pem
        descriptor, path = tempfile.mkstemp(suffix=".pem")
        self._paths.append(path)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - it is a descriptor
            file.write(pem)
        return path


def _name(pem: PEM) -> str:
    return f"<{len(pem)} bytes>" if isinstance(pem, bytes) else repr(os.fspath(pem))


def _reason(exc: Exception) -> str:
    return getattr(exc, "reason", None) or getattr(exc, "strerror", None) or str(exc)
