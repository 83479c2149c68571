"""DNS messages of the plain kind, as bytes: one question of class IN and at most an OPT record.

Nearly every query is of this kind, and reading and answering one here takes a tenth of the time
that general objects take. Whatever differs in the least is left to `messages`, which reads it with
dnspython; tests compare the two.
"""

from __future__ import annotations

from struct import Struct

A, PTR, AAAA, OPT = 1, 12, 28, 41
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
TTL = 600  # seconds; docker's
MIN_UDP, MAX_UDP, MAX_TCP = 512, 4096, 65535  # bytes; MAX_UDP: what we send at most by UDP

_HEADER = Struct("!6H")
_TAIL = Struct("!2H")
_OPT = Struct("!2HBBHH")  # type, size, extended rcode, version, flags, length
_RECORD = Struct("!3HIH")  # pointer to the question's name, type, class, TTL, length
_POINTER = 0xC00C
_QR, _TC, _RA = 0x8000, 0x0200, 0x0080
_KEPT = 0x0110  # RD, CD
_LONGEST_NAME = 255


class Query:
    """A plain query.

    Attributes:
        data: The message.
        id: Its number.
        end: Where its question ends.
        name: The name in lower case, in the message's form.
        qtype: The type that is asked for.
        size: Bytes that an answer by UDP may have.
        edns: It has an OPT record.
    """

    __slots__ = ("_dnssec", "_flags", "data", "edns", "end", "id", "name", "qtype", "size")

    def __init__(self, data: bytes, number: int, flags: int, end: int, qtype: int) -> None:
        self.data, self.id, self._flags, self.end, self.qtype = data, number, flags, end, qtype
        self.name = data[12 : end - 4].lower()  # the lengths are below 64, so no letters
        self.edns, self.size, self._dnssec = False, MIN_UDP, 0

    def read_opt(self) -> bool:
        """Take over the record behind the question; False when it is not a plain OPT."""
        if len(self.data) < self.end + 11 or self.data[self.end]:
            return False
        kind, size, extended, version, flags, length = _OPT.unpack_from(self.data, self.end + 1)
        if kind != OPT or extended or version or len(self.data) != self.end + 11 + length:
            return False
        self.edns, self._dnssec = True, flags & 0x8000
        self.size = min(max(size, MIN_UDP), MAX_UDP)
        return True

    def reply(
        self, rcode: int = NOERROR, count: int = 0, answers: bytes = b"", flags: int = 0
    ) -> bytes:
        """An answer with these records."""
        flags |= _QR | _RA | (self._flags & _KEPT) | rcode
        header = _HEADER.pack(self.id, flags, 1, count, 0, self.edns)
        if not self.edns:
            return header + self.data[12 : self.end] + answers
        opt = b"\0" + _OPT.pack(OPT, MAX_UDP, 0, 0, self._dnssec, 0)
        return header + self.data[12 : self.end] + answers + opt

    def answer(self, values: list[bytes], limit: int) -> bytes:
        """An answer with a record for each value, of the type that was asked for; cut, and marked
        so, where it would be longer than `limit` bytes.
        """
        if not values:
            return self.reply()
        size = 12 + len(values[0])
        room = (limit - self.end - 11 * self.edns) // size
        if len(values) <= room:
            return self.reply(NOERROR, len(values), self._records(values))
        return self.reply(NOERROR, room, self._records(values[:room]), _TC)

    def _records(self, values: list[bytes]) -> bytes:
        head = _RECORD.pack(_POINTER, self.qtype, IN, TTL, len(values[0])) if values else b""
        return b"".join([head + value for value in values])


def parse(data: bytes) -> Query | None:
    """The plain query that these bytes are, or None."""
    if len(data) < 17:
        return None
    number, flags, questions, answers, authorities, more = _HEADER.unpack_from(data)
    if flags & 0xF800 or questions != 1 or answers or authorities or more > 1:
        return None
    end = _name_end(data)
    if end < 0 or len(data) < end + 4:
        return None
    qtype, qclass = _TAIL.unpack_from(data, end)
    if qclass != IN:
        return None
    query = Query(data, number, flags, end + 4, qtype)
    if more:
        return query if query.read_opt() else None
    return query if len(data) == end + 4 else None


def _name_end(data: bytes) -> int:
    """Where the name that begins behind the header ends; -1 for one that is not plain."""
    at, end = 12, len(data)
    while at < end:
        length = data[at]
        at += length + 1
        if not length:
            return at if at <= end and at - 12 <= _LONGEST_NAME else -1
        if length > 63:
            return -1
    return -1


def name(text: str) -> bytes:
    """A name in the message's form, in lower case.

    Raises:
        ValueError: It can't be one.
    """
    labels = text.lower().rstrip(".").encode("ascii").split(b".")
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError(f"not a name: {text}")
    made = b"".join([bytes((len(label),)) + label for label in labels]) + b"\0"
    if len(made) > _LONGEST_NAME:
        raise ValueError(f"not a name: {text}")
    return made


def is_answer_to(answer: bytes, query: bytes, number: int) -> bool:
    """Whether a message answers our copy of `query`, sent as `number`: same number, and the same
    question, whatever the case of its letters.
    """
    if len(answer) < 12 or answer[:2] != number.to_bytes(2, "big") or not answer[2] & 0x80:
        return False
    if (answer[2] ^ query[2]) & 0x78:  # the opcode
        return False
    if answer[4:6] != query[4:6]:
        # Some servers leave the question out of an error; as such it only means: ask another one.
        return answer[4:6] == b"\0\0" and answer[3] & 15 != NOERROR
    end = question_end(query)
    name_end = end - 4
    return (
        answer[name_end:end] == query[name_end:end]
        and answer[12:name_end].lower() == query[12:name_end].lower()
    )


def question_end(data: bytes) -> int:
    """Where the only question of a message that was read as one ends."""
    return _name_end(data) + 4


def failure(data: bytes, rcode: int) -> bytes:
    """A reply to a query that says nothing but how it failed."""
    query = parse(data)
    if query is not None:
        return query.reply(rcode)
    flags = _QR | _RA | (data[2] << 8 | data[3]) & 0x7910 | rcode
    return data[:2] + flags.to_bytes(2, "big") + bytes(8)
