"""
Bytes of a client: the negotiation, the request, the header of a datagram.

The first byte of an input says which methods the server offers, whether the login is accepted and
where the rest, which the client sends, is cut.
"""

from __future__ import annotations

from dantetw.wire.messages import ProtocolError
from dantetw.wire.udp import build_header, parse_datagram
from fuzz.driver import run
from tests.wire.dialogues import BOTH, NONE, USERNAME, converse

NAME = "wire"


def one_input(data: bytes) -> None:
    """However the bytes are cut they lead to the same, and nothing but a refusal is raised."""
    choice, said = data[0] if data else 0, data[1:]
    methods = (NONE, USERNAME, BOTH, BOTH)[choice & 3]
    good = not choice & 4
    size = (choice >> 3) + 1
    whole = converse([said], methods, good)
    pieces = [said[at : at + size] for at in range(0, len(said), size)]
    cut = converse(pieces, methods, good)
    # After an error or a request more bytes may have been read, or not have come yet.
    assert (cut.sent, cut.credentials, cut.request) == (
        whole.sent,
        whole.credentials,
        whole.request,
    )
    assert (cut.error is None) == (whole.error is None), (cut.error, whole.error)
    try:
        target, size = parse_datagram(said)
    except ProtocolError:
        return
    assert 0 < size <= len(said)
    try:
        header = build_header(target)
    except ValueError:
        return  # a name that a header can bring but no header of ours can
    assert parse_datagram(header) == (target, len(header))


if __name__ == "__main__":
    run(NAME, one_input)
