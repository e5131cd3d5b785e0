"""
The command ``sockd users``: edits the users of ``username.file``.

====================  =====================================================
``add FILE NAME``     adds a user or gives them a new password
``remove FILE NAME``  removes a user
``list FILE``         names the users, one per line
``check FILE``        says what is wrong with the file
``check FILE NAME``   asks for a password and says whether it is theirs
====================  =====================================================

A password is asked for twice on a terminal; otherwise, and with ``--stdin``, it is the first line
of the standard input.  The file is locked and read again once the password has been read, so that
commands that run at the same time do not undo each other, and is replaced as a whole, so that a
server never reads half of it (:mod:`.locking`).
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Sequence
from getpass import getpass
from typing import Final, TextIO

from dantetw.auth.locking import LockedError, locked
from dantetw.auth.usersfile import (
    COSTS,
    PASSWORD_BYTES,
    UsersFileError,
    load_bcrypt,
    name_problem,
    parse,
    thd_matches,
)
from dantetw.cli.arguments import read_arguments
from dantetw.escaping import escape
from dantetw.net.errors import words_of_error
from dantetw.process.regular import open_regular

#: Each login pays for it, about 50 ms of CPU at 10 and twice as much for each step.  SOCKS clients
#: log in once per session, so web sites' usual 12 would let a few hundred guesses a minute take
#: a server down.
DEFAULT_COST: Final = 10


class _RefusedError(Exception):
    """An error to report; the exit status is 1."""


def main(
    argv: Sequence[str],
    stdin: TextIO,
    stdout: TextIO,
    stderr: TextIO,
    ask: Callable[[str], str] = getpass,
) -> int:
    """
    Carry out one command.

    :param argv: the arguments after ``sockd users``.
    :param ask: prompts for a password without echo.
    :returns: the exit status: 0, 1 if it failed or ``check`` found errors, 2 if the command makes
        no sense.
    """
    options = read_arguments(_parser(), argv, stdout, stderr)
    if isinstance(options, int):
        return options

    def password(twice: bool) -> bytes:
        return _password(stdin, ask, options.stdin or not stdin.isatty(), twice)

    try:
        match options.command:
            case "add":
                print(_add(options.file, options.name, options.cost, password), file=stdout)
            case "remove":
                print(_remove(options.file, options.name), file=stdout)
            case "list":
                for key in parse(_read(options.file), options.file):
                    print(escape(key), file=stdout)
            case _:
                print(_check(options.file, options.name, password), file=stdout)
    except (UsersFileError, LockedError, _RefusedError) as error:
        print(error, file=stderr)
        return 1
    except OSError as error:
        print(f"{options.file}: {words_of_error(error)}", file=stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print("given up; nothing was changed", file=stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sockd users", description="Edit a file of users.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = commands.add_parser("add", help="add a user, or give them a new password")
    remove = commands.add_parser("remove", help="remove a user")
    names = commands.add_parser("list", help="name the users")
    check = commands.add_parser("check", help="check the file, or a user's password")
    for command in (add, remove, names, check):
        command.add_argument("file", metavar="FILE")
    for command in (add, remove):
        command.add_argument("name", metavar="NAME")
    check.add_argument("name", metavar="NAME", nargs="?")
    parser.set_defaults(stdin=False)
    for command in (add, check):
        command.add_argument(
            "--stdin", action="store_true", help="the password is the first line of standard input"
        )
    add.add_argument(
        "--cost",
        type=int,
        choices=COSTS,
        default=DEFAULT_COST,
        metavar="N",
        help=f"2 to the power of N rounds, {COSTS.start}-{COSTS.stop - 1}; each step doubles what "
        "a login costs (default: %(default)s)",
    )
    return parser


def _password(stdin: TextIO, ask: Callable[[str], str], piped: bool, twice: bool) -> bytes:
    if piped:
        text = stdin.readline().rstrip("\r\n")
    else:
        text = ask("Password: ")
        if twice and ask("Again: ") != text:
            raise _RefusedError("the two passwords differ; nothing was changed")
    password = text.encode("utf-8", "surrogateescape")
    if not password:
        raise _RefusedError("the password is empty")
    if len(password) > PASSWORD_BYTES:
        raise _RefusedError(
            f"the password has {len(password)} bytes; bcrypt would look at the first "
            f"{PASSWORD_BYTES} only"
        )
    if b"\x00" in password:
        raise _RefusedError("the password has a NUL byte, which clients cannot send to all servers")
    return password


def _key(name: str) -> bytes:
    key = os.fsencode(name)
    problem = name_problem(key)
    if problem is not None:
        raise _RefusedError(problem)
    return key


def _add(path: str, name: str, cost: int, password: Callable[[bool], bytes]) -> str:
    key = _key(name)
    bcrypt = load_bcrypt()
    # Errors of the file are reported before the prompt for the password.
    with contextlib.suppress(FileNotFoundError):
        parse(_read(path), path)
    stored: bytes = bcrypt.hashpw(password(True), bcrypt.gensalt(cost))
    with locked(path) as file:
        known = key in parse(file.data, path)
        line = key + b":" + stored
        lines = file.data.split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        if known:
            lines = [line if _names(each, key) else each for each in lines]
        else:
            lines.append(line)
        file.replace(b"\n".join(lines) + b"\n")
    return f'{path}: user "{escape(key)}" {"has a new password" if known else "added"}'


def _remove(path: str, name: str) -> str:
    key = _key(name)
    with locked(path, create=False) as file:
        if key not in parse(file.data, path):
            raise _RefusedError(f'{path}: there is no user "{escape(key)}"')
        file.replace(b"\n".join(each for each in file.data.split(b"\n") if not _names(each, key)))
    return f'{path}: user "{escape(key)}" removed'


def _check(path: str, name: str | None, password: Callable[[bool], bytes]) -> str:
    users = parse(_read(path), path)
    if name is None:
        return f"{path}: {len(users)} {'user' if len(users) == 1 else 'users'}, no faults"
    key = _key(name)
    stored = users.get(key)
    if stored is None:
        raise _RefusedError(f'{path}: there is no user "{escape(key)}"')
    if not thd_matches(load_bcrypt(), password(False), stored):
        raise _RefusedError(f'{path}: that is not the password of user "{escape(key)}"')
    return f'{path}: that is the password of user "{escape(key)}"'


def _names(line: bytes, key: bytes) -> bool:
    return line.startswith(key + b":")


def _read(path: str) -> bytes:
    with open(path, "rb", opener=open_regular) as file:
        return file.read()
