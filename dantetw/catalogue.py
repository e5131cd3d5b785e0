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
