"""A receiving SMTP server that stores mail in a folder, with STARTTLS.

    pip install trustme
    python examples/smtp_starttls.py --port 2525 --folder /tmp/mail --ca /tmp/ca.pem
    swaks --server 127.0.0.1:2525 --to you@example.org --tls

Every mail becomes one file. RFC 5321 is the protocol, RFC 3207 its STARTTLS. After STARTTLS nothing is kept of what the
client said before (RFC 3207 section 4.2), and what it has sent behind the command, in the clear, ends the connection:
it could be a stranger's, to be executed as the client's (CVE-2011-0411). ``start_tls`` sees to that.
"""

import argparse
import asyncio
import os
import re
import tempfile
from pathlib import Path
from typing import Final

import attrs
import trustme

import aionet

# RFC 5321 section 4.5.3.1: a command line 512 bytes. Be generous, and bounded.
MAX_COMMAND: Final = 2048
# A line of text has no limit of its own ("techniques that impose no limits", ibid.): what is longer comes in parts.
PART: Final = 64 * 1024
MAX_MAIL: Final = 25 * 1024 * 1024
MAX_RECIPIENTS: Final = 100
MAX_MISTAKES: Final = 20
# RFC 5321 section 4.5.3.2.7: five minutes between commands.
TIMEOUTS: Final = aionet.Timeouts(idle=300, message=300)
PATH: Final = re.compile(rb"(FROM|TO):\s*<([^<>\s]*)>((?:\s.*)?)", re.IGNORECASE)
# RFC 1870 section 3 and RFC 6152 section 3.
PARAMETER: Final = re.compile(rb"SIZE=(\d{1,20})|BODY=(?:7BIT|8BITMIME)", re.IGNORECASE)
NO_PARAMETER: Final = b"555 5.5.4 No such parameter"
TOO_MUCH: Final = b"552 5.3.4 Too much mail"


@attrs.define
class Envelope:
    """Who a mail is from, and whom it is for."""

    sender: bytes
    recipients: list[bytes] = attrs.field(factory=list)


class Session:
    """One client: what it has said so far, and whether nobody else could have heard it."""

    def __init__(self, stream: aionet.Stream, folder: Path, tls: aionet.TLSConfig) -> None:
        self._stream = stream
        self._folder = folder
        self._tls = tls
        self._greeted = False
        self._envelope: Envelope | None = None
        self._mistakes = 0

    async def serve(self) -> None:
        """Answer one command after the other, until the client quits."""
        await self._reply(b"220 aionet ESMTP")
        while (line := await self._receive_command()) != b"":
            command, _, argument = (line or b"").strip().partition(b" ")
            match command.upper():
                case _ if line is None:
                    await self._reply(b"500 5.5.2 Line too long")
                case b"QUIT":
                    await self._reply(b"221 2.0.0 Bye")
                    return
                case b"STARTTLS":
                    await self._start_tls()
                case b"DATA":
                    await self._data()
                case name:
                    await self._reply(self._answer(name, argument))
            if self._mistakes > MAX_MISTAKES:
                await self._reply(b"421 4.7.0 Too many errors")
                return

    async def _receive_command(self) -> bytes | None:
        """Receive a line; b"" at the end of stream, None for one that was too long."""
        too_long = False
        while True:
            try:
                line = await self._stream.recv_line(MAX_COMMAND)
            except aionet.FrameTooLargeError:
                await self._stream.recv_exactly(MAX_COMMAND)
                too_long = True
            else:
                return None if too_long else line

    async def _reply(self, text: bytes) -> None:
        if text.startswith(b"5"):
            self._mistakes += 1
        await self._stream.send(text + b"\r\n")

    def _answer(self, command: bytes, argument: bytes) -> bytes:
        match command:
            case b"EHLO" | b"HELO":
                self._greeted, self._envelope = True, None
                reply = self._extensions() if command == b"EHLO" else b"250 aionet"
            case b"MAIL":
                reply = self._mail(argument)
            case b"RCPT":
                reply = self._recipient(argument)
            case b"RSET":
                self._envelope = None
                reply = b"250 2.0.0 OK"
            case b"NOOP":
                reply = b"250 2.0.0 OK"
            case b"VRFY":
                reply = b"252 2.5.0 Send some mail, and see"
            case _:
                reply = b"502 5.5.1 No such command"
        return reply

    def _extensions(self) -> bytes:
        offered = [b"aionet", b"SIZE %d" % MAX_MAIL, b"8BITMIME", b"PIPELINING", b"ENHANCEDSTATUSCODES"]
        if self._stream.tls is None:
            offered.append(b"STARTTLS")
        return b"\r\n".join([*(b"250-" + each for each in offered[:-1]), b"250 " + offered[-1]])

    def _mail(self, argument: bytes) -> bytes:
        if not self._greeted or self._envelope is not None:
            return b"503 5.5.1 EHLO first, and one MAIL at a time"
        path = PATH.fullmatch(argument)
        if path is None or path[1].upper() != b"FROM":
            return b"501 5.5.4 MAIL FROM:<address>"
        for each in path[3].split():
            parameter = PARAMETER.fullmatch(each)
            if parameter is None:
                return NO_PARAMETER
            if int(parameter[1] or 0) > MAX_MAIL:
                return TOO_MUCH
        self._envelope = Envelope(path[2])
        return b"250 2.1.0 OK"

    def _recipient(self, argument: bytes) -> bytes:
        if self._envelope is None:
            return b"503 5.5.1 MAIL first"
        path = PATH.fullmatch(argument)
        if path is None or path[1].upper() != b"TO" or not path[2]:
            return b"501 5.5.4 RCPT TO:<address>"
        if path[3].strip():
            return NO_PARAMETER
        if len(self._envelope.recipients) >= MAX_RECIPIENTS:
            return b"452 4.5.3 Too many recipients"
        self._envelope.recipients.append(path[2])
        return b"250 2.1.5 OK"

    async def _start_tls(self) -> None:
        if self._stream.tls is not None:
            await self._reply(b"503 5.5.1 TLS is on already")
            return
        await self._stream.start_tls(self._tls, server_side=True, reply=b"220 2.0.0 Ready to start TLS\r\n")
        self._greeted, self._envelope = False, None

    async def _data(self) -> None:
        envelope, self._envelope = self._envelope, None
        if envelope is None or not envelope.recipients:
            await self._reply(b"503 5.5.1 RCPT first")
            return
        await self._reply(b"354 End with a line of one dot")
        mail = await self._receive_mail()
        if mail is None:
            await self._reply(TOO_MUCH)
            return
        name = await asyncio.to_thread(store, self._folder, self._head(envelope), mail)
        await self._reply(b"250 2.0.0 Stored as " + name.encode())

    async def _receive_mail(self) -> bytearray | None:
        """Receive the lines up to the one of a single dot; None if they are more than may be kept."""
        mail, too_much, begins = bytearray(), False, True
        while (part := await self._receive_part()) != b".\r\n" or not begins:
            if begins:
                part = part.removeprefix(b".")  # RFC 5321 section 4.5.2
            begins = part.endswith(b"\r\n")
            too_much = too_much or len(mail) + len(part) > MAX_MAIL
            if not too_much:
                mail += part
        return None if too_much else mail

    async def _receive_part(self) -> bytes:
        """Receive a line, or the rest of it; of a long one, a part without its ending."""
        try:
            return await self._stream.recv_until(b"\r\n", PART)
        except aionet.FrameTooLargeError:
            return await self._stream.recv_exactly(PART - 1)  # the last byte may be half of the ending

    def _head(self, envelope: Envelope) -> bytes:
        how = b"SMTP" if self._stream.tls is None else b"ESMTPS (%b)" % self._stream.tls.version.encode()
        peer = str(self._stream.peer).encode()
        to = b", ".join(envelope.recipients)
        return b"Return-Path: <%b>\r\nReceived: from %b by aionet with %b for %b\r\n" % (envelope.sender, peer, how, to)


def store(folder: Path, head: bytes, mail: bytearray) -> str:
    """Write a mail to a file of its own; it has its name only once it is whole."""
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
    with os.fdopen(descriptor, "wb") as file:
        file.write(head)
        file.write(mail)
        file.flush()
        os.fsync(file.fileno())
    path = Path(temporary)
    stored = path.with_name(path.name.removeprefix(".").removesuffix(".part") + ".eml")
    path.rename(stored)
    return stored.name


async def main(host: str, port: int, folder: Path, tls: aionet.TLSConfig) -> None:
    """Serve until a signal."""

    async def serve_client(stream: aionet.Stream) -> None:
        await Session(stream, folder, tls).serve()

    async with aionet.serve((host, port), serve_client, timeouts=TIMEOUTS) as server:
        print("listening on", *server.addresses, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An SMTP server that stores mail in a folder.")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen on (default: %(default)s)")
    parser.add_argument("--port", default=2525, type=int, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--folder", default=Path("mail"), type=Path, help="where mail goes (default: %(default)s)")
    parser.add_argument("--ca", type=Path, help="write the authority's certificate to this file")
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = parser.parse_args()
    args.folder.mkdir(exist_ok=True)
    authority = trustme.CA()
    if args.ca:
        args.ca.write_bytes(authority.cert_pem.bytes())
    leaf = authority.issue_cert("localhost", "127.0.0.1", "::1")
    certificate = aionet.TLSConfig(certificate=leaf.private_key_and_cert_chain_pem.bytes())
    aionet.run(main(args.host, args.port, args.folder, certificate), loop=args.loop)
