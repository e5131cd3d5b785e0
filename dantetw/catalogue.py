"""
All that dantetw can do, on one page.

A new authentication method, command, log format or log destination is one new file and one line
here.  Importing a module changes nothing that the program can do; being listed here does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dantetw.auth.methods import for_username
from dantetw.observe.formats.dante import Dante
from dantetw.observe.sinks import file, stdio, syslog
from dantetw.observe.sinks.kind import Kind
from dantetw.session.commands.connect import connect
from dantetw.session.protocol import Perform
from dantetw.values import Command, Method

#: What a client can ask for.
COMMANDS: Final[Mapping[Command, Perform]] = {
    Command.CONNECT: connect,
}

#: How a client can show who it is, and what makes the check for a policy.  ``none`` has nothing to
#: check.
METHODS: Final = {
    Method.NONE: None,
    Method.USERNAME: for_username,
}

#: What events can be turned into.
FORMATS: Final = {
    "dante": Dante,
}

#: Where lines can go.  A file takes every name that is left, so it stands last.
SINKS: Final[tuple[Kind, ...]] = (stdio.opened, syslog.opened, file.opened)

#: What the server says of itself: stable identifiers of messages, and what each means.
MESSAGES: Final[Mapping[str, str]] = {
    "auth.users-file": "something is wrong with the file of ``username.file``",
    "config.problem": "a warning about the configuration",
    "external.misrouted": "the address to go out from is not an external one",
    "internal.exhausted": "no descriptors or memory are left to accept a client",
    "internal.unbound": "an internal address cannot be bound",
    "log.misnamed": "a log destination cannot be meant, such as ``syslog/kern``",
    "log.unopenable": "a log file cannot be opened or created",
    "log.unopened": "a log destination is not in use",
    "log.untried": "at a reload, a log destination was not tried after another had failed",
    "server.failed": "the server cannot start",
    "server.limits": "how many files can be open",
    "server.notice": "what the built-in configuration does",
    "server.pidfile": "the file for the process id cannot be written",
    "server.privileges": "the server was not started as ``user.privileged``",
    "server.reload": "what came of SIGHUP",
    "server.running": "clients can come",
    "server.stopped": "the last line",
    "server.stopping": "a signal stops the server",
    "socket.option": "the system refuses a socket option",
}
