"""
The command ``sockd explain``: its arguments, and its exit status.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any, Final, TextIO

from dantetw.addresses import literal, number_of
from dantetw.catalogue import PROGRAM
from dantetw.cli.arguments import read_arguments
from dantetw.cli.check import read, say, text_of
from dantetw.cli.explain.explanation import explain
from dantetw.cli.explain.given import Client, GivenMachine, GivenNames
from dantetw.cli.explain.output import as_object, in_words, texts_of
from dantetw.config.load import parse
from dantetw.config.machine import Machine
from dantetw.config.problems import Problem, render_problems, visible
from dantetw.net.zones import kernel_choice
from dantetw.policy import Policy
from dantetw.values import (
    CLIENT_METHODS,
    CONFIG_FILE,
    Command,
    Endpoint,
    Family,
    Method,
    ProxyProtocol,
)

#: Port of a client whose port is not named: any that the system may have given it.
CLIENT_PORT: Final = 50000

_COMMANDS: Final = {c.word: c for c in (Command.CONNECT, Command.BIND, Command.UDPASSOCIATE)}
_PROTOCOLS: Final = {p.word: p for p in (ProxyProtocol.SOCKS_V4, ProxyProtocol.SOCKS_V5)}
_METHODS: Final = {
    m.word: m for m in Method if m not in (Method.GSSAPI, Method.BSDAUTH, Method.LDAPAUTH)
}
_CLIENT_METHODS: Final = {m.word: m for m in Method if m in CLIENT_METHODS}
_WILDCARDS: Final = frozenset(("0.0.0.0", "::"))
_LOOPBACK: Final = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}


class _WrongError(Exception):
    """The command makes no sense; ``str()`` of it says why."""


def main(argv: Sequence[str], host: Machine, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> int:
    """
    Carry out the command.

    :param argv: the arguments after ``sockd explain``.
    :param host: this machine.
    :returns: the exit status: 0 if the request would be passed, 1 if not, 2 if the configuration or
        the command makes no sense.
    """
    options = read_arguments(parser(), argv, stdout, stderr)
    if isinstance(options, int):
        return options
    names = GivenNames(dict(options.resolve), dict(options.reverse))
    machine = GivenMachine(host, names, dict(options.interface))
    data, file = read(options.file, stdin)
    parsed = parse(data, file, machine, PROGRAM)
    if parsed.policy is None or isinstance(data, Problem):
        stderr.write(render_problems([p for p in parsed.problems if p.is_error], file))
        return 2
    groups = frozenset(options.group) if options.group else None
    try:
        client = _client(options, parsed.policy)
        explanation = explain(parsed.policy, client, machine, names, groups)
    except (_WrongError, ValueError) as wrong:
        print(f"sockd explain: {visible(str(wrong))}", file=stderr)
        return 2
    texts = texts_of(data, file)
    if options.json:
        told = _clean(as_object(client, explanation, parsed.policy, texts))
        print(json.dumps(told, indent=2), file=stdout)
    else:
        for line in in_words(client, explanation, parsed.policy, texts):
            say(line + "\n", stdout)
    return 0 if explanation.passed else 1


def parser() -> argparse.ArgumentParser:
    """The parser of the command's options."""
    made = argparse.ArgumentParser(
        prog="sockd explain", description="Say what the server would do with a request, and why."
    )
    made.add_argument(
        "-f",
        dest="file",
        metavar="FILE",
        default=CONFIG_FILE,
        help="the configuration, - for standard input (default: %(default)s)",
    )
    made.add_argument(
        "--from",
        dest="source",
        metavar="ADDRESS[:PORT]",
        required=True,
        type=_numeric,
        help=f"the client; its port is {CLIENT_PORT} if it is not named",
    )
    made.add_argument(
        "--to",
        dest="target",
        metavar="HOST:PORT",
        required=True,
        type=_target,
        help="what it asks for, such as example.org:443 or [2001:db8::1]:443",
    )
    made.add_argument("--command", choices=_COMMANDS, default="connect", help="connect if not said")
    made.add_argument("--proxyprotocol", choices=_PROTOCOLS, default="socks_v5")
    made.add_argument(
        "--method",
        choices=_METHODS,
        metavar="METHOD",
        help="how it authenticates, which counts as proven (default: username with --user, else "
        "none)",
    )
    made.add_argument(
        "--clientmethod",
        choices=_CLIENT_METHODS,
        metavar="METHOD",
        default="none",
        help="likewise, how when it is accepted",
    )
    made.add_argument("--user", metavar="NAME", default="", help="its user name")
    made.add_argument(
        "--group",
        metavar="NAME",
        action="append",
        help="a group the user is in, may be repeated; without it the system is asked",
    )
    made.add_argument(
        "--internal",
        metavar="ADDRESS:PORT",
        type=_numeric,
        help="which of our addresses the client came to (default: the first that fits)",
    )
    made.add_argument(
        "--resolve",
        metavar="NAME=ADDRESS[,ADDRESS]",
        type=_forward,
        action="append",
        default=[],
        help="the addresses of a name, which is then not looked up; none: it has none",
    )
    made.add_argument(
        "--reverse",
        metavar="ADDRESS=NAME",
        type=_backward,
        action="append",
        default=[],
        help="the name of an address, likewise",
    )
    made.add_argument(
        "--interface",
        metavar="NAME=ADDRESS[,ADDRESS]",
        type=_interface,
        action="append",
        default=[],
        help="the addresses of a network interface that this machine may lack",
    )
    made.add_argument("--json", action="store_true", help="one JSON object instead of text")
    return made


def _client(options: argparse.Namespace, policy: Policy) -> Client:
    """:raises _WrongError: there cannot be such a client."""
    user = options.user
    method = Method(options.method or ("username" if user else "none"))
    client_method = Method(options.clientmethod)
    if not user and not {method, client_method}.isdisjoint(
        (Method.USERNAME, Method.PAM_USERNAME, Method.RFC931)
    ):
        raise _WrongError("a method that gives a name needs --user NAME")
    source: Endpoint = options.source
    if not source.port:
        source = Endpoint(source.host, CLIENT_PORT, source.family)
    return Client(
        source,
        options.internal or _local(source, policy),
        options.target,
        _COMMANDS[options.command],
        _PROTOCOLS[options.proxyprotocol],
        method,
        client_method,
        user,
    )


def _local(client: Endpoint, policy: Policy) -> Endpoint:
    """
    The address a client most likely comes to.

    :raises _WrongError: there is none.
    """
    for listening in (each for line in policy.internal for each in line.listens):
        if listening.family is not client.family:
            continue
        if listening.host not in _WILDCARDS:
            return listening
        try:
            host = kernel_choice(client)
        except OSError:
            host = _LOOPBACK[client.family]
        return Endpoint(host, listening.port, client.family)
    raise _WrongError(
        f"no internal address is of the client's family, {client.family.word}: name one with"
        " --internal ADDRESS:PORT"
    )


def _split(text: str) -> tuple[str, str]:
    """Host and port of ``HOST``, ``HOST:PORT``, ``::1`` or ``[::1]:PORT``."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise argparse.ArgumentTypeError(f'"{text}" is not [ADDRESS]:PORT')
        return host, rest[1:]
    if text.count(":") > 1:
        return text, ""
    host, _, port = text.partition(":")
    return host, port


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f'"{text}" is not a port')
    return int(text)


def _address(text: str) -> str:
    """An address in canonical form."""
    if number_of(text)[0] is Family.NAME or "%" in text:
        raise argparse.ArgumentTypeError(f'"{text}" is not an address')
    return literal(text) or text


def _numeric(text: str) -> Endpoint:
    host, port = _split(text)
    return Endpoint.of((_address(host), _port(port) if port else 0))


def _target(text: str) -> Endpoint:
    host, port = _split(text)
    if not port:
        raise argparse.ArgumentTypeError(f'"{text}" has no port')
    if number_of(host)[0] is not Family.NAME and "%" not in host:
        return Endpoint.of((_address(host), _port(port)))
    return Endpoint(host, _port(port), Family.NAME)


def _pair(text: str) -> tuple[str, str]:
    first, equals, second = text.partition("=")
    if not first or not equals:
        raise argparse.ArgumentTypeError(f'"{text}" has no "="')
    return first, second


def _addresses(text: str) -> tuple[str, ...]:
    return tuple(_address(part) for part in text.split(",") if part)


def _forward(text: str) -> tuple[str, tuple[str, ...]]:
    name, addresses = _pair(text)
    return name.lower().removesuffix("."), _addresses(addresses)


def _backward(text: str) -> tuple[str, str]:
    address, name = _pair(text)
    return _address(address), name


def _interface(text: str) -> tuple[str, tuple[str, ...]]:
    name, addresses = _pair(text)
    return name, _addresses(addresses)


def _clean(told: Any) -> Any:
    """The same with text that JSON can hold."""
    if isinstance(told, dict):
        return {key: _clean(each) for key, each in told.items()}
    if isinstance(told, list):
        return [_clean(each) for each in told]
    return text_of(told) if isinstance(told, str) else told
