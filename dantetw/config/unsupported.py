"""
What is understood but not done yet.

A file that asks for any of this is refused, since to ignore it would be to do something other than
the operator asked for.  Whoever builds one of these deletes its row here and in
``docs/unsupported.rst``; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from dantetw.config.lexer import Token
from dantetw.config.report import Report
from dantetw.config.tree import Place, Statement, Tree
from dantetw.config.vocabulary import METHODS
from dantetw.values import CLIENT_METHODS

#: Keyword, ``KEYWORD: VALUE``, ``method: NAME`` (of either kind) or
#: ``OBJECT {}``, and what it is.
UNSUPPORTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "route {}": "server chaining",
        "monitor {}": "monitors",
        "hostid {}": "hostid rules",
        "hostid": "hostid conditions",
        "hostindex": "hostid conditions",
        "bandwidth": "bandwidth limits",
        "redirect from": "redirection",
        "redirect to": "redirection",
        "session.max": "session limits",
        "session.throttle": "session limits",
        "session.state.key": "session limits",
        "session.state.max": "session limits",
        "session.state.throttle": "session limits",
        "session.inheritable": "session limits",
        "gssapi.servicename": "GSSAPI",
        "gssapi.keytab": "GSSAPI",
        "gssapi.enctype": "GSSAPI",
        "clientcompatibility": "GSSAPI",
        "bsdauth.stylename": "BSD authentication",
        "ldap.NAME": "LDAP groups",
        "pac.sid": "Active Directory groups",
        "pac.sid.b64": "Active Directory groups",
        "pac.off": "Active Directory groups",
        "libwrap": "libwrap",
        "libwrap.hosts_access: yes": "libwrap",
        "method: gssapi": "GSSAPI",
        "method: bsdauth": "BSD authentication",
        "method: ldapauth": "LDAP authentication",
        "srchost": "checks of reverse names",
        "resolveprotocol: tcp": "name lookups by TCP",
        "cpu.schedule.PROC": "scheduling of processes",
        "cpu.mask.PROC": "binding processes to processors",
        "SIDE.log.LEVEL.tcp.enabled": "logging of TCP features",
        "SIDE.log.LEVEL.tcp.disabled": "logging of TCP features",
        "route.maxfail": "server chaining",
        "route.badexpire": "server chaining",
    }
)

_METHOD_KEYWORDS: Final = frozenset(("clientmethod", "socksmethod", "method"))
_OBJECTS: Final = {
    Place.ROUTE: "route {}",
    Place.MONITOR: "monitor {}",
    Place.HOSTID: "hostid {}",
}


def check(tree: Tree, unsupported: Mapping[str, str], report: Report) -> None:
    """Note every use of what is not built; of an object only its head."""
    for token, key, label in _uses(tree):
        reason = unsupported.get(key)
        if reason is not None:
            report.error(token, f'"{label}" is not supported yet ({reason})', unbuilt=True)


def _uses(tree: Tree) -> Iterator[tuple[Token, str, str]]:
    """Everything that might be listed: a token, its key, and what to call it."""
    for statement in tree.settings:
        yield from _keys(statement)
    for block in tree.blocks:
        if block.place in _OBJECTS:
            yield block.head, _OBJECTS[block.place], block.head.text
            continue
        for statement in block.statements:
            yield from _keys(statement)


def _keys(statement: Statement) -> Iterator[tuple[Token, str, str]]:
    row, values = statement.keyword.name, statement.values
    if statement.name in _METHOD_KEYWORDS:
        for word in values.words:
            name = "pam.username" if word.text == "pam" else word.text
            if statement.name == "clientmethod" and METHODS.get(name) not in CLIENT_METHODS:
                continue  # an error of its own
            yield word, f"method: {name}", f"{statement.name}: {name}"
        return
    name = statement.written.text
    yield statement.written, row, name
    for word in values.words:
        yield word, f"{row}: {word.text}", f"{name}: {word.text}"
