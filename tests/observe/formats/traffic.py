"""Lines that Dante 1.4.2 wrote of sessions that were established."""

from __future__ import annotations

import errno

from dantetw.observe.events import (
    Accepted,
    Connected,
    Counts,
    Event,
    Traffic,
    Transferred,
)
from dantetw.values import (
    LOG_DATA,
    LOG_ERROR,
    Cause,
    Command,
    Drop,
    Ending,
    Phase,
    Protocol,
    Side,
)
from tests.observe.making import (
    CLIENT,
    CLOSED_BY_TARGET,
    IDLE,
    RESET,
    TARGET,
    counts,
    ended,
    path,
    rule,
)

# Sample, event, the lines it makes.
TRAFFIC: list[tuple[str, Event, list[str]]] = [
    (
        "10 accepted",
        Accepted(1, rule(), path(CLIENT)),
        ["pass(1): tcp/accept [: 127.0.0.1.37098 127.0.0.1.12001"],
    ),
    (
        "10 connected",
        Connected(1, rule(), path(CLIENT, TARGET)),
        [
            "pass(1): tcp/connect [: 127.0.0.1.37098 127.0.0.1.12001 -> "
            "127.0.0.1.34019 127.0.0.1.12101"
        ],
    ),
    (
        "10 from client",
        Transferred(1, rule(), path(CLIENT, TARGET), Side.CLIENT, 6),
        [
            "pass(1): tcp/connect -: 127.0.0.1.37098 127.0.0.1.12001 -> "
            "127.0.0.1.34019 127.0.0.1.12101 (6)"
        ],
    ),
    (
        "10 from target",
        Transferred(1, rule(), path(CLIENT, TARGET), Side.TARGET, 6),
        [
            "pass(1): tcp/connect -: 127.0.0.1.12101 127.0.0.1.34019 -> "
            "127.0.0.1.12001 127.0.0.1.37098 (6)"
        ],
    ),
    (
        "10 eof",
        Transferred(1, rule(), path(CLIENT, TARGET), Side.CLIENT, 0),
        [
            "pass(1): tcp/connect -: 127.0.0.1.37098 127.0.0.1.12001 -> "
            "127.0.0.1.34019 127.0.0.1.12101 (0)"
        ],
    ),
    (
        "10 ended",
        ended(),
        [
            "pass(1): tcp/connect ]: 6 -> 127.0.0.1.37098 127.0.0.1.12001 -> 6, 6 -> "
            "127.0.0.1.34019 127.0.0.1.12101 -> 6: local client closed.  Session duration: 0s",
            "pass(1): tcp/accept ]: 6 -> 127.0.0.1.37098 127.0.0.1.12001 -> 6: "
            "local client closed.  Session duration: 0s",
        ],
    ),
    (
        "11 IPv6 target",
        ended(
            CLOSED_BY_TARGET,
            path("127.0.0.1.36594 127.0.0.1.12001", "::1.36594 ::1.12101"),
            counts=counts(7, 0, 0, 7),
        ),
        [
            "pass(1): tcp/connect ]: 7 -> 127.0.0.1.36594 127.0.0.1.12001 -> 0, 0 -> "
            "::1.36594 ::1.12101 -> 7: remote peer closed.  Session duration: 0s",
            "pass(1): tcp/accept ]: 7 -> 127.0.0.1.36594 127.0.0.1.12001 -> 0: "
            "remote peer closed.  Session duration: 0s",
        ],
    ),
    (
        "11 IPv6 client",
        Transferred(
            1,
            rule(),
            path("::1.34820 ::1.12001", "127.0.0.1.34820 127.0.0.1.12101"),
            Side.TARGET,
            7,
        ),
        ["pass(1): tcp/connect -: 127.0.0.1.12101 127.0.0.1.34820 -> ::1.12001 ::1.34820 (7)"],
    ),
    (
        "20 peer of a BIND",
        Connected(
            1,
            rule(2),
            path("127.0.0.1.39618 127.0.0.1.12001", "127.0.0.1.54695 127.0.0.1.49654"),
            Protocol.TCP,
            Command.BINDREPLY,
        ),
        [
            "pass(2): tcp/bindreply [: 127.0.0.1.49654 127.0.0.1.54695 -> "
            "127.0.0.1.12001 127.0.0.1.39618"
        ],
    ),
    (
        "24 data",
        Transferred(
            1,
            rule(log=LOG_DATA),
            path("127.0.0.1.52276 127.0.0.1.12001", "127.0.0.1.52765 127.0.0.1.12101"),
            Side.CLIENT,
            75,
            b"tab\there bell\x07 esc\x1b nul\x00 del\x7f high\x80\xff \\ back "
            b'"quote" percent%s ~^ \x0b\x0c\x08\xa0\xe9 end ',
        ),
        [
            "pass(1): tcp/connect -: 127.0.0.1.52276 127.0.0.1.12001 -> "
            r"127.0.0.1.52765 127.0.0.1.12101 (75): tab\there bell\a esc\033 nul\0 del\177 "
            r'high\200\377 \\ back "quote" percent%s ~^ \v\f\b\240\351 end '
        ],
    ),
    (
        "24 datagram back",
        Transferred(
            1,
            rule(log=LOG_DATA),
            path("127.0.0.1.53203 127.0.0.1.46681", "127.0.0.1.34263 127.0.0.1.12102"),
            Side.TARGET,
            7,
            b"dgram\0\n",
            Protocol.UDP,
            Command.UDPREPLY,
        ),
        [
            "pass(1): udp/udpreply -: 127.0.0.1.12102 127.0.0.1.34263 -> "
            r"127.0.0.1.46681 127.0.0.1.53203 (7): dgram\0\n"
        ],
    ),
    (
        "24 eof with data",
        Transferred(
            1,
            rule(log=LOG_DATA),
            path("127.0.0.1.52272 127.0.0.1.12001", "127.0.0.1.38437 127.0.0.1.12101"),
            Side.CLIENT,
            0,
            b"",
        ),
        [
            "pass(1): tcp/connect -: 127.0.0.1.52272 127.0.0.1.12001 -> "
            "127.0.0.1.38437 127.0.0.1.12101 (0)"
        ],
    ),
    (
        "25 large data",
        Transferred(
            1,
            rule(log=LOG_DATA),
            path("127.0.0.1.43014 127.0.0.1.12001", "127.0.0.1.60551 127.0.0.1.12101"),
            Side.CLIENT,
            3000,
            b"\xff" * 3000,
        ),
        [
            "pass(1): tcp/connect -: 127.0.0.1.43014 127.0.0.1.12001 -> "
            "127.0.0.1.60551 127.0.0.1.12101 (3000): " + r"\377" * 3000
        ],
    ),
    (
        "28 refused",
        ended(
            Ending(Side.TARGET, Phase.CONNECT, Cause.ERROR, errno.ECONNREFUSED),
            path("127.0.0.1.60270 127.0.0.1.12001", "127.0.0.1.50907 127.0.0.1.12199"),
            rule(log=LOG_ERROR),
            rule(log=LOG_ERROR),
            counts=Counts(),
        ),
        [
            "pass(1): tcp/connect ]: 0 -> 127.0.0.1.60270 127.0.0.1.12001 -> 0, 0 -> "
            "127.0.0.1.50907 127.0.0.1.12199 -> 0: remote peer error (Connection refused).  "
            "Session duration: 0s",
            "pass(1): tcp/accept ]: 0 -> 127.0.0.1.60270 127.0.0.1.12001 -> 0: "
            "remote peer error (Connection refused).  Session duration: 0s",
        ],
    ),
    (
        "28 reset by target",
        ended(
            RESET[1],
            path("127.0.0.1.60286 127.0.0.1.12001", "127.0.0.1.51841 127.0.0.1.12104"),
            counts=counts(0, 6, 6, 0),
        ),
        [
            "pass(1): tcp/connect ]: 0 -> 127.0.0.1.60286 127.0.0.1.12001 -> 6, 6 -> "
            "127.0.0.1.51841 127.0.0.1.12104 -> 0: remote peer error (Connection reset by peer).  "
            "Session duration: 0s",
            "pass(1): tcp/accept ]: 0 -> 127.0.0.1.60286 127.0.0.1.12001 -> 6: "
            "remote peer error (Connection reset by peer).  Session duration: 0s",
        ],
    ),
    (
        "30 reset by client",
        ended(RESET[0], path("127.0.0.1.57220 127.0.0.1.12001", "127.0.0.1.35727 127.0.0.1.12101")),
        [
            "pass(1): tcp/connect ]: 6 -> 127.0.0.1.57220 127.0.0.1.12001 -> 6, 6 -> "
            "127.0.0.1.35727 127.0.0.1.12101 -> 6: local client error (Connection reset by peer).  "
            "Session duration: 0s",
            "pass(1): tcp/accept ]: 6 -> 127.0.0.1.57220 127.0.0.1.12001 -> 6: "
            "local client error (Connection reset by peer).  Session duration: 0s",
        ],
    ),
    (
        "30 idle",
        ended(
            IDLE,
            path("127.0.0.1.57228 127.0.0.1.12001", "127.0.0.1.40005 127.0.0.1.12105"),
            seconds=7.0,
            counts=counts(0, 6, 6, 0),
        ),
        [
            "pass(1): tcp/connect ]: 0 -> 127.0.0.1.57228 127.0.0.1.12001 -> 6, 6 -> "
            "127.0.0.1.40005 127.0.0.1.12105 -> 0: i/o timeout.  Session duration: 7s",
            "pass(1): tcp/accept ]: 0 -> 127.0.0.1.57228 127.0.0.1.12001 -> 6: "
            "i/o timeout.  Session duration: 7s",
        ],
    ),
    (
        "30 target does not close",
        ended(
            Ending(Side.TARGET, Phase.RELAY, Cause.FIN_WAIT),
            path("127.0.0.1.49382 127.0.0.1.12001", "127.0.0.1.34875 127.0.0.1.12105"),
            seconds=3.0,
            counts=counts(0, 6, 6, 0),
        ),
        [
            "pass(1): tcp/connect ]: 0 -> 127.0.0.1.49382 127.0.0.1.12001 -> 6, 6 -> "
            "127.0.0.1.34875 127.0.0.1.12105 -> 0: tcp-fin-wait timeout (waiting for remote peer "
            "to close).  Session duration: 3s",
            "pass(1): tcp/accept ]: 0 -> 127.0.0.1.49382 127.0.0.1.12001 -> 6: tcp-fin-wait "
            "timeout (waiting for remote peer to close).  Session duration: 3s",
        ],
    ),
    (
        "30 client does not close",
        ended(
            Ending(Side.CLIENT, Phase.RELAY, Cause.FIN_WAIT),
            path("127.0.0.1.49386 127.0.0.1.12001", "127.0.0.1.53567 127.0.0.1.12103"),
            rule(log=0),
            seconds=3.0,
            counts=counts(7, 0, 0, 7),
        ),
        [
            "pass(1): tcp/connect ]: 7 -> 127.0.0.1.49386 127.0.0.1.12001 -> 0, 0 -> "
            "127.0.0.1.53567 127.0.0.1.12103 -> 7: tcp-fin-wait timeout (waiting for client to "
            "close).  Session duration: 3s",
        ],
    ),
    (
        "31 connect timeout",
        ended(
            Ending(Side.TARGET, Phase.CONNECT, Cause.TIMEOUT),
            path("127.0.0.1.45762 127.0.0.1.12001", "10.99.0.1.45762 10.98.0.5.80"),
            seconds=6.0,
            counts=Counts(),
        ),
        [
            "pass(1): tcp/connect ]: 0 -> 127.0.0.1.45762 127.0.0.1.12001 -> 0, 0 -> "
            "10.99.0.1.45762 10.98.0.5.80 -> 0: connect timeout.  Session duration: 6s",
            "pass(1): tcp/accept ]: 0 -> 127.0.0.1.45762 127.0.0.1.12001 -> 0: "
            "connect timeout.  Session duration: 6s",
        ],
    ),
    (
        "32 association without a datagram",
        ended(
            way=path("127.0.0.1.59508 127.0.0.1.12001"),
            protocol=Protocol.UDP,
            command=Command.UDPASSOCIATE,
            counts=Counts(),
            traffic=(Traffic(path("0.0.0.0.0 127.0.0.1.49552")),),
        ),
        [
            "pass(1): udp/udpassociate ]: 0/0 -> 0.0.0.0.0 127.0.0.1.49552 -> 0/0: "
            "local client closed.  Session duration: 0s",
            "pass(1): tcp/accept ]: 0 -> 127.0.0.1.59508 127.0.0.1.12001 -> 0: "
            "local client closed.  Session duration: 0s",
        ],
    ),
    (
        "32 idle association",
        ended(
            IDLE,
            path("127.0.0.1.59524 127.0.0.1.12001"),
            seconds=3.0,
            protocol=Protocol.UDP,
            command=Command.UDPASSOCIATE,
            counts=counts(15, 15, 5, 5),
            traffic=(
                Traffic(
                    path("127.0.0.1.35272 127.0.0.1.59096", "127.0.0.1.47645 127.0.0.1.12102"),
                    counts(15, 15, 5, 5),
                    counts(1, 1, 1, 1),
                ),
            ),
        ),
        [
            "pass(1): udp/udpassociate ]: 15/1 -> 127.0.0.1.35272 127.0.0.1.59096 -> 15/1, "
            "5/1 -> 127.0.0.1.47645 127.0.0.1.12102 -> 5/1: i/o timeout.  Session duration: 3s",
            "pass(1): tcp/accept ]: 15 -> 127.0.0.1.59524 127.0.0.1.12001 -> 5: "
            "i/o timeout.  Session duration: 3s",
        ],
    ),
    (
        "22 association with two ways out",
        ended(
            way=path("127.0.0.1.52662 127.0.0.1.12001"),
            protocol=Protocol.UDP,
            command=Command.UDPASSOCIATE,
            counts=counts(57, 63, 15, 15),
            packets=counts(3, 3, 3, 3),
            traffic=(
                Traffic(
                    path("127.0.0.1.41336 127.0.0.1.45563", "127.0.0.1.52019 127.0.0.1.12102"),
                    counts(30, 36, 10, 10),
                    counts(2, 2, 2, 2),
                ),
                Traffic(
                    path("127.0.0.1.41336 127.0.0.1.45563", "::1.41336 ::1.12102"),
                    counts(27, 27, 5, 5),
                    counts(1, 1, 1, 1),
                ),
            ),
            drops=((Drop.STRANGER, 2),),
        ),
        [
            "pass(1): udp/udpassociate ]: 30/2 -> 127.0.0.1.41336 127.0.0.1.45563 -> 36/2, "
            "10/2 -> 127.0.0.1.52019 127.0.0.1.12102 -> 10/2: local client closed.  "
            "Session duration: 0s",
            "pass(1): udp/udpassociate ]: 27/1 -> 127.0.0.1.41336 127.0.0.1.45563 -> 27/1, "
            "5/1 -> ::1.41336 ::1.12102 -> 5/1: local client closed.  Session duration: 0s",
            # Dante has the last way's bytes only.
            "pass(1): tcp/accept ]: 57 -> 127.0.0.1.52662 127.0.0.1.12001 -> 15: "
            "local client closed.  Session duration: 0s",
        ],
    ),
]
