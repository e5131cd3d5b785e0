"""
Methods of authentication, and the users and groups that rules ask for.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from dantetw.config.arguments import FILE, NAME, FreeWords, Words
from dantetw.config.draft import BlockDraft, Context, Draft
from dantetw.config.keyword import (
    ANYWHERE,
    GLOBAL,
    ROUTE,
    RULES,
    SOCKS,
    Keyword,
    Place,
    Repeat,
    Statement,
)
from dantetw.config.lexer import Token
from dantetw.config.report import Report
from dantetw.config.tree import Block
from dantetw.policy import PAM_SERVICE, AuthenticationPolicy, RuleKind
from dantetw.values import CLIENT_METHODS, PAM_METHODS, Command, Method

#: ``pam`` is an old name of ``pam.username``.
OLD_METHOD: Final = "pam"
PRESENT_METHOD: Final = Method.PAM_USERNAME.value
METHODS: Final = {method.value: method for method in Method} | {OLD_METHOD: Method.PAM_USERNAME}

#: Keywords whose values are methods.
METHOD_KEYWORDS: Final = frozenset(("clientmethod", "socksmethod", "method"))

#: Methods after which there may be no user name, which ``user`` and ``group`` need.
NAMELESS_METHODS: Final = frozenset((Method.NONE, Method.PAM_ANY))

_REPLY_COMMANDS: Final = frozenset((Command.BINDREPLY, Command.UDPREPLY))

_NOT_GLOBAL: Final = (
    '{} "{}" is set in the rule, but not in the global {} specification (containing "{}").  '
    "Only methods that are part of the global method specification can be part of the methods set "
    "in a local rule"
)
_NO_NAME: Final = (
    "the settings in this {} requires the client to provide a user/group-name in some way, but "
    "this rule specifies, implicitly or explicitly, the {} {}, which cannot be depended on to "
    "provide this information"
)
_NO_METHOD: Final = (
    "checkrule(): socks-rule #{} sets no socks authentication methods, not even the method "
    '"none".  This means no clients can ever be matched by this rule.  Is that really intended?'
)


def _methods(draft: Draft, statement: Statement) -> tuple[Method, ...]:
    """
    The methods of a ``…method`` statement, in order, each once.

    Warns of those that are there twice, and of the old name ``pam``; reports those that this
    machine cannot check.
    """
    report = draft.report
    found: list[Method] = []
    for word in statement.values.words:
        method = METHODS[word.text]
        if word.text == OLD_METHOD:
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
            if method in PAM_METHODS and not draft.machine.has_pam():
                report.error(
                    word,
                    f'method "{method.value}" needs libpam and the library pamela, which are not '
                    "installed here",
                    "the library: pip install dantetw[pam]",
                )
    return tuple(found)


class AuthenticationDraft(Draft):
    """The global settings."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.client_methods: tuple[Method, ...] = (Method.NONE,)
        self.socks_methods: tuple[Method, ...] = ()
        self.username_file: str | None = None

    def set_client_methods(self, statement: Statement) -> None:
        """``clientmethod``."""
        self.client_methods = _methods(self, statement)

    def set_socks_methods(self, statement: Statement) -> None:
        """``socksmethod``, ``method``."""
        self.socks_methods = _methods(self, statement)

    def set_username_file(self, statement: Statement) -> None:
        """``username.file``."""
        self.username_file = statement.token.text

    def check(self) -> None:
        """Report what does not fit together, as Dante does."""
        report, methods = self.report, self.socks_methods
        if not methods and not report.attempted & {"socksmethod", "method"}:
            report.warning(
                None,
                "checkconfig(): no socks authentication methods enabled.  This means all socks "
                "requests will be blocked after negotiation.  Perhaps this is not intended?",
            )
        if Method.NONE in methods[:-1]:
            following = methods[methods.index(Method.NONE) + 1]
            report.warning(
                None,
                'authentication method "none" is configured in the global socksmethod list, but '
                "since authentication methods are selected by the priority given, we will never "
                "try to match any of the subsequent authentication methods.  I.e., no match will "
                f'ever be attempted on the next method, method "{following.value}"',
            )

    def finish(self) -> AuthenticationPolicy:
        """The part of the policy."""
        return AuthenticationPolicy(self.client_methods, self.socks_methods, self.username_file)


class RuleAuthenticationDraft(BlockDraft):
    """
    A rule.

    :ivar users, groups: names, one of which is required.
    """

    def __init__(self, context: Context, block: Block, settings: AuthenticationDraft) -> None:
        super().__init__(context, block)
        self.users: set[str] = set()
        self.groups: set[str] = set()
        self.pam_service = PAM_SERVICE
        self._settings = settings
        self._client: tuple[Method, ...] | None = None
        self._socks: tuple[Method, ...] | None = None

    def set_methods(self, statement: Statement) -> None:
        """``clientmethod``, ``socksmethod``; ``method`` is one of them, or a route's."""
        found = _methods(self, statement)
        if statement.name == "clientmethod":
            self._client = found
        elif statement.name == "socksmethod":
            self._socks = found

    def add_users(self, statement: Statement) -> None:
        """``user``."""
        self.users.update(statement.words)

    def add_groups(self, statement: Statement) -> None:
        """``group``."""
        self.groups.update(statement.words)

    def set_pam_service(self, statement: Statement) -> None:
        """``pam.servicename``."""
        self.pam_service = statement.words[0]

    @property
    def client_methods(self) -> tuple[Method, ...]:
        """The rule's own ``clientmethod``, or the global ones."""
        return self._client or self._settings.client_methods

    def socks_methods(self, kind: RuleKind) -> tuple[Method, ...]:
        """The rule's own ``socksmethod``, or those of the global ones that fit."""
        if self._socks is not None:
            return self._socks
        methods = self._settings.socks_methods
        if kind is RuleKind.SOCKS and (self.users or self.groups):
            return tuple(method for method in methods if method not in NAMELESS_METHODS)
        return methods

    def check(self, kind: RuleKind, number: int, commands: Set[Command]) -> None:
        """
        Report what does not fit together.

        :param commands: those that the rule's text names.
        """
        self._check_global("clientmethod", self._client, self._settings.client_methods)
        self._check_global("socksmethod", self._socks, self._settings.socks_methods)
        if (self.users or self.groups) and self.block.intact:
            self._check_names(kind, commands)
        is_whole = self.block.intact and "socksmethod" not in self.report.attempted
        if kind is RuleKind.SOCKS and is_whole and not self.socks_methods(kind):
            self.report.warning(self.block.close, _NO_METHOD.format(number))

    def _check_global(
        self, keyword: str, own: tuple[Method, ...] | None, known: tuple[Method, ...]
    ) -> None:
        if own is None or keyword in self.report.attempted:
            return
        for method in own:
            if method not in known:
                names = ", ".join(m.value for m in known)
                what = "clientmethod" if keyword == "clientmethod" else "method"
                self.report.error(
                    self._last(keyword), _NOT_GLOBAL.format(what, method.value, keyword, names)
                )

    def _last(self, keyword: str) -> Token:
        statements = reversed(self.block.statements)
        return next(each.token for each in statements if each.name == keyword)

    def _check_names(self, kind: RuleKind, commands: Set[Command]) -> None:
        """``user`` and ``group`` need methods that give a name."""
        report: Report = self.report
        token = next(s.written for s in self.block.statements if s.name in ("user", "group"))
        if kind is RuleKind.CLIENT:
            methods, keyword = self.client_methods, "clientmethod"
        elif commands and commands <= _REPLY_COMMANDS:
            report.error(token, _names_of_replies(commands))
            return
        else:
            methods, keyword = self._socks or (), "socksmethod"
        nameless = next((method for method in methods if method in NAMELESS_METHODS), None)
        if nameless is not None and keyword not in report.attempted:
            report.error(
                token,
                _NO_NAME.format(f"{kind.value}-rule", keyword, nameless.value),
                "methods that give a name" if kind is RuleKind.SOCKS else "user in socks rules",
            )


def _names_of_replies(commands: Set[Command]) -> str:
    if Command.UDPREPLY in commands:
        return (
            "UDP replies cannot provide any username, but the settings in this rule requires "
            "an username to be provided by the target sending the UDP reply"
        )
    return _NO_NAME.format("socks-rule", "clientmethod", '"none" to be used for replies')


_CLIENT_METHODS: Final = [name for name, method in METHODS.items() if method in CLIENT_METHODS]

KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "clientmethod",
        ANYWHERE,
        Words(METHODS, "method", fitting=_CLIENT_METHODS),
        "methods for the client's connection, before the first byte",
        "none",
        Repeat.NEW_LIST,
        setting=AuthenticationDraft.set_client_methods,
        in_block=RuleAuthenticationDraft.set_methods,
    ),
    Keyword(
        "socksmethod",
        ANYWHERE,
        Words(METHODS, "method"),
        "methods for requests, by preference; in a client rule: what is offered",
        "none at all",
        Repeat.NEW_LIST,
        setting=AuthenticationDraft.set_socks_methods,
        in_block=RuleAuthenticationDraft.set_methods,
    ),
    Keyword(
        "method",
        ANYWHERE | ROUTE,
        Words(METHODS, "method"),
        "old name of socksmethod, in a client rule of clientmethod; in a route its own",
        "",
        Repeat.NEW_LIST,
        setting=AuthenticationDraft.set_socks_methods,
        in_block=RuleAuthenticationDraft.set_methods,
        present_in={
            Place.GLOBAL: "socksmethod",
            Place.SOCKS: "socksmethod",
            Place.CLIENT: "clientmethod",
            Place.HOSTID: "clientmethod",
        },
        deprecated=True,
    ),
    Keyword(
        "username.file",
        GLOBAL,
        FILE,
        "users of the method username (dantetw's own)",
        "system's password file",
        setting=AuthenticationDraft.set_username_file,
    ),
    Keyword(
        "user",
        RULES,
        FreeWords("USER"),
        "user names; needs methods that give one",
        "",
        Repeat.ADD,
        in_block=RuleAuthenticationDraft.add_users,
    ),
    Keyword(
        "group",
        RULES,
        FreeWords("GROUP"),
        "groups of the user",
        "",
        Repeat.ADD,
        in_block=RuleAuthenticationDraft.add_groups,
    ),
    Keyword(
        "pam.servicename",
        RULES,
        NAME,
        "PAM service",
        "sockd",
        in_block=RuleAuthenticationDraft.set_pam_service,
    ),
    Keyword(
        "pamservicename",
        RULES,
        NAME,
        "another spelling of pam.servicename",
        in_block=RuleAuthenticationDraft.set_pam_service,
        present="pam.servicename",
    ),
    Keyword("bsdauth.stylename", SOCKS, NAME, "BSD authentication style"),
)

UNSUPPORTED: Final = {
    "bsdauth.stylename": "BSD authentication",
    "method: gssapi": "GSSAPI",
    "method: bsdauth": "BSD authentication",
    "method: ldapauth": "LDAP authentication",
}
