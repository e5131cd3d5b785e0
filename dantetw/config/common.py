"""
What global settings and rules have in common: methods, timeouts, socket options, error symbols.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from dantetw.config import vocabulary
from dantetw.config.lexer import Token
from dantetw.config.machine import Machine
from dantetw.config.problems import nearest
from dantetw.config.report import Mistake, Report
from dantetw.config.sockopts import LEVELS, OPTIONS, Option
from dantetw.config.tree import Statement
from dantetw.policy import Edge, ErrorFilter, SocketOption, Timeouts
from dantetw.values import CLIENT_METHODS, LEVEL_NAMES, PAM_METHODS, Method, Severity

_LARGEST_INT: Final = 2**31 - 1

_TIMEOUT_FIELDS: Final = {
    "timeout.connect": ("connect",),
    "timeout.negotiate": ("negotiate",),
    "timeout.io": ("io_tcp", "io_udp"),
    "timeout.io.tcp": ("io_tcp",),
    "timeout.io.udp": ("io_udp",),
    "timeout.tcp_fin_wait": ("tcp_fin_wait",),
}

#: Keywords that :func:`timeouts` understands.
TIMEOUTS: Final = frozenset(_TIMEOUT_FIELDS)


def timeouts(statement: Statement, before: Timeouts) -> Timeouts:
    """``before`` with what a ``timeout.…`` statement says."""
    seconds = statement.values.numbers[0]
    # replace() cannot see which of the names the fields are, so neither can the type checker.
    changes = dict.fromkeys(_TIMEOUT_FIELDS[statement.name], seconds)
    return dataclasses.replace(before, **changes)


def methods(statement: Statement, system: Machine, report: Report) -> tuple[Method, ...]:
    """
    The methods of a ``…method`` statement, in order, each once.

    Warns of those that are there twice, and of the old name ``pam``; notes those that this system
    cannot check.
    """
    found: list[Method] = []
    for word in statement.values.words:
        method = vocabulary.METHODS.get(word.text)
        if method is None:
            continue  # has been noted
        if word.text == vocabulary.OLD_METHOD:
            report.warning(
                word,
                'keyword "pam" is deprecated - assuming the new keyword "pam.*" was meant.  Please '
                f"update Dante's config file ({word.where.file}) to use the new keyword as "
                "appropriate",
            )
        if statement.name == "clientmethod" and method not in CLIENT_METHODS:
            report.error(
                word,
                f"method {method.value} is not a valid method for clientmethods",
                "one of: none rfc931 pam.address pam.any",
            )
        elif method in found:
            report.warning(
                word, f"duplicate method: {method.value}.  Already set on this methodline"
            )
        else:
            found.append(method)
            if method in PAM_METHODS and not system.has_pam():
                report.error(
                    word,
                    f'method "{method.value}" needs libpam and the library pamela, which are not '
                    "installed here",
                    "the library: pip install dantetw[pam]",
                )
    return tuple(found)


def socket_option(statement: Statement, report: Report) -> SocketOption:
    """
    What a socket option's statement sets.

    :raises Mistake: there is no such option, or no such value of it.
    """
    side, level_name, name = statement.parts
    option = _option(statement.written, name, LEVELS[level_name])
    value = _option_value(statement, option)
    if option.level != LEVELS[level_name]:
        report.advice(
            statement.written,
            f'socket option "{name}" does not belong to the level "{level_name}"; it is set at its '
            "own level",
        )
    return SocketOption(
        Edge(side),
        option.level,
        option.number,
        value,
        statement.written.text,
        statement.written.where,
    )


def option_of(statement: Statement) -> Option | None:
    """The named option of a statement; None for one that is given by number."""
    return OPTIONS.get(statement.parts[2])


def _option(written: Token, name: str, level: int) -> Option:
    if name.isdigit():
        if len(name) > 10 or int(name) > _LARGEST_INT:
            raise Mistake(written, f'socket option number "{name[:20]}" is too large')
        return Option(level, int(name), early=False)
    option = OPTIONS.get(name)
    if option is None:
        raise Mistake(
            written,
            f'unknown socket option "{name}"',
            "the lower-case name of a socket option, or its number",
            nearest(name, OPTIONS),
        )
    return option


def _option_value(statement: Statement, option: Option) -> int:
    token = statement.values.words[0]
    if statement.values.numbers:
        value = statement.values.numbers[0]
        limit = (1 << option.bits) - 1 if option.bits else _LARGEST_INT
        if value > limit:
            raise Mistake(token, f"number {value} is too large", f"at most {limit}")
    else:
        found = option.symbols.get(token.text)
        if found is None:
            raise Mistake(
                token,
                f'"{token.text}" is not a value of {statement.parts[2]}',
                " ".join(option.symbols) or "a number",
                nearest(token.text, option.symbols),
            )
        value = found
    return value << option.shift


def log_level(statement: Statement) -> Severity:
    """
    The LEVEL in ``SIDE.log.LEVEL.…``.

    :raises Mistake: there is no such level.
    """
    name = statement.parts[1]
    severity = LEVEL_NAMES.get(name)
    if severity is None:
        raise Mistake(
            statement.written,
            f'unknown loglevel: "{name}"',
            " ".join(LEVEL_NAMES),
            nearest(name, LEVEL_NAMES),
        )
    return severity


def error_filter(statement: Statement, report: Report) -> ErrorFilter:
    """
    A ``SIDE.log.LEVEL.error`` statement, its symbols expanded; unknown ones only warn.

    :raises Mistake: there is no such level.
    """
    severity = log_level(statement)
    symbols: set[str] = set()
    for word in statement.values.words:
        expanded = vocabulary.symbols(word.text)
        if not expanded:
            report.warning(
                word,
                "unknown error symbol specified",
                "the name of an errno or EAI_ code, or dns-any, no-route, system-any",
                nearest(word.text.upper(), vocabulary.SYMBOL_NAMES),
            )
        symbols |= expanded
    return ErrorFilter(
        Edge(statement.parts[0]), severity, frozenset(symbols), statement.written.where
    )
