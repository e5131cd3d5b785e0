"""
All that dantetw can do, on one page.

A new dialect, command, upstream, authentication method, log format or log destination is one new
file and one line here.  Importing a module changes nothing that the program can do; being listed
here does.

What only a server needs is imported by the function that lists it: ``sockd check`` asks only how a
configuration may be written, and should not wait for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from dantetw.config.program import Program
from dantetw.observe.formats.dante import Dante
from dantetw.observe.formats.json import Json
from dantetw.observe.interfaces import IFormat
from dantetw.observe.sinks import file, remote, stdio, syslog
from dantetw.observe.sinks.kind import SinkKind
from dantetw.values import Command, Method
from dantetw.wire import socks4, socks5
from dantetw.wire.dialects import IDialect

if TYPE_CHECKING:
    from dantetw.session.protocol import Perform
    from dantetw.upstream.interfaces import MakeUpstream

#: The protocols that clients can speak, distinguished by their first byte.
DIALECTS: Final[tuple[IDialect, ...]] = (socks4.DIALECT, socks5.DIALECT)


def commands() -> Mapping[Command, Perform]:
    """What a client can ask for."""
    from dantetw.session.commands.associate import associate
    from dantetw.session.commands.bind import bind
    from dantetw.session.commands.connect import connect

    return {
        Command.CONNECT: connect,
        Command.BIND: bind,
        Command.UDPASSOCIATE: associate,
    }


def upstreams() -> Mapping[str, MakeUpstream]:
    """Upstreams: how a session can get a connection to its target."""
    from dantetw.upstream.direct import Direct

    return {
        "direct": Direct,
    }


def methods() -> Mapping[Method, Callable[..., Any] | None]:
    """
    Authentication methods, and what makes the check for a policy.

    ``none`` has nothing to check.
    """
    from dantetw.auth.methods import for_pam, for_rfc931, for_username

    return {
        Method.NONE: None,
        Method.USERNAME: for_username,
        Method.RFC931: for_rfc931,
        Method.PAM_ADDRESS: for_pam,
        Method.PAM_ANY: for_pam,
        Method.PAM_USERNAME: for_pam,
    }


#: What events can be turned into; made with whether ``debug`` is on, and the beginning of ids that
#: no other run of the server has.
FORMATS: Final[Mapping[str, Callable[[bool, str], IFormat]]] = {
    "dante": lambda timing, run: Dante(timing),
    "json": lambda timing, run: Json(run),
}

#: Log destinations.  A file claims every word that is left, so it comes last.
SINKS: Final[tuple[SinkKind, ...]] = (stdio.KIND, syslog.KIND, remote.KIND, file.KIND)

#: What of this page a configuration names.
PROGRAM: Final = Program(SINKS, tuple(FORMATS))

#: What the server says of itself: stable identifiers of messages, and what each means.
MESSAGES: Final[Mapping[str, str]] = {
    "association.bytes": "a client with an association says something on its connection",
    "auth.users-file": "something is wrong with the file of ``username.file``",
    "config.problem": "a warning about the configuration",
    "config.understood": "with ``debug``, the configuration as it was understood",
    "external.misrouted": "the address to go out from is not an external one",
    "interface.changed": "an interface of the configuration has changed its addresses",
    "interface.down": "an interface of the configuration is gone or has no address",
    "interface.up": "an interface of the configuration is there, or has an address again",
    "internal.bound": "clients can come in by an address that could not be bound before",
    "internal.exhausted": "no descriptors or memory are left to accept a client",
    "internal.unbound": "an internal address cannot be bound",
    "log.broken": "an event could not be logged, by a bug in the server or a library",
    "log.lost": "how many lines a log destination lost",
    "log.unopenable": "a log file cannot be opened or created",
    "log.unopened": "a log destination is not in use",
    "log.untried": "at a reload, a log destination was not tried after another had failed",
    "log.unwritable": "a log destination does not take lines",
    "log.writable": "a log destination takes lines again, and how many were lost",
    "python.log": "what Twisted and libraries say; with ``debug``, tracebacks",
    "server.failed": "the server cannot start",
    "server.handover": "another server has taken our place, or none will be able to",
    "server.notice": "what the built-in configuration does",
    "server.pidfile": "the file for the process id cannot be written",
    "server.process": "with ``debug``, what this process is, may and has used",
    "server.privileges": (
        "``user.privileged`` cannot be had, or its helper has ended or refuses something"
    ),
    "server.reload": "what came of SIGHUP",
    "server.running": "clients can come",
    "server.worker": (
        "a worker has died, cannot be started or does not respond, or their number cannot change"
    ),
    "server.stopped": "the server is down; only what logs have lost can follow",
    "server.stopping": "a signal stops the server",
    "socket.option": "the system refuses a socket option",
}
