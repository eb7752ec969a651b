"""An authoritative name server (RFC 1034, 1035): its zone, and what it answers."""
