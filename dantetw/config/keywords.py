"""
The table of keywords: a row says where a keyword may stand, what its values are, what it means.

:data:`KEYWORDS` is all of the language but for the heads of rules.  ``docs/keywords.rst``
shows the same table, and a test compares the two.  What is understood but not done yet is listed in
:mod:`dantetw.config.unsupported`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from dantetw.config import vocabulary
from dantetw.config.addressing import AddressArgument
from dantetw.config.arguments import (
    Argument,
    CpuMask,
    Destinations,
    Names,
    Nothing,
    Number,
    OptionValue,
    Pair,
    Rest,
    Schedule,
    Symbols,
    Words,
)
from dantetw.config.tree import Place
from dantetw.values import CLIENT_METHODS


class Repeat(Enum):
    """What a second occurrence does to the first."""

    ADD = "adds"
    REPLACE = "replaces"
    ANEW = "starts anew"
    ONCE = "not allowed"


@dataclass(frozen=True, slots=True)
class Keyword:
    """
    A row of the table.

    :ivar name: the keyword; words in capitals (and what is in brackets) are placeholders.
    :ivar pattern: a regular expression for those, its groups being the placeholders' values.
    :ivar default: what holds if it is not there, for documentation.
    """

    name: str
    places: frozenset[Place]
    argument: Argument
    meaning: str
    default: str = ""
    repeat: Repeat = Repeat.REPLACE
    pattern: re.Pattern[str] | None = field(default=None, compare=False)


_G, _C, _S = Place.GLOBAL, Place.CLIENT, Place.SOCKS
_R, _M, _H = Place.ROUTE, Place.MONITOR, Place.HOSTID
_GLOBAL = frozenset((_G,))
_RULES = frozenset((_C, _S, _H))
_ANYWHERE = frozenset((_G, _C, _S, _H))
_SOCKS = frozenset((_S,))
_MONITOR = frozenset((_M,))

#: Seconds are kept in what the kernel and the reactor can wait for: 68 years.
_SECONDS: Final = Number("SECONDS", high=2**31 - 1)
_YES_NO: Final = Words(vocabulary.YES_NO, "value", many=False, owns_line=False)
_USER: Final = Names("USER", many=False)
_FILE: Final = Names("FILE", many=False)
_OUTPUTS: Final = Destinations()
_CLIENT_METHODS: Final = [
    name for name, method in vocabulary.METHODS.items() if method in CLIENT_METHODS
]
_SIDE: Final = "(internal|external)"
_LOG_WORDS: Final = Words(
    ("connect", "disconnect", "data", "error", "iooperation", "ioop", "tcpinfo"), "log word"
)


def _row(
    name: str,
    places: Iterable[Place],
    argument: Argument,
    meaning: str,
    default: str = "",
    repeat: Repeat = Repeat.REPLACE,
    pattern: str = "",
) -> Keyword:
    return Keyword(
        name,
        frozenset(places),
        argument,
        meaning,
        default,
        repeat,
        re.compile(pattern) if pattern else None,
    )


KEYWORDS: Final = (
    # Logging
    _row("logoutput", _GLOBAL, _OUTPUTS, "where to log", "nowhere", Repeat.ADD),
    _row("errorlog", _GLOBAL, _OUTPUTS, "where to log warnings and worse, too", "", Repeat.ADD),
    _row(
        "debug",
        _GLOBAL,
        Number(),
        "not 0: debug lines, and connect, disconnect, error and ioop in every rule; -d wins, but"
        " alone adds nothing to rules",
        "0",
    ),
    _row(
        "log.format.FORMAT",
        _GLOBAL,
        _OUTPUTS,
        "how these destinations are told, dante or json (dantetw's own)",
        "log.format.dante",
        Repeat.ADD,
        r"log\.(format)\.([^.\s]*)",
    ),
    _row(
        "log.omit.FIELD",
        _GLOBAL,
        _OUTPUTS,
        "leave client, user or target out there (dantetw's own)",
        "",
        Repeat.ADD,
        r"log\.(omit)\.([^.\s]*)",
    ),
    _row(
        "log.hash.FIELD",
        _GLOBAL,
        _OUTPUTS,
        "have a pseudonym for client, user or target there (dantetw's own)",
        "",
        Repeat.ADD,
        r"log\.(hash)\.([^.\s]*)",
    ),
    _row("log.hashkey", _GLOBAL, _FILE, "key of the pseudonyms", "another at each start"),
    _row(
        "log.unmatched",
        _GLOBAL,
        _LOG_WORDS,
        "what is logged of clients and requests that no rule matches (dantetw's own)",
        "nothing",
        Repeat.ADD,
    ),
    _row(
        "SIDE.log.LEVEL.error",
        _ANYWHERE,
        Symbols(),
        "priority at which these errors are logged; in a rule, for its sessions",
        "",
        Repeat.ADD,
        rf"{_SIDE}\.log\.([^.\s]*)\.error",
    ),
    _row(
        "SIDE.log.LEVEL.tcp.enabled",
        _ANYWHERE,
        Words(vocabulary.TCP_FEATURES, "TCP feature"),
        "log connections that have the feature",
        "",
        Repeat.ADD,
        rf"{_SIDE}\.log\.([^.\s]*)\.tcp\.enabled",
    ),
    _row(
        "SIDE.log.LEVEL.tcp.disabled",
        _ANYWHERE,
        Words(vocabulary.TCP_FEATURES, "TCP feature"),
        "log connections that lack the feature",
        "",
        Repeat.ADD,
        rf"{_SIDE}\.log\.([^.\s]*)\.tcp\.disabled",
    ),
    # Addresses
    _row(
        "internal",
        _GLOBAL,
        AddressArgument(mask=False),
        "address, interface or name to listen on; 0.0.0.0 and :: are all addresses",
        "required; port 1080",
        Repeat.ADD,
    ),
    _row(
        "internal.protocol",
        _GLOBAL,
        Words(vocabulary.FAMILIES, "address family"),
        "address families to listen on; before any internal",
        "ipv4 ipv6",
        Repeat.ADD,
    ),
    _row(
        "external",
        _GLOBAL,
        AddressArgument(mask=False, ports=False),
        "address, interface or name to go out from",
        "required",
        Repeat.ADD,
    ),
    _row(
        "external.protocol",
        _GLOBAL,
        Words(vocabulary.FAMILIES, "address family"),
        "address families to go out with; before any external",
        "ipv4 ipv6",
        Repeat.ADD,
    ),
    _row(
        "external.rotation",
        _GLOBAL,
        Words(vocabulary.ROTATIONS, "rotation", many=False, owns_line=False),
        "how the outgoing address is chosen",
        "none",
    ),
    _row(
        "udp.connectdst",
        _GLOBAL,
        _YES_NO,
        "connect the outgoing UDP socket while there is one destination",
        "yes",
    ),
    _row(
        "udp.announce",
        _GLOBAL,
        Names("ADDRESS"),
        "where clients are told to send their datagrams, behind NAT (dantetw's own)",
        "where they came in",
        Repeat.ADD,
    ),
    _row(
        "udp.source",
        (_G, _S),
        Words(vocabulary.UDP_SOURCES, "source", many=False, owns_line=False),
        "whose datagrams are served: from the address that the client announces; or also from that"
        " which it is connected from (dantetw's own)",
        "announced",
    ),
    # Who may use it
    _row(
        "clientmethod",
        (_G, _C, _S, _H),
        Words(vocabulary.METHODS, "method", fitting=_CLIENT_METHODS),
        "methods for the client's connection, before the first byte",
        "none",
        Repeat.ANEW,
    ),
    _row(
        "socksmethod",
        (_G, _C, _S, _H),
        Words(vocabulary.METHODS, "method"),
        "methods for requests, by preference; in a client rule: what is offered",
        "none at all",
        Repeat.ANEW,
    ),
    _row(
        "method",
        (_G, _C, _S, _R, _H),
        Words(vocabulary.METHODS, "method"),
        "old name of socksmethod, in a client rule of clientmethod; in a route its own",
        "",
        Repeat.ANEW,
    ),
    _row(
        "username.file",
        _GLOBAL,
        _FILE,
        "users of the method username (dantetw's own)",
        "system's password file",
    ),
    _row("user.privileged", _GLOBAL, _USER, "who to be for privileged work", "as started"),
    _row("user.unprivileged", _GLOBAL, _USER, "who to be for all the rest", "as started"),
    _row("user.notprivileged", _GLOBAL, _USER, "another spelling of user.unprivileged"),
    _row("user.libwrap", _GLOBAL, _USER, "who to be for libwrap; without effect", "unprivileged"),
    _row(
        "libwrap.hosts_access",
        _GLOBAL,
        _YES_NO,
        "ask hosts.allow and hosts.deny before any rule",
        "no",
    ),
    _row("libwrap.allow", _GLOBAL, _FILE, "file for hosts.allow; without effect", "system's"),
    _row("libwrap.deny", _GLOBAL, _FILE, "file for hosts.deny; without effect", "system's"),
    _row(
        "srchost",
        _GLOBAL,
        Words(("nodnsmismatch", "nodnsunknown", "checkreplyauth"), "option"),
        "checks of the client's reverse name; authentication of replies",
        "none",
        Repeat.ADD,
    ),
    # Behaviour
    _row(
        "compatibility",
        _GLOBAL,
        Words(("sameport", "draft-5.05"), "option", owns_line=False),
        "sameport: connect from the client's port also below 1024; draft-5.05: as we do anyway",
        "none",
        Repeat.ADD,
    ),
    _row("extension", (_G, _R), Words(("bind",), "extension"), "Dante's bind extension", "none"),
    _row(
        "resolveprotocol",
        _GLOBAL,
        Words(vocabulary.RESOLVE_PROTOCOLS, "protocol", many=False),
        "how names are looked up; fake: rules never look names up",
        "udp",
    ),
    _row(
        "timeout.connect",
        _ANYWHERE,
        _SECONDS,
        "for connecting to a target; 0: the kernel's",
        "30",
    ),
    _row("timeout.negotiate", _ANYWHERE, _SECONDS, "from accept to request; 0: for ever", "30"),
    _row("timeout.io", _ANYWHERE, _SECONDS, "timeout.io.tcp and timeout.io.udp at once"),
    _row("timeout.io.tcp", _ANYWHERE, _SECONDS, "without traffic, TCP; 0: for ever", "0"),
    _row("timeout.io.udp", _ANYWHERE, _SECONDS, "without traffic, UDP; 0: for ever", "86400"),
    _row("timeout.tcp_fin_wait", _ANYWHERE, _SECONDS, "after one side has closed", "0"),
    _row(
        "timeout.handover",
        _GLOBAL,
        _SECONDS,
        "for sessions of a server whose place another takes; 0: for ever (dantetw's own)",
        "3600",
    ),
    _row(
        "workers",
        _GLOBAL,
        Number(low=1, high=1024),
        "processes that serve clients; 1: the server is one process (dantetw's own); -N wins",
        "one for each processor",
    ),
    _row(
        "child.maxrequests",
        _GLOBAL,
        Number(),
        "requests a worker serves before it is replaced; 0: no limit",
        "0",
    ),
    _row(
        "child.maxlifetime",
        _GLOBAL,
        _SECONDS,
        "age at which a worker is replaced; 0: no limit (Dante 1.4.3)",
        "0",
    ),
    _row(
        "timeout.worker",
        _GLOBAL,
        _SECONDS,
        "after which a worker that does not respond is killed; 0: never (dantetw's own)",
        "10",
    ),
    _row(
        "interface.missing",
        _GLOBAL,
        Words(("wait", "fail"), "word", many=False),
        "fail: do not start where an interface or address is missing, as Dante (dantetw's own)",
        "wait",
    ),
    _row("route.maxfail", _GLOBAL, Number(), "failures until a route is bad; 0: never", "1"),
    _row("route.badexpire", _GLOBAL, _SECONDS, "how long it stays bad; 0: for ever", "300"),
    _row(
        "cpu.schedule.PROC",
        _GLOBAL,
        Schedule(vocabulary.SCHEDULING),
        "scheduling policy of a kind of process",
        "none",
        pattern=rf"cpu\.schedule\.({'|'.join(vocabulary.PROCESSES)})",
    ),
    _row(
        "cpu.mask.PROC",
        _GLOBAL,
        CpuMask(),
        "processors of a kind of process",
        "any",
        pattern=rf"cpu\.mask\.({'|'.join(vocabulary.PROCESSES)})",
    ),
    _row(
        "SIDE.LEVEL.OPTION",
        (_G, _C, _S, _R, _H),
        OptionValue(),
        "socket option; LEVEL is socket, ip, tcp or udp",
        "",
        Repeat.ADD,
        rf"{_SIDE}\.(socket|ip|tcp|udp)\.([\w.]+)",
    ),
    # Conditions of rules
    _row(
        "from",
        (_C, _S, _R, _M, _H),
        AddressArgument(mask=True),
        "the client; for replies the remote side",
        "required",
        Repeat.ONCE,
    ),
    _row(
        "to",
        (_C, _S, _R, _M, _H),
        AddressArgument(mask=True),
        "client rule: our address; socks rule: the target",
        "required",
        Repeat.ONCE,
    ),
    _row(
        "via",
        (_R,),
        AddressArgument(mask=False, gateway=True),
        "the upstream proxy, or direct",
        "required",
        Repeat.ONCE,
    ),
    _row(
        "command",
        (_S, _R, _M),
        Words(vocabulary.COMMANDS, "command"),
        "what the rule is about",
        "all",
        Repeat.ADD,
    ),
    _row(
        "protocol",
        (_S, _R, _M),
        Words(vocabulary.PROTOCOLS, "protocol"),
        "what the rule is about",
        "all",
        Repeat.ADD,
    ),
    _row(
        "proxyprotocol",
        (_S, _R),
        Words(vocabulary.PROXY_PROTOCOLS, "proxy protocol"),
        "SOCKS version the client speaks; in a route: what is spoken upstream",
        "socks_v4 socks_v5",
        Repeat.ADD,
    ),
    _row("user", _RULES, Names("USER"), "user names; needs methods that give one", "", Repeat.ADD),
    _row("group", _RULES, Names("GROUP"), "groups of the user", "", Repeat.ADD),
    _row("hostid", (_C, _S, _M, _H), Rest("ADDRESS …"), "TCP option hostid", "", Repeat.ADD),
    _row("hostindex", (_C, _S, _M, _H), Number(), "which of the hostids", "0"),
    # What a rule does
    _row(
        "log",
        _RULES,
        _LOG_WORDS,
        "what of the rule's sessions is logged",
        "nothing",
        Repeat.ADD,
    ),
    _row(
        "udp.portrange",
        _SOCKS,
        Pair("A - B", ("-",), high=65535),
        "ports for the client's side of UDP",
        "any",
    ),
    _row("session.max", _RULES, Number(low=1), "sessions at a time", "no limit"),
    _row("session.throttle", _RULES, Pair("N/SECONDS", ("/",), low=1), "new sessions in a time"),
    _row(
        "session.state.key",
        _RULES,
        Words(("from", "hostid"), "key", many=False, owns_line=False),
        "what session.state limits are counted per",
    ),
    _row("session.state.max", _RULES, Number(low=1), "sessions at a time, per key", "no limit"),
    _row("session.state.throttle", _RULES, Pair("N/SECONDS", ("/",), low=1), "the same, new ones"),
    _row("session.inheritable", (_C, _H), _YES_NO, "whether socks rules inherit limits", "yes"),
    _row("bandwidth", _RULES, Number("BYTES", low=1), "bytes per second, shared", "no limit"),
    _row("redirect from", (_C, _S, _R), AddressArgument(mask=True), "replace the source address"),
    _row("redirect to", (_C, _S), AddressArgument(mask=False), "replace the target"),
    _row("bounce to", (_C,), AddressArgument(mask=False), "Barefoot's, never allowed here"),
    _row("libwrap", _RULES, Rest("LINE"), "a line for libwrap"),
    _row("pam.servicename", _RULES, Names("NAME", many=False), "PAM service", "sockd"),
    _row(
        "pamservicename", _RULES, Names("NAME", many=False), "another spelling of pam.servicename"
    ),
    _row("bsdauth.stylename", _SOCKS, Names("NAME", many=False), "BSD authentication style"),
    _row("gssapi.servicename", (_C, _S, _R), Names("NAME", many=False), "GSSAPI service", "rcmd"),
    _row(
        "gssapi.keytab",
        (_C, _S, _R),
        Names("NAME", many=False),
        "GSSAPI keytab",
        "FILE:/etc/sockd.keytab",
    ),
    _row(
        "gssapi.enctype",
        (_C, _S, _R),
        Words(("any", "clear", "integrity", "confidentiality"), "protection"),
        "GSSAPI protection",
        "integrity confidentiality",
    ),
    _row(
        "clientcompatibility",
        (_C, _R),
        Words(("necgssapi",), "option"),
        "concessions to GSSAPI clients",
        "none",
    ),
    _row(
        "pac.sid", (_C, _S), Rest("SID …"), "Active Directory groups of the user, since Dante 1.4.3"
    ),
    _row("pac.sid.b64", (_C, _S), Rest("SID …"), "the same, in base 64"),
    _row("pac.off", (_C, _S), _YES_NO, "no check of those groups", "no"),
    _row("ldap.NAME", _SOCKS, Rest("…"), "LDAP groups", pattern=r"(ldap\.[a-z0-9.]+)"),
    # Monitors
    _row(
        "[SIDE.]alarm.data[.DIRECTION]",
        _MONITOR,
        Pair("BYTES in SECONDS", ("in",)),
        "warn if no more than so many bytes move",
        "",
        Repeat.ADD,
        r"(?:(internal|external)\.)?alarm\.data(?:\.(recv|send))?",
    ),
    _row(
        "[SIDE.]alarm.disconnect",
        _MONITOR,
        Pair("COUNT/RATIO in SECONDS", ("/", "in"), optional=1),
        "warn if so many sessions end",
        "",
        Repeat.ADD,
        r"(?:(internal|external)\.)?alarm\.disconnect",
    ),
    _row(
        "[SIDE.]alarm.mtu-error",
        _MONITOR,
        Nothing(),
        "warn of path MTU problems",
        "",
        Repeat.ADD,
        r"(?:(internal|external)\.)?alarm\.mtu-error",
    ),
    # Old, and not for this program
    _row("connecttimeout", _GLOBAL, _SECONDS, "old name of timeout.connect"),
    _row("iotimeout", _GLOBAL, _SECONDS, "old name of timeout.io"),
    _row("child.maxidle", _GLOBAL, Rest("…", limit=4096), "ignored"),
    _row("localdomain", _GLOBAL, Rest("…", limit=4096), "ignored"),
    _row("realm", _GLOBAL, Rest("…"), "an error: not for this program"),
    _row(
        "socket.BUFFER.PROTOCOL",
        _GLOBAL,
        Rest("…"),
        "an error: use socket options",
        pattern=r"socket\.(recvbuf|sendbuf)\.(tcp|udp)",
    ),
)
