"""
The block that ``log: tcpinfo`` appends to a line: Linux's ``struct tcp_info`` in words.

One column for one socket; two, client's and target's, joined by ``<->``.  Dante shows the
right-hand column's options in words on both sides (both stand in one static buffer); we do not.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from typing import Final

_STATES: Final = (
    "<undecoded>",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
)
_CONGESTION: Final = (
    "TCP_CA_Open",
    "TCP_CA_Disorder",
    "TCP_CA_CWR",
    "TCP_CA_Recovery",
    "TCP_CA_Loss",
)
_OPTIONS: Final = ((1, "TS"), (2, "SACK"), (4, "Wscale"), (8, "ECN"))

# linux/tcp.h: six bytes, the two window scales as bit fields of one byte, a byte of later flags,
# then 24 numbers of 32 bits.  Newer kernels append more, which is not shown.
_LAYOUT: Final = struct.Struct("=8B24I")

#: Bytes of ``struct tcp_info`` that the block shows.
SIZE: Final = _LAYOUT.size

# The rows in the order of the struct; "" is an empty line.  The byte of flags has no row.
_ROWS: Final = (
    "tcpi_state",
    "tcpi_ca_state",
    "tcpi_retransmits",
    "tcpi_probes",
    "tcpi_backoff",
    "tcpi_options",
    "tcpi_snd_wscale",
    "tcpi_rcv_wscale",
    "tcpi_rto",
    "tcpi_ato",
    "tcpi_snd_mss",
    "tcpi_rcv_mss",
    "tcpi_unacked",
    "tcpi_sacked",
    "tcpi_lost",
    "tcpi_retrans",
    "tcpi_fackets",
    "",
    "tcpi_last_data_sent",
    "tcpi_last_ack_sent",
    "tcpi_last_data_recv",
    "tcpi_last_ack_recv",
    "",
    "tcpi_pmtu",
    "tcpi_rcv_ssthresh",
    "tcpi_rtt",
    "tcpi_rttvar",
    "tcpi_snd_ssthresh",
    "tcpi_snd_cwnd",
    "tcpi_advmss",
    "tcpi_reordering",
    "tcpi_rcv_rtt",
    "tcpi_rcv_space",
    "",
    "tcpi_total_retrans",
)


def _word(words: Sequence[str], number: int) -> str:
    return f"{number} ({words[number] if number < len(words) else '<undecoded>'})"


def _values(raw: bytes) -> tuple[str, ...] | None:
    """What stands behind the colons; None for a socket without information."""
    if len(raw) < SIZE:
        return None
    state, congestion, retransmits, probes, backoff, options, scales, _, *rest = (
        _LAYOUT.unpack_from(raw)
    )
    low, high = scales & 15, scales >> 4
    sent, received = (low, high) if sys.byteorder == "little" else (high, low)
    words = ", ".join(word for bit, word in _OPTIONS if options & bit)
    return (
        _word(_STATES, state),
        _word(_CONGESTION, congestion),
        str(retransmits),
        str(probes),
        str(backoff),
        f"{options} ({words})",
        str(sent),
        str(received),
        *map(str, rest),
    )


def table(raw: bytes) -> dict[str, str] | None:
    """The same of one socket, by the rows' names; None for a socket without information."""
    values = _values(raw)
    return None if values is None else dict(zip(filter(None, _ROWS), values, strict=True))


def block(*sockets: bytes) -> str:
    """
    ``TCP_INFO:`` and its rows, without a newline at the end; empty if no socket has information.

    :param sockets: of each column the raw ``struct tcp_info``; one that is shorter than
        :data:`SIZE`, such as ``b""``, shows as ``N/A``.
    """
    columns = [_values(raw) for raw in sockets]
    if not any(columns):
        return ""
    lines = ["TCP_INFO:"]
    index = 0
    for name in _ROWS:
        if name:
            values = (column[index] if column else "N/A" for column in columns)
            lines.append(f"{name:<20} : {' <-> '.join(values)}")
            index += 1
        else:
            lines.append("")
    return "\n".join(lines)
