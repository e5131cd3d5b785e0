"""
The command ``sockd``: Dante's own flags, so that it can replace ``sockd`` and ``danted``.

``sockd -f FILE -D -p PIDFILE`` becomes ``twistd sockd …`` in the same process.  Additions to Dante
are sub-commands: ``sockd upgrade …``, ``sockd users …``, ``sockd check …``, ``sockd explain …``,
``sockd health …``.
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from dantetw import __version__
from dantetw.process.descriptors import open_missing
from dantetw.values import CONFIG_FILE

#: Written if ``-p`` names no other file.
PID_FILE: Final = "/var/run/sockd.pid"

_SUBCOMMANDS: Final = ("users", "health", "check", "explain")

USAGE: Final = """\
usage: sockd [-DLNVdfhnpv]
   -D             : run in the background, as a daemon
   -L             : show the licence of this program
   -N <number>    : number of processes that serve clients (default: one for each processor)
   -V             : verify the configuration, then exit
   -d <number>    : set the debug level; overrides "debug:"
   -f <filename>  : use <filename> as configuration (default: /etc/sockd.conf)
   -h             : print this
   -n             : disable TCP keep-alive
   -p <filename>  : write the process id to <filename> (default: /var/run/sockd.pid)
   -v             : print version; twice: and what of Dante is built

       sockd upgrade [-DNdfnp]
                  : start a server that takes the place of the one in the file of -p,
                    whose clients notice nothing
       sockd check [-f <filename>] ...
                  : verify configurations, for people and for CI; renew old ones
       sockd explain [-f <filename>] --from <address> --to <host:port> ...
                  : say what the server would do with a request, and why
       sockd health [-f <filename>] ...
                  : ask the server whether it answers, for health checks
       sockd users {add,remove,list,check} ...
                  : keep the users file of "username.file:"
"""

#: ``-L``; the whole text is the file LICENSE of the source.
LICENCE: Final = """\
dantetw: a SOCKS server on Twisted.  Copyright (c) 2026 the dantetw developers.

Free software under the MIT License: use, copy, change and pass it on, with this notice.  It comes
without warranty of any kind.  No code of Inferno Nettverk's Dante is part of it.
"""


class _Flags:
    """The flags of one command line."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """
        :raises getopt.GetoptError: if a flag is unknown or lacks its value.
        :raises ValueError: if a value is invalid; the message says why.
        """
        found, rest = getopt.getopt(list(arguments), "DLN:Vd:f:hnp:v")
        if rest:
            raise ValueError(f"unknown argument: {rest[0]}")
        values = dict(found)
        self.daemon = "-D" in values
        self.licence = "-L" in values
        self.verify = "-V" in values
        self.help = "-h" in values
        self.keep_alive = "-n" not in values
        self.version = sum(flag == "-v" for flag, _ in found)
        self.config = values.get("-f", CONFIG_FILE)
        self.pidfile = values.get("-p", PID_FILE)
        self.debug = _number("-d", values["-d"], 0) if "-d" in values else None
        self.workers = _number("-N", values["-N"], 1) if "-N" in values else None


def _number(flag: str, text: str, least: int) -> int:
    wanted = "zero" if least == 0 else "one"
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise ValueError(
            f"illegal value for {flag} option: {text}.  Must be a number and greater or equal to"
            f" {wanted}"
        )
    return int(text)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """
    The entry point.

    :param argv: the command line, the program's name first; default: the process's.
    :raises SystemExit: always; 0: done, 1: wrong arguments or a wrong configuration, or the server
        could not start.
    """
    open_missing()
    program, *arguments = sys.argv if argv is None else argv
    program = os.path.basename(program)
    if arguments[:1] and arguments[0] in _SUBCOMMANDS:
        raise SystemExit(_written(lambda: _tell(*arguments)))
    upgrade = arguments[:1] == ["upgrade"]
    try:
        flags = _Flags(arguments[1:] if upgrade else arguments)
    except getopt.GetoptError as wrong:
        sys.stderr.write(f"{program}: {wrong}\n{USAGE}")
        raise SystemExit(1) from None
    except ValueError as wrong:
        sys.stderr.write(f"{program}: error: {wrong}\n")
        raise SystemExit(1) from None
    if flags.help or flags.version or flags.licence or flags.verify:
        raise SystemExit(_written(lambda: _answer(flags)))
    _run(program, flags, upgrade)
    raise SystemExit(0)


def _answer(flags: _Flags) -> int:
    """Carry out a flag that starts no server; returns the exit status."""
    if flags.help:
        sys.stdout.write(USAGE)
    elif flags.version:
        _print_version(flags.version > 1)
    elif flags.licence:
        sys.stdout.write(LICENCE)
    else:
        return verify(flags.config)
    return 0


def _tell(command: str, *arguments: str) -> int:
    """The exit status of a sub-command that starts no server."""
    from dantetw.net.host import Host

    stdin, stdout, stderr = sys.stdin, sys.stdout, sys.stderr
    # Each imports what it needs: a health check comes every few seconds.
    match command:
        case "users":
            from dantetw.cli import users as useradmin

            return useradmin.main(arguments, stdin, stdout, stderr)
        case "health":
            from dantetw.cli import health

            return health.main(arguments, Host(), stdout, stderr)
        case "check":
            from dantetw.cli import check as checking

            return checking.main(arguments, Host(), stdin, stdout, stderr)
    from dantetw.cli.explain import command as explaining

    return explaining.main(arguments, Host(), stdin, stdout, stderr)


def _written(do: Callable[[], int]) -> int:
    """The exit status of a function that writes, even if its output is closed."""
    try:
        status = do()
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        pass  # the reader has seen enough
    except OSError as failed:
        what = failed.filename or "standard output"
        with suppress(OSError):
            sys.stderr.write(f"sockd: error: {what}: {os.strerror(failed.errno or 0)}\n")
    # Python would complain once more when it ends.
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(null, stream.fileno())
    return 1


def verify(path: str) -> int:
    """
    Check a configuration, as ``-V`` does, and print its errors on standard error.

    :returns: the exit status: 0 if a server could start with it, else 1.
    """
    from dantetw.catalogue import PROGRAM
    from dantetw.config import load
    from dantetw.config.problems import render_problems
    from dantetw.net.host import Host

    parsed = load(path, Host(), PROGRAM)
    sys.stderr.write(render_problems(parsed.problems, path))
    return 1 if parsed.policy is None else 0


def _print_version(verbose: bool) -> None:
    print(f"sockd: dantetw v{__version__}")
    if verbose:
        from dantetw import catalogue

        print("methods:  " + " ".join(sorted(method.value for method in catalogue.methods())))
        print("commands: " + " ".join(sorted(command.value for command in catalogue.commands())))
        print("formats:  " + " ".join(sorted(catalogue.FORMATS)))


def _run(program: str, flags: _Flags, upgrade: bool) -> None:
    """
    Become ``twistd sockd``.

    :param upgrade: replace the server whose process id is in the file.
    """
    from twisted.scripts import twistd

    arguments = ["sockd", "--config", flags.config, "--program", program]
    if flags.pidfile:
        arguments += ["--pid", flags.pidfile]
    if upgrade:
        arguments += ["--take-over", flags.pidfile]
    if flags.debug is not None:
        arguments += ["--debug", str(flags.debug)]
    if flags.workers is not None:
        arguments += ["--workers", str(flags.workers)]
    if not flags.keep_alive:
        arguments += ["--no-keepalive"]
    # Dante's pid file is ours to write, not twistd's; the umask stays as it is.
    before = ["--pidfile=", "--no_save", "--originalname"]
    if not flags.daemon:
        before.append("--nodaemon")
    else:
        before.append("--umask=022")
    sys.argv = [program, *before, *arguments]
    twistd.run()
