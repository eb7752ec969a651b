"""A zone: the records of a master file, and how a question finds them (RFC 1034 section 4.3.2, RFC 4592)."""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

import attrs
from dnslib import QTYPE, RCODE, RR, DNSLabel

Name: TypeAlias = tuple[bytes, ...]
Record: TypeAlias = Any  # an RR of dnslib, which has no types

_PARTS: Final = re.compile(r'(?P<string>"(?:\\.|[^"\\])*")|;[^\n]*|(?P<bracket>[()])')


class ZoneError(ValueError):
    """The file is no zone."""


@attrs.define
class Found:
    """What a question finds."""

    answer: list[Record] = attrs.Factory(list)
    authority: list[Record] = attrs.Factory(list)
    additional: list[Record] = attrs.Factory(list)
    rcode: int = RCODE.NOERROR
    authoritative: bool = True


class Zone:
    """The records of a zone, by name and type."""

    def __init__(self, text: str) -> None:
        """Read a master file (RFC 1035 section 5)."""
        self._records: dict[Name, dict[int, list[Record]]] = {}
        try:
            # dnslib takes parentheses only by themselves.
            records: list[Record] = list(
                RR.fromZone(_PARTS.sub(lambda part: part["string"] or f" {part['bracket'] or ''} ", text))
            )
        except Exception as error:  # dnslib has no class for it
            raise ZoneError(f"no master file: {error}") from error
        for record in records:
            self._records.setdefault(_key(record.rname), {}).setdefault(record.rtype, []).append(record)
        tops = [record for record in records if record.rtype == QTYPE.SOA]
        if len(tops) != 1:
            raise ZoneError(f"{len(tops)} SOA records: expected one")
        self._soa: Record = tops[0]
        self._top = _key(self._soa.rname)
        strangers = [str(record.rname) for record in records if not self.has(record.rname)]
        if strangers:
            raise ZoneError(f"{strangers[0]} is not in the zone {self._soa.rname}")
        # The names that exist only since one below them does.
        self._names = {name[start:] for name in self._records for start in range(len(name) - len(self._top) + 1)}

    @property
    def name(self) -> str:
        """The name of the zone."""
        return str(self._soa.rname)

    def has(self, name: DNSLabel) -> bool:
        """Whether the name is in the zone, or would be."""
        return _key(name)[-len(self._top) :] == self._top if self._top else True

    def find(self, name: DNSLabel, type_: int) -> Found:
        """Answer a question about a name in the zone."""
        found = Found()
        seen = set()
        alias: DNSLabel | None = name
        # Out of the zone the rest is for others to say, and a circle of aliases ends where it began.
        while alias is not None and self.has(alias) and _key(alias) not in seen:
            seen.add(_key(alias))
            alias = self._find(alias, type_, found)
        return found

    def _find(self, name: DNSLabel, type_: int, found: Found) -> DNSLabel | None:
        """Add what a name has; return what it is an alias of, if it is one."""
        key = _key(name)
        delegation = self._delegation(key)
        if delegation is not None:
            found.authority += delegation
            found.additional += self._addresses_of(delegation)
            found.authoritative = bool(found.answer)
            return None
        sets = self._records.get(key)
        if sets is None and key not in self._names:
            sets = self._wildcard(key)
            if sets is None:
                found.rcode = RCODE.NXDOMAIN
                found.authority.append(self._negative())
                return None
        sets = sets or {}
        if QTYPE.CNAME in sets and type_ not in (QTYPE.CNAME, QTYPE.ANY):
            found.answer += _named(sets[QTYPE.CNAME], name)
            target: DNSLabel = sets[QTYPE.CNAME][0].rdata.label
            return target
        # To ANY one set is answer enough (RFC 8482 section 4.1).
        records = next(iter(sets.values()), []) if type_ == QTYPE.ANY else sets.get(type_, [])
        if records:
            found.answer += _named(records, name)
            found.additional += self._addresses_of(records)
        else:
            found.authority.append(self._negative())
        return None

    def _delegation(self, key: Name) -> list[Record] | None:
        """The NS records of the part of the zone that the name is in, if that part is another server's."""
        for start in range(len(key) - len(self._top) - 1, -1, -1):
            servers = self._records.get(key[start:], {}).get(QTYPE.NS)
            if servers:
                return servers
        return None

    def _wildcard(self, key: Name) -> dict[int, list[Record]] | None:
        """What the closest name above that exists has for all that do not (RFC 4592 section 3.3.1)."""
        above = next(key[start:] for start in range(1, len(key) + 1) if key[start:] in self._names)
        return self._records.get((b"*", *above))

    def _negative(self) -> Record:
        """The SOA, for as long as "there is no such thing" may be remembered (RFC 2308 section 3)."""
        soa = self._soa
        minimum: int = soa.rdata.times[4]
        return RR(soa.rname, QTYPE.SOA, rdata=soa.rdata, ttl=min(soa.ttl, minimum))

    def _addresses_of(self, records: list[Record]) -> list[Record]:
        """The addresses that whoever gets these records asks for next, as far as they are here."""
        found = []
        for record in records:
            target = getattr(record.rdata, "label" if record.rtype in (QTYPE.NS, QTYPE.MX) else "target", None)
            if record.rtype in (QTYPE.NS, QTYPE.MX, QTYPE.SRV) and target is not None:
                sets = self._records.get(_key(target), {})
                found += [each for type_ in (QTYPE.A, QTYPE.AAAA) for each in sets.get(type_, [])]
        return found


def _key(name: DNSLabel) -> Name:
    return tuple(label.lower() for label in name.label)


def _named(records: list[Record], name: DNSLabel) -> list[Record]:
    """The same records under the name that was asked for: a wildcard's, or another spelling."""
    return [RR(name, record.rtype, record.rclass, record.ttl, record.rdata) for record in records]
