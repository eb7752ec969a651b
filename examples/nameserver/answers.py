"""What a query is answered: bytes for bytes, or nothing, and never an exception (RFC 1035, RFC 6891)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from dnslib import CLASS, EDNS0, QTYPE, RCODE, DNSHeader, DNSRecord

if TYPE_CHECKING:
    from nameserver.zone import Found, Zone

_HEADER: Final = struct.Struct("!6H")
_RESPONSE: Final = 0x8000
_OPCODE: Final = 0x7800
_ECHOED: Final = 0x7900  # the opcode, and whether recursion is desired
_PLAIN_SIZE: Final = 512  # of a client that says nothing (RFC 1035 section 4.2.1)
_VERSION: Final = 0  # of EDNS
_BADVERS: Final = 16
# What passes everywhere in one piece: https://www.dnsflagday.net/2020
DEFAULT_SIZE: Final = 1232
LARGEST: Final = 65535


def answer(query: bytes, zone: Zone, *, largest: int = DEFAULT_SIZE, over_tcp: bool = False) -> bytes | None:
    """Answer a query. None: it is none, or so broken that there is nobody to tell."""
    if len(query) < _HEADER.size:
        return None
    number, flags, *_ = _HEADER.unpack_from(query)
    if flags & _RESPONSE:  # an answer to a response would be answered by the next server
        return None
    if flags & _OPCODE:
        return _bare(number, flags, RCODE.NOTIMP)
    try:
        parsed = DNSRecord.parse(query)
        return _reply(parsed, zone, largest, over_tcp=over_tcp)
    except Exception:  # noqa: BLE001 - dnslib raises whatever it comes upon, and these bytes are a stranger's
        return _bare(number, flags, RCODE.FORMERR)


def _bare(number: int, flags: int, rcode: int) -> bytes:
    """A header alone: the question may be what cannot be read."""
    return _HEADER.pack(number, _RESPONSE | (flags & _ECHOED) | rcode, 0, 0, 0, 0)


def _reply(query: DNSRecord, zone: Zone, largest: int, *, over_tcp: bool) -> bytes:
    reply = DNSRecord(DNSHeader(id=query.header.id, qr=1, aa=0, ra=0, rd=query.header.rd))
    options = [record for record in query.ar if record.rtype == QTYPE.OPT]
    if len(query.questions) != 1 or len(options) > 1:
        reply.header.rcode = RCODE.FORMERR
        return bytes(reply.pack())
    reply.add_question(query.q)
    size = LARGEST
    if options:
        (option,) = options
        version = (option.ttl >> 16) & 0xFF
        reply.add_ar(EDNS0(udp_len=largest, ext_rcode=_BADVERS >> 4 if version > _VERSION else 0))
        size = min(max(option.rclass, _PLAIN_SIZE), largest)
        if version > _VERSION:
            return bytes(reply.pack())
    else:
        size = _PLAIN_SIZE
    if query.q.qclass not in (CLASS.IN, QTYPE.ANY) or not zone.has(query.q.qname):
        reply.header.rcode = RCODE.REFUSED
        return bytes(reply.pack())
    return _filled(reply, zone.find(query.q.qname, query.q.qtype), LARGEST if over_tcp else size)


def _filled(reply: DNSRecord, found: Found, size: int) -> bytes:
    """Put in what was found, as far as there is room for it: the additional records may be missing, and no others."""
    reply.header.rcode, reply.header.aa = found.rcode, int(found.authoritative)
    options, reply.ar = reply.ar, []
    empty = bytes(DNSRecord(reply.header, reply.questions, ar=options).pack())
    reply.add_answer(*found.answer)
    reply.add_auth(*found.authority)
    for additional in ([*found.additional, *options], options):
        reply.ar = additional
        packed = bytes(reply.pack())
        if len(packed) <= size:
            return packed
    truncated = bytearray(empty)
    truncated[2] |= 0x02  # TC: ask again over TCP
    return bytes(truncated)
