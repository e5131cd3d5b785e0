"""Lines that Dante 1.4.2 wrote of BIND, of which rule 1 is about the request, rule 2 the peer."""

from __future__ import annotations

import errno
from dataclasses import replace

from dantetw.observe.events import Connected, Counts, Event, Parted, Transferred
from dantetw.values import (
    LOG_CONNECT,
    LOG_DISCONNECT,
    LOG_ERROR,
    Cause,
    Command,
    Ending,
    Operation,
    Phase,
    Protocol,
    Side,
    Verdict,
)
from tests.observe.making import (
    ALL,
    BLOCKED,
    CLOSED,
    CLOSED_BY_TARGET,
    RESET,
    RULE_0,
    counts,
    ended,
    endpoint,
    path,
    refused,
    rule,
)


def bound(client: str, far: str, ending: Ending, asked: str = "0.0.0.0.0", **more: object) -> Event:
    """The end of a BIND whose peer has come, or with ``reply_rule=None`` has not."""
    event = ended(
        ending,
        path(client, far),
        command=Command.BIND,
        asked=endpoint(asked),
        reply_rule=rule(2),
        counts=Counts(),
    )
    return replace(event, **more)  # type: ignore[arg-type]


def parted(number: int, client: str, far: str, ending: Ending, **more: object) -> Event:
    """The end of one of many peers."""
    event = Parted(1, rule(number), path(client, far), ending, 1000.2, 1001.1)
    return replace(event, **more)  # type: ignore[arg-type]


#: A client that does not listen for its peers.
UNHEARD = Ending(
    Side.CLIENT,
    Phase.CONNECT,
    Cause.ERROR,
    errno.ECONNREFUSED,
    "connect(2) to 127.0.0.1.39229 from 127.0.0.1.43289 failed: Connection refused",
)


# Sample, event, the lines it makes.
BINDS: list[tuple[str, Event, list[str]]] = [
    (
        "20 port of a BIND",
        Connected(
            1,
            rule(),
            path("127.0.0.1.39618 127.0.0.1.12001", "127.0.0.1.54695 0.0.0.0.0"),
            Protocol.TCP,
            Command.BIND,
        ),
        ["pass(1): tcp/bind [: 127.0.0.1.39618 127.0.0.1.12001 -> 127.0.0.1.54695 0.0.0.0.0"],
    ),
    (
        "20 from the peer",
        Transferred(
            1,
            rule(2),
            path("127.0.0.1.39618 127.0.0.1.12001", "127.0.0.1.54695 127.0.0.1.49654"),
            Side.TARGET,
            3,
            command=Command.BINDREPLY,
        ),
        [
            "pass(2): tcp/bindreply -: 127.0.0.1.49654 127.0.0.1.54695 -> "
            "127.0.0.1.12001 127.0.0.1.39618 (3)"
        ],
    ),
    (
        "20 the peer has closed",
        bound(
            "127.0.0.1.39618 127.0.0.1.12001",
            "127.0.0.1.54695 127.0.0.1.49654",
            CLOSED_BY_TARGET,
            counts=counts(3, 3, 3, 3),
        ),
        [
            "pass(2): tcp/bindreply ]: 3 -> 127.0.0.1.49654 127.0.0.1.54695 -> 3, 3 -> "
            "127.0.0.1.12001 127.0.0.1.39618 -> 3: local client closed.  Session duration: 0s",
            "pass(1): tcp/bind ]: 127.0.0.1.39618 127.0.0.1.12001 -> 127.0.0.1.54695 0.0.0.0.0",
            "pass(1): tcp/accept ]: 3 -> 127.0.0.1.39618 127.0.0.1.12001 -> 3: "
            "local client closed.  Session duration: 0s",
        ],
    ),
    (
        "the client has closed",
        bound("127.0.0.1.38202 127.0.0.1.12001", "127.0.0.1.45081 127.0.0.1.32828", CLOSED),
        [
            "pass(2): tcp/bindreply ]: 0 -> 127.0.0.1.32828 127.0.0.1.45081 -> 0, 0 -> "
            "127.0.0.1.12001 127.0.0.1.38202 -> 0: remote peer closed.  Session duration: 0s",
            "pass(1): tcp/bind ]: 127.0.0.1.38202 127.0.0.1.12001 -> 127.0.0.1.45081 0.0.0.0.0",
            "pass(1): tcp/accept ]: 0 -> 127.0.0.1.38202 127.0.0.1.12001 -> 0: "
            "remote peer closed.  Session duration: 0s",
        ],
    ),
    *(
        (
            f"reset by the {ending.side.word}, with error alone in two rules",
            bound(
                "127.0.0.2.43889 127.0.0.1.12001",
                "127.0.0.1.54479 127.0.0.4.48503",
                ending,
                socks_rule=rule(1, LOG_ERROR),
                reply_rule=rule(4, LOG_ERROR),
            ),
            [
                "pass(4): tcp/bindreply ]: 0 -> 127.0.0.4.48503 127.0.0.1.54479 -> 0, 0 -> "
                "127.0.0.1.12001 127.0.0.2.43889 -> 0: "
                "local client error (Connection reset by peer).  Session duration: 0s",
                "pass(1): tcp/accept ]: 0 -> 127.0.0.2.43889 127.0.0.1.12001 -> 0: "
                "local client error (Connection reset by peer).  Session duration: 0s",
            ],
        )
        for ending in RESET
    ),
    (
        "the peer has said all, and the client does not",
        bound(
            "127.0.0.1.59502 127.0.0.1.12001",
            "127.0.0.1.43005 127.0.0.3.42761",
            Ending(Side.CLIENT, Phase.RELAY, Cause.FIN_WAIT),
            client_rule=rule(1, LOG_ERROR),
            reply_rule=rule(3, LOG_DISCONNECT),
        ),
        [
            "pass(3): tcp/bindreply ]: 0 -> 127.0.0.3.42761 127.0.0.1.43005 -> 0, 0 -> "
            "127.0.0.1.12001 127.0.0.1.59502 -> 0: "
            "tcp-fin-wait timeout (waiting for remote peer to close).  Session duration: 0s",
            "pass(1): tcp/bind ]: 127.0.0.1.59502 127.0.0.1.12001 -> 127.0.0.1.43005 0.0.0.0.0",
        ],
    ),
    (
        "the line of the bind is wanted, that of the reply is not",
        bound(
            "127.0.0.1.59502 127.0.0.1.12001",
            "127.0.0.1.43005 127.0.0.3.42761",
            Ending(Side.CLIENT, Phase.RELAY, Cause.CLOSED),
            client_rule=rule(1, LOG_ERROR),
            reply_rule=rule(3, LOG_CONNECT),
        ),
        [],
    ),
    (
        "20 the client gives up",
        bound(
            "127.0.0.1.39626 127.0.0.1.12001",
            "127.0.0.1.43727 0.0.0.0.0",
            Ending(Side.CLIENT, Phase.CONNECT, Cause.CLOSED),
            reply_rule=None,
        ),
        [
            "pass(1): tcp/bind ]: 127.0.0.1.39626 127.0.0.1.12001 -> 127.0.0.1.43727 0.0.0.0.0: "
            "eof from client",
            "pass(1): tcp/accept ]: 127.0.0.1.39626 127.0.0.1.12001: eof from client",
        ],
    ),
    (
        "the client resets while it waits",
        bound(
            "127.0.0.2.59759 127.0.0.1.12001",
            "127.0.0.1.52887 0.0.0.0.0",
            Ending(
                Side.CLIENT,
                Phase.CONNECT,
                Cause.ERROR,
                errno.ECONNRESET,
                "receiving request from client failed (Connection reset by peer)",
                Operation.RECEIVE,
            ),
            reply_rule=None,
        ),
        [
            "block(1): tcp/bind ]: 127.0.0.2.59759 127.0.0.1.12001 -> 127.0.0.1.52887 0.0.0.0.0: "
            "receiving request from client failed (Connection reset by peer)",
            "block(1): tcp/accept ]: 127.0.0.2.59759 127.0.0.1.12001: request was not performed "
            "due to error: receiving request from client failed (Connection reset by peer)",
        ],
    ),
    (
        "20 another peer than expected",
        bound(
            "127.0.0.1.52610 127.0.0.1.12001",
            "127.0.0.1.39453 127.0.0.1.55938",
            refused(
                Side.RULE,
                Phase.AUTHORISE,
                Cause.BLOCKED,
                "expected bindreply from 127.0.0.9.0, but got it from 127.0.0.1.55938",
            ),
            "127.0.0.9.0",
            reply_rule=rule(0, verdict=Verdict.BLOCK),
        ),
        [
            "block(0): tcp/bindreply ]: 127.0.0.1.55938 127.0.0.1.39453 -> 127.0.0.1.12001 "
            "127.0.0.1.52610: expected bindreply from 127.0.0.9.0, but got it from 127.0.0.1.55938",
            "block(1): tcp/bind ]: 127.0.0.1.52610 127.0.0.1.12001 -> 127.0.0.1.39453 127.0.0.9.0: "
            "bind-reply from 127.0.0.1.55938 blocked by socks-rule #0",
            "block(1): tcp/accept ]: 127.0.0.1.52610 127.0.0.1.12001: "
            "bind-reply from 127.0.0.1.55938 blocked by socks-rule #0",
        ],
    ),
    (
        "21 the peer is blocked",
        bound(
            "127.0.0.1.52630 127.0.0.1.12001",
            "127.0.0.1.58637 127.0.0.9.37607",
            BLOCKED,
            reply_rule=rule(2, verdict=Verdict.BLOCK),
        ),
        [
            "block(2): tcp/bindreply ]: 127.0.0.9.37607 127.0.0.1.58637 -> "
            "127.0.0.1.12001 127.0.0.1.52630",
            "block(1): tcp/bind ]: 127.0.0.1.52630 127.0.0.1.12001 -> 127.0.0.1.58637 0.0.0.0.0: "
            "bind-reply from 127.0.0.9.37607 blocked by socks-rule #2",
            "block(1): tcp/accept ]: 127.0.0.1.52630 127.0.0.1.12001: "
            "bind-reply from 127.0.0.9.37607 blocked by socks-rule #2",
        ],
    ),
    (
        "no rule matches the peer, with debug",
        bound(
            "127.0.0.2.54569 127.0.0.1.12001",
            "127.0.0.1.44023 127.0.0.9.40855",
            BLOCKED,
            reply_rule=replace(RULE_0, log=ALL),
        ),
        [
            "block(0): tcp/bindreply ]: 127.0.0.9.40855 127.0.0.1.44023 -> 127.0.0.1.12001 "
            "127.0.0.2.54569: no rules matched; using default block rule",
            "block(1): tcp/bind ]: 127.0.0.2.54569 127.0.0.1.12001 -> 127.0.0.1.44023 0.0.0.0.0: "
            "bind-reply from 127.0.0.9.40855 blocked by socks-rule #0",
            "block(1): tcp/accept ]: 127.0.0.2.54569 127.0.0.1.12001: "
            "bind-reply from 127.0.0.9.40855 blocked by socks-rule #0",
        ],
    ),
    (
        "a request that a rule blocks",
        bound(
            "127.0.0.1.43042 127.0.0.1.12001",
            "",
            BLOCKED,
            "0.0.0.0.12345",
            reply_rule=None,
        ),
        [
            "block(1): tcp/bind ]: 127.0.0.1.43042 127.0.0.1.12001 -> 0.0.0.0.0 0.0.0.0.12345",
            "block(1): tcp/accept ]: 127.0.0.1.43042 127.0.0.1.12001: "
            "blocked by higher-level socks-rule #1",
        ],
    ),
    (
        "the extension, which is off",
        bound(
            "127.0.0.1.60406 127.0.0.1.12001",
            "",
            refused(
                Side.RULE,
                Phase.AUTHORISE,
                Cause.BLOCKED,
                "client requested disabled Dante extension: bind",
            ),
            "255.255.255.255.0",
            socks_rule=RULE_0,
            reply_rule=None,
        ),
        [
            "block(1): tcp/accept ]: 127.0.0.1.60406 127.0.0.1.12001: blocked by higher-level "
            "socks-rule #0: client requested disabled Dante extension: bind"
        ],
    ),
    (
        "a port for many, which a rule blocks",
        bound(
            "127.0.0.1.50100 127.0.0.1.1080", "", BLOCKED, "255.255.255.255.2121", reply_rule=None
        ),
        [
            "block(1): tcp/bind ]: 127.0.0.1.50100 127.0.0.1.1080 -> "
            "0.0.0.0.0 255.255.255.255.2121",
            "block(1): tcp/accept ]: 127.0.0.1.50100 127.0.0.1.1080: "
            "blocked by higher-level socks-rule #1",
        ],
    ),
    (
        "the client of a port for many gives up",
        bound(
            "127.0.0.1.40100 127.0.0.1.1080",
            "192.0.2.1.40100 0.0.0.0.0",
            Ending(Side.CLIENT, Phase.CONNECT, Cause.CLOSED),
            "255.255.255.255.2121",
            reply_rule=None,
        ),
        [
            "pass(1): tcp/bind ]: 127.0.0.1.40100 127.0.0.1.1080 -> 192.0.2.1.40100 0.0.0.0.0: "
            "eof from client",
            "pass(1): tcp/accept ]: 127.0.0.1.40100 127.0.0.1.1080: eof from client",
        ],
    ),
    (
        "one of many is blocked",
        parted(
            3,
            "127.0.0.1.40100 0.0.0.0.0",
            "192.0.2.1.40100 192.0.2.1.54738",
            BLOCKED,
            rule=rule(3, verdict=Verdict.BLOCK),
        ),
        ["block(3): tcp/bindreply ]: 192.0.2.1.54738 192.0.2.1.40100 -> 0.0.0.0.0 127.0.0.1.40100"],
    ),
    (
        "the client does not listen for one of many",
        parted(
            2,
            "127.0.0.1.39229 127.0.0.1.43289",
            "192.0.2.1.39229 192.0.2.1.52010",
            UNHEARD,
        ),
        [
            "block(2): tcp/bindreply ]: 192.0.2.1.52010 192.0.2.1.39229 -> 0.0.0.0.0 "
            "127.0.0.1.43289: " + UNHEARD.text
        ],
    ),
    (
        "which ends the port",
        bound(
            "127.0.0.1.39229 127.0.0.1.1080",
            "192.0.2.1.39229 0.0.0.0.0",
            UNHEARD,
            "255.255.255.255.2121",
            reply_rule=None,
        ),
        [
            "block(1): tcp/bind ]: 127.0.0.1.39229 127.0.0.1.1080 -> 192.0.2.1.39229 0.0.0.0.0: "
            + UNHEARD.text,
            "block(1): tcp/accept ]: 127.0.0.1.39229 127.0.0.1.1080: request was not performed "
            "due to error: " + UNHEARD.text,
        ],
    ),
]

# Dante 1.4.2 does not come so far.
OURS: list[tuple[str, Event, list[str]]] = [
    (
        "one of many has closed",
        parted(
            2,
            "127.0.0.1.40100 127.0.0.1.43289",
            "192.0.2.1.40100 192.0.2.1.54738",
            CLOSED_BY_TARGET,
            counts=counts(3, 5, 5, 3),
        ),
        [
            "pass(2): tcp/bindreply ]: 5 -> 192.0.2.1.54738 192.0.2.1.40100 -> 3, 3 -> "
            "127.0.0.1.43289 127.0.0.1.40100 -> 5: local client closed.  Session duration: 1s"
        ],
    ),
]
