"""What can be said about TLS: TLSConfig, and what a connection has agreed on: TLSInfo.

Both are values; aionet/system/tls_context.py makes the ssl module's contexts of a TLSConfig.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

from aionet.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PEM", "Certificate", "TLSConfig", "TLSInfo", "TLSLike"]

# A path, or the PEM text itself as bytes.
PEM: TypeAlias = str | os.PathLike[str] | bytes
ClientCertificate: TypeAlias = Literal["off", "optional", "required"]

_CLIENT_CERTIFICATE = ("off", "optional", "required")
_MAX_ALPN = 255  # RFC 7301 section 3.1: a length of one byte


def _refuse(instance: object, name: str, shown: str, expected: str) -> OptionError:
    return OptionError(f"{type(instance).__name__}: {name}={shown}: expected {expected}")


def _is_pem(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bytes):
        if b"-----BEGIN " not in value:  # and it may be a key: say nothing of what it is
            raise _refuse(instance, attribute.name, f"{len(value)} bytes", "PEM, with a line of -----BEGIN in it")
    elif not isinstance(value, (str, os.PathLike)):
        raise _refuse(instance, attribute.name, repr(value), "a path, or PEM as bytes")


def _optional(validator: Callable[[Any, attrs.Attribute[Any], Any], None]) -> Callable[..., None]:
    def validate(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None:
            validator(instance, attribute, value)

    return validate


def _is_text(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        raise _refuse(instance, attribute.name, repr(value), "a string")


def _is_path(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, (str, os.PathLike)):
        raise _refuse(instance, attribute.name, repr(value), "a path")


def _is_flag(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise _refuse(instance, attribute.name, repr(value), "True or False")


def _is_version(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, ssl.TLSVersion):
        raise _refuse(instance, attribute.name, repr(value), "an ssl.TLSVersion")


def _is_alpn(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:  # noqa: ANN401 - still to be checked
    if not all(isinstance(name, str) and name.isascii() and 0 < len(name) <= _MAX_ALPN for name in value):
        raise _refuse(instance, attribute.name, repr(value), f"names of 1 to {_MAX_ALPN} ASCII characters")


def _is_client_certificate(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value not in _CLIENT_CERTIFICATE:
        raise _refuse(instance, attribute.name, repr(value), "'off', 'optional' or 'required'")


def _is_sni(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:  # noqa: ANN401 - still to be checked
    if not _is_tuple(value):
        raise _refuse(instance, attribute.name, repr(value), "a dict of host names and Certificates")
    for name, certificate in value:
        if not _is_host_name(name) or not isinstance(certificate, Certificate):
            raise _refuse(instance, attribute.name, f"{{{name!r}: {certificate!r}}}", "host names and Certificates")


def _is_tuple(value: object) -> bool:
    return isinstance(value, tuple)


def _is_host_name(name: object) -> bool:
    try:
        return isinstance(name, str) and bool(name.encode("idna"))
    except UnicodeError:
        return False


def _names(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - still to be checked
    # One string is iterable too, and would become a list of letters. What is no list is for the validator.
    if isinstance(value, str):
        return (value,)
    try:
        return tuple(value)
    except TypeError:
        return (value,)


def _pairs(
    value: Mapping[str, Certificate] | tuple[tuple[str, Certificate], ...],
) -> tuple[tuple[str, Certificate], ...]:
    return tuple(value.items()) if isinstance(value, Mapping) else value


def _shown(value: object) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else repr(value)


@attrs.frozen(kw_only=True)
class Certificate:
    """A certificate and its key, each a path, or PEM as bytes.

    ``certificate`` is the chain, our own first. ``key`` None: it is in the same file. ``password`` is the key's.
    """

    certificate: PEM = attrs.field(validator=_is_pem, repr=_shown)
    key: PEM | None = attrs.field(default=None, validator=_optional(_is_pem), repr=_shown)
    password: str | bytes | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class TLSConfig:
    """How to speak TLS, as a client or as a server. The defaults verify the peer's certificate and its name.

    | option | default | meaning |
    |---|---|---|
    | ``certificate``, ``key``, ``password`` | None | our own, as in Certificate; a server needs one |
    | ``sni`` | none | a Certificate for each name a client may ask for; ``*.example.org`` is any one label |
    | ``ca`` | None | who may have issued the peer's certificate; None: whom the system trusts |
    | ``client_certificate`` | "off" | of a server: "off", "optional" or "required" |
    | ``alpn`` | none | the protocols that we speak, the dearest first (RFC 7301) |
    | ``minimum_version`` | TLS 1.2 | an ssl.TLSVersion |
    | ``maximum_version`` | the newest | an ssl.TLSVersion |
    | ``ciphers`` | None | OpenSSL's cipher list for TLS 1.2; None: its own choice |
    | ``session_tickets`` | True | server: give tickets; client: resume sessions (RFC 8446 2.2, RFC 5077) |
    | ``keylog_file`` | None | append the secrets of each connection there, for Wireshark: whoever has it reads all |
    | ``accept_truncation`` | False | an end without close_notify is an end: an attacker can then cut messages off |
    | ``insecure_skip_hostname_check`` | False | of a client: take a certificate that is for any other name |
    | ``insecure_skip_verification`` | False | of a client: take any certificate. Anybody in between reads and writes |

    Raises OptionError for a value out of range. Files are read when they are first needed, and anew with
    ``reload_certificates``.
    Source: RFC 8446, RFC 5246, RFC 6066 section 3 (server names); Python's ssl module.
    """

    certificate: PEM | None = attrs.field(default=None, validator=_optional(_is_pem), repr=_shown)
    key: PEM | None = attrs.field(default=None, validator=_optional(_is_pem), repr=_shown)
    password: str | bytes | None = attrs.field(default=None, repr=False)
    sni: tuple[tuple[str, Certificate], ...] = attrs.field(default=(), converter=_pairs, validator=_is_sni)
    ca: PEM | None = attrs.field(default=None, validator=_optional(_is_pem), repr=_shown)
    client_certificate: ClientCertificate = attrs.field(default="off", validator=_is_client_certificate)
    alpn: tuple[str, ...] = attrs.field(default=(), converter=_names, validator=_is_alpn)
    minimum_version: ssl.TLSVersion = attrs.field(default=ssl.TLSVersion.TLSv1_2, validator=_is_version)
    maximum_version: ssl.TLSVersion = attrs.field(default=ssl.TLSVersion.MAXIMUM_SUPPORTED, validator=_is_version)
    ciphers: str | None = attrs.field(default=None, validator=_optional(_is_text))
    session_tickets: bool = attrs.field(default=True, validator=_is_flag)
    keylog_file: str | os.PathLike[str] | None = attrs.field(default=None, validator=_optional(_is_path))
    accept_truncation: bool = attrs.field(default=False, validator=_is_flag)
    insecure_skip_hostname_check: bool = attrs.field(default=False, validator=_is_flag)
    insecure_skip_verification: bool = attrs.field(default=False, validator=_is_flag)

    # The contexts that were made of this object: aionet/system/tls_context.py keeps them here.
    _made: dict[str, Any] = attrs.field(factory=dict[str, Any], init=False, repr=False, eq=False, hash=False)

    def __attrs_post_init__(self) -> None:
        if self.key is not None and self.certificate is None:
            raise _refuse(self, "certificate", "None", "the certificate that the key belongs to")
        if self.client_certificate != "off" and self.ca is None:
            # The system's authorities would let in whoever has a certificate of any web site.
            raise _refuse(self, "ca", "None", "who issues the certificates of clients")

    def __reduce__(self) -> tuple[Callable[..., TLSConfig], tuple[()]]:
        # Without the contexts, which cannot be copied or pickled.
        given = {field.name: getattr(self, field.name) for field in attrs.fields(type(self)) if field.init}
        return partial(type(self), **given), ()


# What ``tls=`` takes; True is TLSConfig().
TLSLike: TypeAlias = TLSConfig | ssl.SSLContext | bool


@attrs.frozen(kw_only=True)
class TLSInfo:
    """What the two ends of a connection have agreed on.

    ``version`` is "TLSv1.2" or "TLSv1.3", ``cipher`` OpenSSL's name. ``alpn`` is the chosen protocol, ``sni`` the name
    that the client asked for, None where there is none. ``peer_certificate`` is the peer's certificate in DER, None
    where it gave none. ``resumed``: the handshake went on from an earlier session, without certificates.
    """

    version: str
    cipher: str
    alpn: str | None
    sni: str | None
    peer_certificate: bytes | None = attrs.field(repr=_shown)
    resumed: bool
