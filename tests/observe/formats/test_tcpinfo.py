"""Tests of :mod:`dantetw.observe.formats.tcpinfo`."""

from __future__ import annotations

import struct
import sys

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.formats.tcpinfo import SIZE, block


def info(
    state: int = 1,
    congestion: int = 0,
    options: int = 7,
    scales: tuple[int, int] = (10, 10),
    numbers: tuple[int, ...] = tuple(range(24)),
) -> bytes:
    """A ``struct tcp_info`` as the kernel lays it out."""
    low, high = scales if sys.byteorder == "little" else scales[::-1]
    octets = (state, congestion, 0, 0, 0, options, low | high << 4, 255)
    return struct.pack("=8B24I", *octets, *numbers)


# What a Dante server wrote of a session of 6 bytes (golden sample 26), client's side.
NUMBERS = (
    *(204000, 40000, 32768, 536, 0, 0, 0, 0, 0),
    *(0, 0, 4, 0),
    *(65535, 65483, 173, 299, 2147483647, 14, 65483, 3, 0, 65483),
    0,
)
BLOCK = """\
TCP_INFO:
tcpi_state           : 7 (CLOSE)
tcpi_ca_state        : 0 (TCP_CA_Open)
tcpi_retransmits     : 0
tcpi_probes          : 0
tcpi_backoff         : 0
tcpi_options         : 7 (TS, SACK, Wscale)
tcpi_snd_wscale      : 10
tcpi_rcv_wscale      : 10
tcpi_rto             : 204000
tcpi_ato             : 40000
tcpi_snd_mss         : 32768
tcpi_rcv_mss         : 536
tcpi_unacked         : 0
tcpi_sacked          : 0
tcpi_lost            : 0
tcpi_retrans         : 0
tcpi_fackets         : 0

tcpi_last_data_sent  : 0
tcpi_last_ack_sent   : 0
tcpi_last_data_recv  : 4
tcpi_last_ack_recv   : 0

tcpi_pmtu            : 65535
tcpi_rcv_ssthresh    : 65483
tcpi_rtt             : 173
tcpi_rttvar          : 299
tcpi_snd_ssthresh    : 2147483647
tcpi_snd_cwnd        : 14
tcpi_advmss          : 65483
tcpi_reordering      : 3
tcpi_rcv_rtt         : 0
tcpi_rcv_space       : 65483

tcpi_total_retrans   : 0"""


class BlockTests(SynchronousTestCase):
    """The block of ``log: tcpinfo``."""

    def test_golden(self) -> None:
        """One socket makes exactly Dante's block."""
        self.assertEqual(block(info(state=7, numbers=NUMBERS)), BLOCK)

    def test_two_sockets(self) -> None:
        """Two sockets make two columns in every row."""
        text = block(info(state=7, numbers=NUMBERS), info(state=7, numbers=NUMBERS))
        expected = [
            f"{row} <-> {row.partition(' : ')[2]}" if " : " in row else row
            for row in BLOCK.split("\n")
        ]
        self.assertEqual(text.split("\n"), expected)

    def test_row_order(self) -> None:
        """Each number of the struct stands in its own row."""
        values = [row.partition(" : ")[2] for row in block(info()).split("\n") if " : " in row]
        self.assertEqual(values[8:], [str(number) for number in range(24)])

    def test_one_is_missing(self) -> None:
        """A socket without information shows as N/A beside one that has some."""
        self.assertIn("\ntcpi_rto             : 0 <-> N/A\n", block(info(), b""))
        self.assertIn("\ntcpi_rto             : N/A <-> 0\n", block(bytes(SIZE - 1), info()))

    def test_all_are_missing(self) -> None:
        """Without any information there is no block."""
        for sockets in ((), (b"",), (b"", b"")):
            self.assertEqual(block(*sockets), "")

    def test_words(self) -> None:
        """States and options are spelled out, each side with its own."""
        text = block(info(state=12, congestion=9, options=0), info(state=8, options=15))
        self.assertIn("tcpi_state           : 12 (<undecoded>) <-> 8 (CLOSE_WAIT)\n", text)
        self.assertIn("tcpi_ca_state        : 9 (<undecoded>) <-> 0 (TCP_CA_Open)\n", text)
        self.assertIn("tcpi_options         : 0 () <-> 15 (TS, SACK, Wscale, ECN)\n", text)

    def test_scales(self) -> None:
        """The two window scales are not confused."""
        text = block(info(scales=(3, 12)))
        self.assertIn("tcpi_snd_wscale      : 3\ntcpi_rcv_wscale      : 12\n", text)

    @given(st.binary(max_size=2 * SIZE), st.binary(max_size=2 * SIZE))
    def test_any_bytes(self, client: bytes, target: bytes) -> None:
        """Whatever the kernel hands over, the block has its 35 lines or does not exist."""
        text = block(client, target)
        expected = 0 if max(len(client), len(target)) < SIZE else 35
        self.assertEqual(text.count("\n"), expected)
