"""What is to be said to a query that is not of the plain kind: garbage, other operations, several
questions, extended options. Read by dnspython, which is only imported when such a one comes.
"""

from __future__ import annotations

import dns.exception
import dns.message
import dns.opcode
import dns.rcode

from fastbox.netd import wire


def consider(data: bytes) -> tuple[bytes | None, bool]:
    """A reply at once, or whether it may be forwarded as it is: (reply, forward). Neither: it is
    not worth an answer.
    """
    if len(data) < 12 or data[2] & 0x80:  # no message, or an answer
        return None, False
    opcode = data[2] >> 3 & 15
    if opcode != dns.opcode.QUERY:
        return _error(data, wire.NOTIMP), False
    try:
        query = dns.message.from_wire(data, keyring=False)
    except (dns.exception.DNSException, ValueError):
        return _error(data, wire.FORMERR), False
    if len(query.question) != 1 or data[4:6] != b"\0\1" or query.answer or query.authority:
        return _error(data, wire.FORMERR), False
    if query.edns > 0:
        return _bad_version(query), False
    # Its name is looked at by others as bytes: one that points elsewhere can't be.
    return (None, True) if wire.question_end(data) > 4 else (_error(data, wire.FORMERR), False)


def _error(data: bytes, rcode: int) -> bytes:
    """A header alone: nothing of what came is repeated but its number, its operation and RD."""
    flags = 0x8000 | (data[2] & 0x79) << 8 | rcode
    return data[:2] + flags.to_bytes(2, "big") + bytes(8)


def _bad_version(query: dns.message.Message) -> bytes:
    reply = dns.message.make_response(query, recursion_available=True)
    reply.use_edns(0, payload=wire.MAX_UDP)
    reply.set_rcode(dns.rcode.BADVERS)
    return reply.to_wire()
