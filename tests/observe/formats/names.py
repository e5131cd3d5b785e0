"""Lines that Dante 1.4.2 wrote of clients with a user name."""

from __future__ import annotations

from dataclasses import replace

from dantetw.observe.events import (
    Accepted,
    Connected,
    Event,
    Traffic,
    Transferred,
)
from dantetw.values import (
    Command,
    Method,
    Protocol,
    Side,
    User,
)
from tests.observe.making import (
    ALICE,
    BOB,
    CLOSED_BY_TARGET,
    ROOT,
    counts,
    ended,
    path,
    rule,
)

# Sample, event, the lines it makes.
NAMES: list[tuple[str, Event, list[str]]] = [
    (
        "12 connected",
        Connected(
            1,
            rule(),
            replace(
                path("127.0.0.1.59030 127.0.0.1.12001", "127.0.0.1.52811 127.0.0.1.12101"),
                user=BOB,
            ),
        ),
        [
            "pass(1): tcp/connect [: username%goldenbob@127.0.0.1.59030 127.0.0.1.12001 -> "
            "127.0.0.1.52811 127.0.0.1.12101"
        ],
    ),
    (
        "12 from target",
        Transferred(
            1,
            rule(),
            replace(
                path("127.0.0.1.59030 127.0.0.1.12001", "127.0.0.1.52811 127.0.0.1.12101"),
                user=BOB,
            ),
            Side.TARGET,
            7,
        ),
        [
            "pass(1): tcp/connect -: 127.0.0.1.12101 127.0.0.1.52811 -> 127.0.0.1.12001 "
            "username%goldenbob@127.0.0.1.59030 (7)"
        ],
    ),
    (
        "12 ended",
        ended(
            CLOSED_BY_TARGET,
            replace(
                path("127.0.0.1.59030 127.0.0.1.12001", "127.0.0.1.52811 127.0.0.1.12101"),
                user=BOB,
            ),
            counts=counts(7, 0, 0, 7),
        ),
        [
            "pass(1): tcp/connect ]: 7 -> username%goldenbob@127.0.0.1.59030 127.0.0.1.12001 -> 0, "
            "0 -> 127.0.0.1.52811 127.0.0.1.12101 -> 7: remote peer closed.  Session duration: 0s",
            "pass(1): tcp/accept ]: 7 -> 127.0.0.1.59030 127.0.0.1.12001 -> 0: "
            "remote peer closed.  Session duration: 0s",
        ],
    ),
    (
        "17 accepted by name",
        Accepted(1, rule(), replace(path("127.0.0.1.12550 127.0.0.1.12001"), client_user=ROOT)),
        ["pass(1): tcp/accept [: rfc931%root@127.0.0.1.12550 127.0.0.1.12001"],
    ),
    (
        "17 two names",
        ended(
            CLOSED_BY_TARGET,
            replace(
                path("127.0.0.1.12550 127.0.0.1.12001", "127.0.0.1.46789 127.0.0.1.12103"),
                user=ALICE,
                client_user=ROOT,
            ),
            counts=counts(7, 0, 0, 7),
        ),
        [
            "pass(1): tcp/connect ]: 7 -> pam.username%alice@127.0.0.1.12550 127.0.0.1.12001 -> 0, "
            "0 -> 127.0.0.1.46789 127.0.0.1.12103 -> 7: remote peer closed.  Session duration: 0s",
            "pass(1): tcp/accept ]: 7 -> rfc931%root@127.0.0.1.12550 127.0.0.1.12001 -> 0: "
            "remote peer closed.  Session duration: 0s",
        ],
    ),
    (
        "17 associated",
        Connected(
            1,
            rule(),
            replace(path("0.0.0.0.0 127.0.0.1.46357"), user=User(Method.PAM_USERNAME, "al%i@ce")),
            Protocol.UDP,
            Command.UDPASSOCIATE,
        ),
        ["pass(1): udp/udpassociate [: pam.username%al%i@ce@0.0.0.0.0 127.0.0.1.46357"],
    ),
    (
        "17 association ended",
        ended(
            way=replace(path("127.0.0.1.12552 127.0.0.1.12001"), client_user=ROOT),
            seconds=1.0,
            protocol=Protocol.UDP,
            command=Command.UDPASSOCIATE,
            counts=counts(0, 11, 1, 1),
            traffic=(
                Traffic(
                    replace(
                        path("127.0.0.1.54788 127.0.0.1.46357", "127.0.0.1.43253 127.0.0.1.12102"),
                        user=User(Method.PAM_USERNAME, "al%i@ce"),
                    ),
                    counts(0, 11, 1, 1),
                    counts(0, 1, 1, 1),
                ),
            ),
        ),
        [
            "pass(1): udp/udpassociate ]: 0/0 -> pam.username%al%i@ce@127.0.0.1.54788 "
            "127.0.0.1.46357 -> 11/1, 1/1 -> 127.0.0.1.43253 127.0.0.1.12102 -> 1/1: "
            "local client closed.  Session duration: 1s",
            "pass(1): tcp/accept ]: 0 -> rfc931%root@127.0.0.1.12552 127.0.0.1.12001 -> 1: "
            "local client closed.  Session duration: 1s",
        ],
    ),
]
