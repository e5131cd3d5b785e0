"""
The command ``sockd health``: checks whether the server of a configuration answers, for the health
checks of containers and supervisors.

It greets the server as a SOCKS client does, at its ``internal`` addresses, and leaves.  Any answer
counts, including that no method fits, or a closed connection: the rules decide whether *this*
client may pass.  A server that hangs does not answer, though its kernel accepts connections.
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Sequence
from typing import Final, TextIO

from dantetw.cli.arguments import read_arguments
from dantetw.config import load
from dantetw.config.machine import Machine
from dantetw.config.problems import render_problems
from dantetw.config.program import UNCHECKED
from dantetw.values import CONFIG_FILE, Endpoint, Family

#: Seconds that the server has to answer at each address.
ANSWER_SECONDS: Final = 3.0
#: Version 5 and the method "none" (:rfc:`1928`, section 3).
_GREETING: Final = b"\x05\x01\x00"
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def main(argv: Sequence[str], system: Machine, stdout: TextIO, stderr: TextIO) -> int:
    """
    Carry out the command.

    :param argv: the arguments after ``sockd health``.
    :returns: the exit status: 0 if the server answers at one address at least, 1 if not, 2 if the
        configuration is wrong or the command makes no sense.
    """
    options = read_arguments(parser(), argv, stdout, stderr)
    if isinstance(options, int):
        return options
    parsed = load(options.file, system, UNCHECKED)
    if parsed.policy is None:
        print(render_problems(parsed.problems, options.file), end="", file=stderr)
        return 2
    endpoints = [endpoint for side in parsed.policy.internal for endpoint in side.listens]
    if not endpoints:
        print("sockd health: none of the internal addresses exists now", file=stderr)
        return 1
    for endpoint in endpoints:
        reason = greet(endpoint, options.seconds)
        if not reason:
            return 0
        print(f"sockd health: {endpoint}: {reason}", file=stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    """The parser of the command's options."""
    made = argparse.ArgumentParser(
        prog="sockd health", description="Ask the server of a configuration whether it answers."
    )
    made.add_argument(
        "-f",
        dest="file",
        metavar="FILE",
        default=CONFIG_FILE,
        help=f"the server's configuration (default: {CONFIG_FILE})",
    )
    made.add_argument(
        "-t",
        dest="seconds",
        metavar="SECONDS",
        type=_seconds,
        default=ANSWER_SECONDS,
        help=f"how long each address has to answer (default: {ANSWER_SECONDS:g})",
    )
    return made


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 1e6:
        raise ValueError("must be more than 0")
    return seconds


def greet(endpoint: Endpoint, seconds: float) -> str:
    """
    Greet the server at an address.

    :param seconds: how long it has to answer.
    :returns: the error; empty if it answers.
    """
    host = _WILDCARDS.get(endpoint.host, endpoint.host)
    family = socket.AF_INET6 if endpoint.family is Family.IPV6 else socket.AF_INET
    try:
        with socket.socket(family) as sock:
            sock.settimeout(seconds)
            sock.connect((host, endpoint.port))
            sock.sendall(_GREETING)
            sock.recv(1)
    except TimeoutError:
        return f"no answer within {seconds:g} seconds"
    except (ConnectionResetError, BrokenPipeError):
        return ""  # it has closed the connection with unread bytes: it responds
    except OSError as failed:
        return os.strerror(failed.errno or 0)
    return ""
