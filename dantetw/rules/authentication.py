"""
Which of a rule's methods fits a client, and what must be asked to know.

A client that negotiated has given a name and a password, or nothing.  That alone fits ``username``
or ``none``.  If a rule does not list it, its other methods are tried in the order of its list:

================  ===================================  =========================================
method            fits a client that                   and asks
================  ===================================  =========================================
``rfc931``        its own host can name                that host (:rfc:`1413`)
``pam.address``   gave anything or nothing             PAM
``pam.any``       gave anything or nothing             PAM
``pam.username``  gave a name and a password           PAM
================  ===================================  =========================================

That no host names the client leads on to the next rule; all other answers are asked for last, when
every condition of the rule holds, and a wrong one ends the search: the client is blocked (observed
with Dante 1.4.2).  An answer counts for the whole session.

Like names in :mod:`.addresses`, answers that are missing are asked for from outside: by a
:class:`AuthCheck`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from dantetw.policy import Policy, Rule, RuleKind
from dantetw.values import PAM_METHODS, Method, User, value

_NAMELESS: Final = frozenset((Method.PAM_ADDRESS, Method.PAM_ANY))
_NEGOTIATED: Final = frozenset((Method.NONE, Method.USERNAME))


@value
class AuthCheck:
    """
    Something that must be asked before a rule can be judged.

    :ivar method: ``USERNAME``, ``RFC931``, or ``PAM_USERNAME`` for all that PAM is asked.
    :ivar service: the PAM service; else empty.
    :ivar named: ask about the name and the password that the client gave, not its address alone.
    """

    method: Method
    service: str = ""
    named: bool = False


@value
class AuthResult:
    """
    What came of a check.

    :ivar name: the name that the client's own host gave, hence hostile; None: it gave none, or
        was not what was asked.
    :ivar refusal: why the client is refused, one line for the log; empty: it is not.
    """

    name: str | None = None
    refusal: str = ""


@value
class Identity:
    """
    What a client has shown to the rule that decided.

    :ivar method: which of the rule's methods.
    :ivar user: by what name; None: it has none.
    :ivar refusal: why it is refused although the rule matches; empty: it is not.
    """

    method: Method
    user: User | None = None
    refusal: str = ""


#: Answers so far.
AuthResults = Mapping[AuthCheck, AuthResult]

IDENT: Final = AuthCheck(Method.RFC931)


class CheckNeededError(Exception):
    """
    Raised out of :meth:`AuthState.first_failed` when an answer is missing.

    :ivar check: what is asked for.
    """

    def __init__(self, check: AuthCheck) -> None:
        super().__init__(check)
        self.check = check


class AuthState:
    """
    A client, while rules are tried for it.

    :param proofs: the answers so far.
    :param method: what the negotiation made of it: ``NONE``, ``USERNAME`` if it gave a name and a
        password, ``PAM_USERNAME`` if they were checked at once (:func:`at_once`).
    :param name: the name it gave, None if it gave none.
    :param groups_of: which of the groups that rules name a user is in.
    :ivar shown: what it has shown to the rule tried last.
    """

    __slots__ = ("_groups_of", "_method", "_name", "_proofs", "shown")

    def __init__(
        self,
        proofs: AuthResults,
        groups_of: Callable[[str], frozenset[str]],
        method: Method = Method.NONE,
        name: str | None = None,
    ) -> None:
        self._proofs = proofs
        self._groups_of = groups_of
        self._method = method
        self._name = name
        self.shown = Identity(method, None if name is None else User(method, name))

    def first_failed(self, rule: Rule) -> str:
        """
        The keyword of the first condition on the client itself that does not hold; empty if all do.

        :raises CheckNeededError: if an answer is missing.
        """
        client = rule.kind is RuleKind.CLIENT
        self.shown = Identity(self._method, self._user(self._method))
        method = self._fitting(rule.client_methods if client else rule.socks_methods)
        if method is None:
            return "clientmethod" if client else "socksmethod"
        user = self._user(method)
        self.shown = Identity(method, user)
        if rule.users and (user is None or user.name not in rule.users):
            return "user"
        if rule.groups and (user is None or rule.groups.isdisjoint(self._groups_of(user.name))):
            return "group"
        if method is not Method.NONE:
            refusal = self._proof(self._check(method, rule)).refusal
            self.shown = Identity(method, user, refusal)
        return ""

    def _fitting(self, methods: tuple[Method, ...]) -> Method | None:
        if self._method in methods:
            return self._method
        for method in methods:
            if method is Method.RFC931:
                if self._proof(IDENT).name is not None:
                    return method
            elif self._method in _NEGOTIATED and (
                method in _NAMELESS
                or (method is Method.PAM_USERNAME and self._method is Method.USERNAME)
            ):
                return method
        return None

    def _user(self, method: Method) -> User | None:
        name = self._proof(IDENT).name if method is Method.RFC931 else self._name
        return None if name is None else User(method, name)

    def _check(self, method: Method, rule: Rule) -> AuthCheck:
        if method is Method.RFC931:
            return IDENT
        if method is Method.USERNAME:
            return AuthCheck(method, named=True)
        return AuthCheck(Method.PAM_USERNAME, rule.pam_service, self._name is not None)

    def _proof(self, check: AuthCheck) -> AuthResult:
        proof = self._proofs.get(check)
        if proof is None:
            raise CheckNeededError(check)
        return proof


def asks(policy: Policy) -> bool:
    """Whether a policy has methods beyond ``none`` and ``username``."""
    methods = {*policy.authentication.client_methods, *policy.authentication.socks_methods}
    for rule in (*policy.client_rules, *policy.socks_rules):
        methods.update(rule.client_methods, rule.socks_methods)
    return not methods <= _NEGOTIATED


def at_once(policy: Policy, methods: tuple[Method, ...]) -> AuthCheck | None:
    """
    The check of a name and a password that need not wait for the request.

    That is so if only one can be meant: ``username``, or ``pam.username`` and all socks rules name
    one service.  Otherwise the client is told that it may go on, and a wrong password that its
    request is refused (observed with Dante 1.4.2).

    :param methods: what was offered to the client.
    """
    if Method.USERNAME in methods:
        return None if Method.PAM_USERNAME in methods else AuthCheck(Method.USERNAME, named=True)
    services = {
        rule.pam_service
        for rule in policy.socks_rules
        if not PAM_METHODS.isdisjoint(rule.socks_methods)
    }
    if Method.PAM_USERNAME in methods and len(services) == 1:
        return AuthCheck(Method.PAM_USERNAME, services.pop(), named=True)
    return None
