"""Bytes of replies."""

from typing import TypeAlias

__all__ = ["CommandError", "Reply", "encode", "encode_error"]

# A str is a status such as OK, bytes are data, None is nil.
Reply: TypeAlias = "str | int | bytes | list[Reply] | None"


class CommandError(Exception):
    """What the client asked for cannot be done; the connection goes on."""


def encode(reply: Reply) -> bytes:
    """Encode a reply."""
    if isinstance(reply, str):
        return b"+%b\r\n" % reply.encode()
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if reply is None:
        return b"$-1\r\n"
    return b"*%d\r\n%b" % (len(reply), b"".join(map(encode, reply)))


def encode_error(message: str) -> bytes:
    """Encode an error: one line, whatever the client's own words in it contain."""
    return b"-%b\r\n" % " ".join(message.splitlines()).encode()
