"""Lines that Dante 1.4.2 wrote of what was refused or failed, and ours where it has none."""

from __future__ import annotations

import errno
from dataclasses import replace

from dantetw.observe.events import (
    AcceptFailed,
    ConnectFailed,
    Dropped,
    Event,
    Message,
    Repeated,
    ResolveFailed,
    TrafficFailed,
)
from dantetw.policy import Edge
from dantetw.values import (
    LOG_CONNECT,
    LOG_DISCONNECT,
    LOG_ERROR,
    Cause,
    Command,
    Drop,
    Operation,
    Phase,
    Protocol,
    Severity,
    Side,
    Verdict,
)
from tests.observe.making import (
    ALL,
    BLOCKED,
    ROOT,
    RULE_0,
    SUSPICIOUS,
    UNREACHABLE,
    UNRESOLVED,
    early,
    ended,
    endpoint,
    negotiating,
    path,
    refused,
    rule,
    unasked,
)

REFUSED = ConnectFailed(
    Severity.WARNING,
    Edge.EXTERNAL,
    endpoint("127.0.0.1.12199"),
    "ECONNREFUSED",
    errno.ECONNREFUSED,
)

# Sample, event, the lines it makes.
REFUSALS: list[tuple[str, Event, list[str]]] = [
    (
        "12 wrong password",
        early(
            "127.0.0.1.59042 127.0.0.1.12001",
            refused(
                Side.CLIENT,
                Phase.AUTHENTICATE,
                Cause.CREDENTIALS,
                'system password authentication failed for user "goldenbob"',
            ),
            read=20,
        ),
        [
            "block(1): tcp/accept ]: 127.0.0.1.59042 127.0.0.1.12001: error after reading 20 bytes "
            'in 0 seconds: system password authentication failed for user "goldenbob"'
        ],
    ),
    (
        "12 no method",
        early(
            "127.0.0.1.59072 127.0.0.1.12001",
            negotiating("client offered no acceptable authentication method"),
            read=3,
        ),
        [
            "block(1): tcp/accept ]: 127.0.0.1.59072 127.0.0.1.12001: error after reading 3 bytes "
            "in 0 seconds: client offered no acceptable authentication method"
        ],
    ),
    (
        "12 no rule",
        ended(BLOCKED, path("127.0.0.1.59084 127.0.0.1.12001"), socks_rule=RULE_0),
        [
            "block(1): tcp/accept ]: 127.0.0.1.59084 127.0.0.1.12001: blocked by higher-level "
            "socks-rule #0: no rules matched; using default block rule"
        ],
    ),
    (
        "13 by client rule",
        early("127.0.0.9.36959 127.0.0.1.12001", refused(Side.RULE, Phase.ACCEPT, Cause.BLOCKED)),
        ["block(1): tcp/accept ]: 127.0.0.9.36959 127.0.0.1.12001"],
    ),
    (
        "13 by socks rule",
        ended(
            BLOCKED,
            path("127.0.0.1.39560 127.0.0.1.12001"),
            rule(2, LOG_CONNECT | LOG_DISCONNECT | LOG_ERROR),
            rule(1, LOG_CONNECT | LOG_ERROR, Verdict.BLOCK),
            asked=endpoint("127.0.0.1.12109"),
        ),
        [
            "block(1): tcp/connect ]: 127.0.0.1.39560 127.0.0.1.12001 -> 0.0.0.0.0 127.0.0.1.12109",
            "block(2): tcp/accept ]: 127.0.0.1.39560 127.0.0.1.12001: "
            "blocked by higher-level socks-rule #1",
        ],
    ),
    (
        "13 by socks rule that logs errors only",
        ended(
            BLOCKED,
            path("127.0.0.1.39568 127.0.0.1.12001"),
            rule(2),
            rule(2, LOG_ERROR, Verdict.BLOCK),
            asked=endpoint("127.0.0.1.12110"),
        ),
        [
            "block(2): tcp/accept ]: 127.0.0.1.39568 127.0.0.1.12001: "
            "blocked by higher-level socks-rule #2",
        ],
    ),
    (
        "13 by name",
        ended(
            BLOCKED,
            path("127.0.0.1.39578 127.0.0.1.12001"),
            rule(2),
            rule(4, LOG_CONNECT, Verdict.BLOCK),
            asked=endpoint("localhost.12111"),
        ),
        [
            "block(4): tcp/connect ]: 127.0.0.1.39578 127.0.0.1.12001 -> 0.0.0.0.0 localhost.12111",
            "block(2): tcp/accept ]: 127.0.0.1.39578 127.0.0.1.12001: "
            "blocked by higher-level socks-rule #4",
        ],
    ),
    (
        "14 by no client rule",
        replace(
            early(
                "127.0.9.9.40791 127.0.0.1.12001", refused(Side.RULE, Phase.ACCEPT, Cause.BLOCKED)
            ),
            client_rule=replace(RULE_0, log=ALL),
        ),
        [
            "block(0): tcp/accept ]: 127.0.9.9.40791 127.0.0.1.12001: "
            "no rules matched; using default block rule"
        ],
    ),
    (
        "14 by no socks rule",
        ended(
            BLOCKED,
            path("127.0.0.1.53518 127.0.0.1.12001"),
            socks_rule=replace(RULE_0, log=ALL),
            asked=endpoint("127.0.0.1.12999"),
        ),
        [
            "block(0): tcp/connect ]: 127.0.0.1.53518 127.0.0.1.12001 -> 0.0.0.0.0 127.0.0.1.12999:"
            " no rules matched; using default block rule",
            "block(1): tcp/accept ]: 127.0.0.1.53518 127.0.0.1.12001: blocked by higher-level "
            "socks-rule #0: no rules matched; using default block rule",
        ],
    ),
    (
        "15 eof at once",
        early("127.0.0.1.53538 127.0.0.1.12001", negotiating("", Cause.CLOSED)),
        [
            "block(1): tcp/accept ]: 127.0.0.1.53538 127.0.0.1.12001: error after reading 0 bytes "
            "in 0 seconds: eof from local client"
        ],
    ),
    (
        "15 wrong version",
        early(
            "127.0.0.1.53560 127.0.0.1.12001",
            negotiating("unknown SOCKS version 9 in client request"),
            read=1,
        ),
        [
            "block(1): tcp/accept ]: 127.0.0.1.53560 127.0.0.1.12001: error after reading 1 byte "
            "in 0 seconds: unknown SOCKS version 9 in client request"
        ],
    ),
    (
        "15 unbound address",
        unasked(
            "127.0.0.1.53602 127.0.0.1.12001",
            refused(
                Side.CLIENT,
                Phase.AUTHORISE,
                Cause.UNUSABLE,
                "unbound ipaddress (0.0.0.0.0) in request",
            ),
        ),
        [
            "block(1): tcp/connect ]: 127.0.0.1.53602 127.0.0.1.12001: "
            "unbound ipaddress (0.0.0.0.0) in request",
            "block(1): tcp/accept ]: 127.0.0.1.53602 127.0.0.1.12001: request was not performed "
            "due to error: unbound ipaddress (0.0.0.0.0) in request",
        ],
    ),
    (
        "15 our own address",
        unasked(
            "127.0.0.1.53612 127.0.0.1.12001",
            refused(Side.CLIENT, Phase.AUTHORISE, Cause.UNUSABLE, SUSPICIOUS),
        ),
        [
            f"block(1): tcp/connect ]: 127.0.0.1.53612 127.0.0.1.12001: {SUSPICIOUS}",
            "block(1): tcp/accept ]: 127.0.0.1.53612 127.0.0.1.12001: request was not performed "
            f"due to error: {SUSPICIOUS}",
        ],
    ),
    (
        "15 negotiate timeout",
        early(
            "127.0.0.1.53618 127.0.0.1.12001",
            refused(Side.CLIENT, Phase.NEGOTIATE, Cause.TIMEOUT),
            read=3,
            seconds=3.0,
        ),
        [
            "block(1): tcp/accept ]: 127.0.0.1.53618 127.0.0.1.12001: "
            "negotiate timeout after 3 seconds"
        ],
    ),
    (
        "17 blocked by name",
        ended(
            BLOCKED,
            replace(path("127.0.0.1.12558 127.0.0.1.12001"), client_user=ROOT),
            socks_rule=RULE_0,
        ),
        [
            "block(1): tcp/accept ]: rfc931%root@127.0.0.1.12558 127.0.0.1.12001: blocked by "
            "higher-level socks-rule #0: no rules matched; using default block rule"
        ],
    ),
    (
        "29 unresolvable",
        unasked("127.0.0.1.60328 127.0.0.1.12001", UNRESOLVED),
        [
            "block(1): tcp/connect ]: 127.0.0.1.60328 127.0.0.1.12001: could not resolve hostname "
            '"NOSUCHDNSNAME": Name or service not known',
            "block(1): tcp/accept ]: 127.0.0.1.60328 127.0.0.1.12001: request was not performed "
            'due to error: could not resolve hostname "NOSUCHDNSNAME": Name or service not known',
        ],
    ),
    (
        "29 half a greeting",
        early("127.0.0.1.60330 127.0.0.1.12001", negotiating("", Cause.CLOSED), read=2),
        [
            "block(1): tcp/accept ]: 127.0.0.1.60330 127.0.0.1.12001: error after reading 2 bytes "
            "in 0 seconds: eof from local client"
        ],
    ),
    (
        "31 no route",
        ConnectFailed(
            Severity.WARNING,
            Edge.EXTERNAL,
            endpoint("10.95.0.5.80"),
            "ENETUNREACH",
            errno.ENETUNREACH,
        ),
        ["no route to 10.95.0.5.80: Network is unreachable"],
    ),
    (
        "31 unreachable at once",
        ended(
            refused(Side.TARGET, Phase.CONNECT, Cause.ERROR, UNREACHABLE, number=errno.ENETUNREACH),
            path("127.0.0.1.33442 127.0.0.1.12001", "10.99.0.1.33442 10.95.0.5.80"),
        ),
        [
            "block(1): tcp/connect ]: 127.0.0.1.33442 127.0.0.1.12001 -> "
            f"10.99.0.1.33442 10.95.0.5.80: {UNREACHABLE}",
            "block(1): tcp/accept ]: 127.0.0.1.33442 127.0.0.1.12001: request was not performed "
            f"due to error: {UNREACHABLE}",
        ],
    ),
    (
        "32 unexpected bytes",
        Message(
            Severity.NOTICE,
            "association.bytes",
            "run_io(): 6 unexpected bytes over control connection from client "
            r"127.0.0.1.59508: hello\n",
        ),
        [
            "run_io(): 6 unexpected bytes over control connection from client "
            r"127.0.0.1.59508: hello\n"
        ],
    ),
    (
        "70 refused",
        REFUSED,
        ["connect to host 127.0.0.1.12199 failed: Connection refused"],
    ),
    (
        "70 unresolvable",
        ResolveFailed(
            Severity.WARNING,
            Edge.EXTERNAL,
            "NOSUCHDNSNAME",
            "EAI_NONAME",
            "Name or service not known",
        ),
        ['could not DNS-resolve "NOSUCHDNSNAME": Name or service not known'],
    ),
    (
        "70, with the place where Dante has N/A",
        TrafficFailed(
            Severity.NOTICE,
            Edge.EXTERNAL,
            Operation.SEND,
            endpoint("127.0.0.1.12104"),
            "ECONNRESET",
            errno.ECONNRESET,
        ),
        ["send to host 127.0.0.1.12104 failed: Connection reset by peer"],
    ),
    (
        "23 the same three errors in sending",
        TrafficFailed(
            Severity.WARNING,
            Edge.EXTERNAL,
            Operation.SEND,
            endpoint("10.95.0.5.80"),
            "ENETUNREACH",
            errno.ENETUNREACH,
        ),
        ["no route to 10.95.0.5.80: Network is unreachable"],
    ),
    (
        "ours: reading",
        TrafficFailed(
            Severity.CRITICAL,
            Edge.INTERNAL,
            Operation.RECEIVE,
            endpoint("127.0.0.1.54832"),
            "ECONNRESET",
            errno.ECONNRESET,
        ),
        ["receive from host 127.0.0.1.54832 failed: Connection reset by peer"],
    ),
    (
        "ours: accepting",
        AcceptFailed(
            Severity.ERROR, Edge.INTERNAL, endpoint("127.0.0.1.12001"), "EMFILE", errno.EMFILE
        ),
        ["accept of client on 127.0.0.1.12001 failed: Too many open files"],
    ),
    (
        "8.3, with the address where Dante has <nonsense address>",
        ResolveFailed(
            Severity.WARNING,
            Edge.INTERNAL,
            "10.0.0.9",
            "EAI_AGAIN",
            "Temporary failure in name resolution",
            reverse=True,
        ),
        ["could not DNS reversemap address 10.0.0.9: Temporary failure in name resolution"],
    ),
    (
        "ours: once more",
        Repeated(Severity.WARNING, 1, REFUSED),
        [
            "last message repeated 1 time: "
            "connect to host 127.0.0.1.12199 failed: Connection refused"
        ],
    ),
    (
        "ours: again and again",
        Repeated(Severity.WARNING, 120, REFUSED),
        [
            "last message repeated 120 times: "
            "connect to host 127.0.0.1.12199 failed: Connection refused"
        ],
    ),
    (
        "oracle: UDP refused by rule",
        ended(
            BLOCKED,
            path("127.0.0.1.60312 127.0.0.1.23902"),
            socks_rule=rule(1, LOG_CONNECT, Verdict.BLOCK),
            protocol=Protocol.UDP,
            command=Command.UDPASSOCIATE,
        ),
        [
            # Dante has zeros in place of the client, see docs/differences.rst.
            "block(1): udp/udpassociate ]: 127.0.0.1.60312 127.0.0.1.23902",
            "block(1): tcp/accept ]: 127.0.0.1.60312 127.0.0.1.23902: "
            "blocked by higher-level socks-rule #1",
        ],
    ),
    (
        "23 blocked datagram",
        Dropped(
            1,
            rule(),
            path("127.0.0.1.39616 127.0.0.1.53400", "127.0.0.1.53450 127.0.0.1.12109"),
            Side.CLIENT,
            Drop.BLOCKED,
        ),
        [
            "block(1): udp/udpassociate -: 127.0.0.1.39616 127.0.0.1.53400 -> "
            "127.0.0.1.53450 127.0.0.1.12109"
        ],
    ),
    (
        "23 blocked first datagram",
        Dropped(
            1,
            rule(),
            replace(path("127.0.0.1.38593 127.0.0.1.51102"), target=endpoint("127.0.0.1.12109")),
            Side.CLIENT,
            Drop.BLOCKED,
        ),
        [
            "block(1): udp/udpassociate -: 127.0.0.1.38593 127.0.0.1.51102 -> "
            "0.0.0.0.0 127.0.0.1.12109"
        ],
    ),
    (
        "23 blocked answer",
        Dropped(
            1,
            rule(3, verdict=Verdict.BLOCK),
            path("127.0.0.1.38891 127.0.0.1.34986", "127.0.0.1.55382 127.0.0.1.12103"),
            Side.TARGET,
            Drop.BLOCKED,
            command=Command.UDPREPLY,
        ),
        [
            "block(3): udp/udpreply -: 127.0.0.1.12103 127.0.0.1.55382 -> "
            "127.0.0.1.34986 127.0.0.1.38891"
        ],
    ),
    (
        "23 ICMP error",
        Dropped(
            1,
            rule(2, LOG_ERROR),
            path("127.0.0.1.47812 127.0.0.1.44860", "127.0.0.1.53492 127.0.0.1.12199"),
            Side.CLIENT,
            Drop.UNDELIVERED,
            "Connection refused (delayed error)",
        ),
        [
            "block(2): udp/udpassociate -: 127.0.0.1.47812 127.0.0.1.44860 -> "
            "127.0.0.1.53492 127.0.0.1.12199: Connection refused (delayed error)"
        ],
    ),
    (
        "23 malformed datagram",
        Dropped(
            1,
            rule(2, LOG_DISCONNECT),
            path("127.0.0.1.37053 127.0.0.1.41496"),
            Side.CLIENT,
            Drop.MALFORMED,
            "SOCKS protocol error in socks udp packet of length 2.  Could not extract valid "
            "address from SOCKS UDP header",
        ),
        [
            "block(2): udp/udpassociate -: 127.0.0.1.37053 127.0.0.1.41496 -> "
            "0.0.0.0.0 0.0.0.0.0: SOCKS protocol error in socks udp packet of length 2.  "
            "Could not extract valid address from SOCKS UDP header"
        ],
    ),
    (
        "ours: more than are told",
        Dropped(
            1,
            rule(2),
            path("127.0.0.1.54297 127.0.0.1.41158"),
            Side.CLIENT,
            Drop.STRANGER,
            "expected udp packet from clientaddress 127.0.0.9.0, got it from 127.0.0.1.54297",
            7,
        ),
        [
            "block(2): udp/udpassociate -: 127.0.0.1.54297 127.0.0.1.41158 -> "
            "0.0.0.0.0 0.0.0.0.0: expected udp packet from clientaddress 127.0.0.9.0, got it "
            "from 127.0.0.1.54297; 7 more like it since this was last told"
        ],
    ),
    (
        "no keyword, no line",
        Dropped(1, rule(2, LOG_CONNECT), path("127.0.0.1.1 127.0.0.1.2"), Side.CLIENT, Drop.ERROR),
        [],
    ),
    (
        "a block is not an error",
        Dropped(1, rule(2, LOG_ERROR), path("127.0.0.1.1 127.0.0.1.2"), Side.CLIENT, Drop.BLOCKED),
        [],
    ),
]
