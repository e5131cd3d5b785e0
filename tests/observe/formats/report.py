"""Lines of a status report, as Dante 1.4.2 wrote them where one process can say the same."""

from __future__ import annotations

from dataclasses import replace

from dantetw.figures import Figures, Latest
from dantetw.observe.events import Counts, Event
from dantetw.observe.facts import Times
from dantetw.observe.status import (
    Active,
    Buffered,
    ChildReport,
    LatencyReport,
    Limit,
    Load,
    PredecessorReport,
    Reported,
    Status,
    TrafficSnapshot,
    WorkerReport,
)
from dantetw.values import Command, Phase, Protocol, Work
from tests.observe.making import BOB, counts, path, rule

# The clock of a session that was accepted three seconds ago.
NOW, THEN = 1003.5, 1000.5

STATUS = Status(
    1,
    "0.1.0",
    4.2,
    8,
    8,
    Load(1, 8, 7, 1, 19979),
    Load(1, 7, 6, 1, 19979),
    Load(1, 6, 0, 6, 9989),
    Limit(96365, 96342),
    Limit(20000, 19979),
)
NEGOTIATING = Active(
    7,
    rule(),
    None,
    None,
    path("127.0.0.1.50166 127.0.0.1.12001"),
    Times(THEN, NOW, requested=THEN),
    Phase.NEGOTIATE,
    None,
    Protocol.TCP,
    None,
    None,
    (),
    None,
    "",
    (),
    report=1,
    work=Work.NEGOTIATE,
)
WAITING = replace(
    NEGOTIATING,
    work=Work.REQUEST,
    phase=Phase.AUTHORISE,
    path=path("127.0.0.1.50176 127.0.0.1.12001"),
    command=Command.BIND,
    socks_rule=rule(),
)


def relaying(
    client: str, far: str, up: int, down: int, unsent: int = 0, connecting: bool = False
) -> Active:
    """A CONNECT of three seconds, idle ever since."""
    return replace(
        WAITING,
        work=Work.IO,
        phase=Phase.CONNECT if connecting else Phase.RELAY,
        command=Command.CONNECT,
        path=path(client, far),
        standing=TrafficSnapshot(
            THEN,
            THEN,
            counts(down, up, up, down),
            Buffered(0, 0, unsent),
            Buffered(),
            connecting=connecting,
        ),
    )


RELAYING = relaying("127.0.0.1.50172 127.0.0.1.12001", "127.0.0.1.54157 127.0.0.1.12101", 6, 6)


def datagrams(client: str, far: str, up: int, down: int, packets: int) -> Active:
    """A UDP association of three seconds."""
    return replace(
        RELAYING,
        command=Command.UDPASSOCIATE,
        protocol=Protocol.UDP,
        path=path(client, far),
        standing=TrafficSnapshot(
            THEN,
            THEN,
            Counts(to_target=up, to_client=down),
            packets=Counts(to_target=packets, to_client=packets),
        ),
    )


# Sample, event, the lines it makes.
REPORT: list[tuple[str, Event, list[str]]] = [
    (
        "40 totals",
        STATUS,
        [
            "dantetw v0.1.0 up 0 days, 0:00, a: 8, h: 8 c: 8",
            "negotiators (1): a: 8, h: 7, c: 1, f: 19979",
            "requesters (1): a: 7, h: 6, c: 1, f: 19979",
            "iorelayers (1): a: 6, h: 0, c: 6, f: 9989",
            "max limits: processes: 96365 (96342 free), files: 20000 (19979 free),"
            " negotiate-child-slots: 19979, request-child-slots: 19979, io-child-slots: 9989"
            " (max clients limited by open file limit)",
        ],
    ),
    (
        "ours",
        WorkerReport(1, 2, 4711, 3700.5, 12, 3, 1),
        ["worker 2 (process 4711) up 0 days, 1:01:40, a: 12, c: 3, started: 1"],
    ),
    (
        "ours",
        WorkerReport(1, 1, 4712, 1.0, 12, 3, 2, True),
        ["worker 1 (process 4712) up 0 days, 0:00:01, a: 12, c: 3, started: 2, retired"],
    ),
    (
        "ours",
        PredecessorReport(1, 4700, 5),
        ["process 4700, replaced by this server, c: 5"],
    ),
    ("40 negotiators", ChildReport(1, Work.NEGOTIATE, 4.9), ["negotiate-child up 0 days, 0:00:04"]),
    ("40 requesters", ChildReport(1, Work.REQUEST, 4.9), ["request-child up 0 days, 0:00:04"]),
    (
        "40 relays",
        ChildReport(1, Work.IO, 3.0),
        ["io-child up 0 days, 0:00:03"],
    ),
    (
        "40 no datagram",
        LatencyReport(1, "read-only", None, Figures(), Figures()),
        ["no read-only latency information available (yet)"],
    ),
    (
        "41 datagrams",
        LatencyReport(
            1,
            "i/o",
            Latest(128, 33, 286, 124, 134, 132, 48),
            Figures(210, 33, 133.6, 409, 48.4, 124, 242, 286),
            Figures(105, 33, 130.2, 286, 47.8, 124, 240, 286),
        ),
        [
            "i/o latency statistics based on last 128 packets:"
            " min/max/median/average/last/stddev: 33/286/124/134/132/48 (us)",
            "i/o latency since start: 210 measured: min/mean/max/stddev/p50/p95/p99:"
            " 33/134/409/48/124/242/286 (us)",
            "i/o latency in the last minute: 105 measured: min/mean/max/stddev/p50/p95/p99:"
            " 33/130/286/48/124/240/286 (us)",
        ],
    ),
    ("no connection", LatencyReport(1, "tcp i/o", None, Figures(), Figures()), []),
    (
        "40 negotiating",
        NEGOTIATING,
        ["127.0.0.1.50166 127.0.0.1.12001: negotiating for 3s"],
    ),
    ("40 bind", WAITING, ["127.0.0.1.50176: tcp bind-request in progress for 3s"]),
    (
        "40 slow DNS",
        replace(WAITING, command=Command.CONNECT, socks_rule=None),
        ["127.0.0.1.50176: tcp connect-request in progress for 3s"],
    ),
    (
        "40 connecting",
        relaying(
            "127.0.0.1.50138 127.0.0.1.12001",
            "127.0.0.1.40769 127.0.0.1.12107",
            0,
            0,
            connecting=True,
        ),
        [
            "tcp: 127.0.0.1.50138 127.0.0.1.12001 <-> 127.0.0.1.40769 127.0.0.1.12107: age: 3s,"
            " idle: 3s (waiting for connect to complete), bytes transferred:"
            " 0 (+ 0 buffered (0 + 0 + 0)) <-> 0 (+ 0 buffered (0 + 0 + 0))"
        ],
    ),
    (
        "40 relay",
        RELAYING,
        [
            "tcp: 127.0.0.1.50172 127.0.0.1.12001 <-> 127.0.0.1.54157 127.0.0.1.12101: age: 3s,"
            " idle: 3s, bytes transferred: 6 (+ 0 buffered (0 + 0 + 0)) <->"
            " 6 (+ 0 buffered (0 + 0 + 0))"
        ],
    ),
    (
        "40 buffers",
        relaying(
            "127.0.0.1.50190 127.0.0.1.12001",
            "127.0.0.1.59071 127.0.0.1.12108",
            360000,
            0,
            355904,
        ),
        [
            "tcp: 127.0.0.1.50190 127.0.0.1.12001 <-> 127.0.0.1.59071 127.0.0.1.12108: age: 3s,"
            " idle: 3s, bytes transferred: 360000 (+ 355904 buffered (0 + 0 + 355904)) <->"
            " 0 (+ 0 buffered (0 + 0 + 0))"
        ],
    ),
    (
        "40 UDP",
        datagrams("127.0.0.1.33667 127.0.0.1.36836", "127.0.0.1.49187 127.0.0.1.12102", 15, 45, 3),
        [
            "udp: 127.0.0.1.33667 127.0.0.1.36836 <-> 127.0.0.1.49187 127.0.0.1.12102: age: 3s,"
            " idle: 3s, bytes transferred: 15 <-> 45, packets: 3 <-> 3"
        ],
    ),
    (
        "40 UDP without a target",
        datagrams("0.0.0.0.0 127.0.0.1.45172", "", 0, 0, 0),
        [
            "udp: 0.0.0.0.0 127.0.0.1.45172: age: 3s, idle: 3s, bytes transferred: 0 <-> 0,"
            " packets: 0 <-> 0"
        ],
    ),
    (
        "user",
        replace(RELAYING, path=replace(RELAYING.path, user=BOB)),
        [
            "tcp: username%goldenbob@127.0.0.1.50172 127.0.0.1.12001 <-> 127.0.0.1.54157"
            " 127.0.0.1.12101: age: 3s, idle: 3s, bytes transferred:"
            " 6 (+ 0 buffered (0 + 0 + 0)) <-> 6 (+ 0 buffered (0 + 0 + 0))"
        ],
    ),
    ("end", Reported(1, 8, 0, 0.25), []),
]
