"""
All that twistd sees: the options of ``twistd sockd``, and what makes the service of them.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from twisted.application.service import Service
from twisted.python import usage

from dantetw.catalogue import PROGRAM
from dantetw.config import Parsed, load, parse
from dantetw.config.load import fetch
from dantetw.config.machine import Machine
from dantetw.config.problems import render_problems
from dantetw.net.errors import words_of_error
from dantetw.net.host import Host
from dantetw.observe.sinks.stdio import WORDS
from dantetw.process import pidfile
from dantetw.process.descriptors import open_missing
from dantetw.process.limits import processors
from dantetw.process.orphans import Orphans
from dantetw.server.service import ServiceOptions, SockdService
from dantetw.server.startup import PID_FILE_HINT, PidLock, Startup

#: The name of the default configuration's file in messages.
BUILT_IN = "(built-in configuration)"

_DEFAULT = """\
logoutput: stdout
log.unmatched: connect disconnect error
internal: 127.0.0.1 port = 1080
{externals}
{users}external.rotation: route
clientmethod: none
socksmethod: none
client pass {{
    from: 127.0.0.0/8 to: 0/0
    log: connect disconnect error
}}
socks pass {{
    from: 127.0.0.0/8 to: 0/0
    command: connect bind udpassociate
    log: connect disconnect error
}}
socks pass {{
    from: 0/0 to: 127.0.0.0/8
    command: bindreply udpreply
    log: connect disconnect error
}}
"""

_DEFAULT_SAID = (
    "no configuration was given (--config FILE): using a built-in one",
    "listening on 127.0.0.1 port 1080, for clients on this host only; going out as this host does;"
    " logging connect, disconnect and error to standard output",
)


def default_configuration(system: Machine) -> bytes:
    """
    What to do without a configuration: serve this host's own clients, log to standard output.

    ``external`` is every interface that has an address now; the kernel's routes choose.  Started by
    root it runs as ``nobody``.
    """
    names = [name for _, name in socket.if_nameindex() if system.addresses_of(name)]
    externals = "\n".join(f"external: {name}" for name in names)
    users = ""
    if system.effective_root and system.user_exists("nobody"):
        users = "user.privileged: root\nuser.unprivileged: nobody\n"
    return _DEFAULT.format(externals=externals, users=users).encode()


def _level(text: str) -> int:
    """
    A debug level.

    :raises ValueError: if it is none.
    """
    level = int(text)
    if level < 0:
        raise ValueError("must be 0 or more")
    return level


def _workers(text: str) -> int:
    """
    How many processes serve clients.

    :raises ValueError: if it is no number.
    """
    number = int(text)
    if number < 1:
        raise ValueError("must be 1 or more")
    return number


class Options(usage.Options):
    """The options of ``twistd sockd``."""

    longdesc = "A SOCKS server that reads Dante's sockd.conf and writes Dante's log."

    optParameters: ClassVar = [
        ["config", "f", None, "The configuration, a sockd.conf; without one a built-in is used."],
        ["debug", "d", None, "Debug level, overrides the configuration's.", _level],
        ["pid", None, "", "File to write the process id to, emptied at the end."],
        ["take-over", None, "", "Process id, or its file, of a server to take the place of."],
        ["workers", "N", None, "Processes that serve clients (Dante's -N).", _workers],
        ["program", None, "sockd", "The program's name in the log."],
    ]
    optFlags: ClassVar = [["no-keepalive", None, "Do not use TCP keep-alive (Dante's -n)."]]

    def postOptions(self) -> None:
        """
        Remove twistd's pid file if a server that has ended left it there.

        twistd looks at it next, and refuses to start if there is any process of that number.

        :raises SystemExit: if the file can be neither used nor removed.
        """
        open_missing()
        path = self.parent["pidfile"] if self.parent else None
        try:
            # twistd makes it absolute next, which fails where the working directory is gone.
            if path and pidfile.is_stale(os.path.abspath(path)):
                os.remove(path)
        except OSError as failed:
            hint = PID_FILE_HINT if isinstance(failed, PermissionError) else ""
            reason = words_of_error(failed) + hint
            sys.stderr.write(f"{self['program']}: error: twistd's --pidfile {path}: {reason}\n")
            raise SystemExit(1) from None


def read(path: str | None, system: Machine, debug: int | None = None) -> Parsed:
    """
    Read a configuration, or the built-in one if ``path`` is None.

    :param debug: the command line's level, if it has one.
    """
    if path is None:
        return parse(default_configuration(system), BUILT_IN, system, PROGRAM, debug=debug)
    return load(path, system, PROGRAM, debug=debug)


class Here(Host):
    """This machine, with the privileges at the time it is made: they are dropped later."""

    def __init__(self) -> None:
        self._root = os.geteuid() == 0

    @property
    def effective_root(self) -> bool:
        return self._root


def reread(
    path: str | None, debug: int | None, system: Machine, opener: Callable[[str, int], int]
) -> Parsed:
    """
    Read a configuration for a reload, in a thread, since it may look up names.

    :param path: None means the built-in one; ``debug``: the command line's level, if it has one.
    :param opener: opens the file.
    """
    if path is None:
        return parse(default_configuration(system), BUILT_IN, system, PROGRAM, debug=debug)
    return parse(fetch(path, opener), path, system, PROGRAM, debug=debug)


def _keeps_log(twistd: Any) -> bool:
    """
    Whether twistd was asked for a log of its own, by ``--logfile``, ``--syslog`` or ``--logger``.

    :param twistd: its options, None if we are not its command (in an application file, say).
    """
    return twistd is not None and any(twistd.get(flag) for flag in ("logfile", "syslog", "logger"))


def makeService(options: Any) -> Service:
    """
    Make the service; twistd calls this before it goes to the background.

    :raises SystemExit: if the configuration is wrong, when all its errors have been reported.
    """
    startup = Startup(options["program"], options.parent)
    path = options["config"]
    system = Here()
    parsed = read(path, system, options["debug"])
    if parsed.policy is None:
        sys.stderr.write(render_problems(parsed.problems, path or BUILT_IN))
        startup.close()
        raise SystemExit(1)
    policy = parsed.policy
    outputs = (*policy.logging.outputs, *policy.logging.errors)
    startup.logged_here = any(output.text in WORDS for output in outputs)
    settings = ServiceOptions(
        program=options["program"],
        config=path or "",
        debug=options["debug"],
        keep_alive=not options["no-keepalive"],
        pidfile=options["pid"],
        notices=_DEFAULT_SAID if path is None else (),
        twistd_log=_keeps_log(options.parent),
        take_over=options["take-over"],
        workers=options["workers"] or policy.processes.workers or processors(),
    )
    service = SockdService(
        policy,
        settings,
        parsed.problems,
        reread=partial(reread, path, options["debug"], system),
        startup=startup,
    )
    if startup.pidfile:
        PidLock(startup.pidfile).setServiceParent(service)  # type: ignore[no-untyped-call]
    Orphans().setServiceParent(service)  # type: ignore[no-untyped-call]
    return service
