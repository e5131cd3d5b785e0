"""
The table of keywords, on one page.

:data:`KEYWORDS` is all of the language but for the heads of rules.  ``docs/keywords.rst`` and
``docs/unsupported.rst`` show the same, and a test compares them.  Importing a module of keywords
changes nothing; being listed here does.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dantetw.config.keyword import Keyword
from dantetw.config.keywords import (
    authentication,
    compatibility,
    conditions,
    directories,
    edges,
    filters,
    gssapi,
    hostids,
    libwrap,
    limits,
    logging,
    monitors,
    processes,
    redirection,
    resolving,
    routes,
    sockets,
    timeouts,
    udp,
    users,
)

#: The keywords of each concern.  :class:`~dantetw.config.compiler.SettingsDraft` and
#: :class:`~dantetw.config.compiler.RuleDraft` have the concern's draft by the same name, where its
#: keywords have effects.
CONCERNS: Final[Mapping[str, tuple[Keyword, ...]]] = MappingProxyType(
    {
        "logging": logging.KEYWORDS,
        "filters": filters.KEYWORDS,
        "edges": edges.KEYWORDS,
        "udp": udp.KEYWORDS,
        "authentication": authentication.KEYWORDS,
        "gssapi": gssapi.KEYWORDS,
        "directories": directories.KEYWORDS,
        "libwrap": libwrap.KEYWORDS,
        "users": users.KEYWORDS,
        "compatibility": compatibility.KEYWORDS,
        "resolving": resolving.KEYWORDS,
        "timeouts": timeouts.KEYWORDS,
        "processes": processes.KEYWORDS,
        "sockets": sockets.KEYWORDS,
        "conditions": conditions.KEYWORDS,
        "redirection": redirection.KEYWORDS,
        "hostids": hostids.KEYWORDS,
        "limits": limits.KEYWORDS,
        "routes": routes.KEYWORDS,
        "monitors": monitors.KEYWORDS,
    }
)

#: All keywords.
KEYWORDS: Final = tuple(keyword for keywords in CONCERNS.values() for keyword in keywords)

#: The concern of each keyword, by the keyword's name.
CONCERN_OF: Final[Mapping[str, str]] = MappingProxyType(
    {keyword.name: concern for concern, keywords in CONCERNS.items() for keyword in keywords}
)

#: What is understood but not supported yet, and what it is part of.  A key is a keyword,
#: ``KEYWORD: VALUE``, ``method: NAME`` (of either kind) or ``OBJECT {}``.
UNSUPPORTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        **filters.UNSUPPORTED,
        **authentication.UNSUPPORTED,
        **gssapi.UNSUPPORTED,
        **directories.UNSUPPORTED,
        **libwrap.UNSUPPORTED,
        **resolving.UNSUPPORTED,
        **processes.UNSUPPORTED,
        **redirection.UNSUPPORTED,
        **hostids.UNSUPPORTED,
        **limits.UNSUPPORTED,
        **routes.UNSUPPORTED,
        **monitors.UNSUPPORTED,
    }
)
