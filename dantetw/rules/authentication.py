"""
Decides which of a rule's methods matches a client, and which checks that needs.

A client that has negotiated has given a name and a password, or nothing.  That alone fits
``username`` or ``none``.  If a rule does not list that method, its others are tried in order:

================  ===================================  =========================================
method            fits a client that                   and checks with
================  ===================================  =========================================
``rfc931``        its own host can name                that host (:rfc:`1413`)
``pam.address``   gave anything or nothing             PAM
``pam.any``       gave anything or nothing             PAM
``pam.username``  gave a name and a password           PAM
================  ===================================  =========================================

If no host names the client, the next rule is tried.  All other checks come last, when every other
condition of the rule holds, and one that fails ends the search: the client is blocked (observed
with Dante 1.4.2).  A result holds for the whole session.

Like look-ups in :mod:`.addresses`, checks are made by the caller: a missing one is returned as an
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
    A check that must be made before a rule can be judged.

    :ivar method: ``USERNAME``, ``RFC931``, or ``PAM_USERNAME`` for all checks with PAM.
    :ivar service: the PAM service; else empty.
    :ivar named: check the name and the password that the client gave, not its address alone.
    """

    method: Method
    service: str = ""
    named: bool = False


@value
class AuthResult:
    """
    The result of a check.

    :ivar name: the name that the client's own host gave, hence hostile; None: it gave none, or
        that was not the check.
    :ivar refusal: why the client is refused, one line for the log; empty: it is not.
    """

    name: str | None = None
    refusal: str = ""


@value
class Identity:
    """
    The identity of a client that matched the deciding rule.

    :ivar method: which of the rule's methods.
    :ivar user: the name; None: it has none.
    :ivar refusal: why it is refused although the rule matches; empty: it is not.
    """

    method: Method
    user: User | None = None
    refusal: str = ""


#: Results of the checks made so far.
AuthResults = Mapping[AuthCheck, AuthResult]

IDENT: Final = AuthCheck(Method.RFC931)


class CheckNeededError(Exception):
    """
    Raised out of :meth:`AuthState.first_failed` when a result is missing.

    :ivar check: the check to make.
    """

    def __init__(self, check: AuthCheck) -> None:
        super().__init__(check)
        self.check = check


class AuthState:
    """
    The authentication of a client, as rules see it.

    :param results: of the checks made so far; filled by the caller.
    :param method: what the negotiation made of it: ``NONE``, ``USERNAME`` if it gave a name and a
        password, ``PAM_USERNAME`` if they were checked at once (:func:`early_check`).
    :param name: the name it gave, None if it gave none.
    :param groups_of: which of the groups that rules name a user is in.
    :ivar identity: what it has shown to the rule tried last.
    """

    __slots__ = ("_groups_of", "_method", "_name", "_results", "identity")

    def __init__(
        self,
        results: AuthResults,
        groups_of: Callable[[str], frozenset[str]],
        method: Method = Method.NONE,
        name: str | None = None,
    ) -> None:
        self._results = results
        self._groups_of = groups_of
        self._method = method
        self._name = name
        self.identity = Identity(method, None if name is None else User(method, name))

    def first_failed(self, rule: Rule) -> str:
        """
        The keyword of the first condition on the client itself that does not hold; empty if all do.

        :raises CheckNeededError: if a result is missing.
        """
        client = rule.kind is RuleKind.CLIENT
        self.identity = Identity(self._method, self._user(self._method))
        method = self._fitting(rule.client_methods if client else rule.socks_methods)
        if method is None:
            return "clientmethod" if client else "socksmethod"
        user = self._user(method)
        self.identity = Identity(method, user)
        if rule.users and (user is None or user.name not in rule.users):
            return "user"
        if rule.groups and (user is None or rule.groups.isdisjoint(self._groups_of(user.name))):
            return "group"
        if method is not Method.NONE:
            refusal = self._result(self._check(method, rule)).refusal
            self.identity = Identity(method, user, refusal)
        return ""

    def _fitting(self, methods: tuple[Method, ...]) -> Method | None:
        if self._method in methods:
            return self._method
        for method in methods:
            if method is Method.RFC931:
                if self._result(IDENT).name is not None:
                    return method
            elif self._method in _NEGOTIATED and (
                method in _NAMELESS
                or (method is Method.PAM_USERNAME and self._method is Method.USERNAME)
            ):
                return method
        return None

    def _user(self, method: Method) -> User | None:
        name = self._result(IDENT).name if method is Method.RFC931 else self._name
        return None if name is None else User(method, name)

    def _check(self, method: Method, rule: Rule) -> AuthCheck:
        if method is Method.RFC931:
            return IDENT
        if method is Method.USERNAME:
            return AuthCheck(method, named=True)
        return AuthCheck(Method.PAM_USERNAME, rule.pam_service, self._name is not None)

    def _result(self, check: AuthCheck) -> AuthResult:
        result = self._results.get(check)
        if result is None:
            raise CheckNeededError(check)
        return result


def needs_checks(policy: Policy) -> bool:
    """Whether a policy has methods beyond ``none`` and ``username``, which need checks."""
    methods = {*policy.authentication.client_methods, *policy.authentication.socks_methods}
    for rule in (*policy.client_rules, *policy.socks_rules):
        methods.update(rule.client_methods, rule.socks_methods)
    return not methods <= _NEGOTIATED


def early_check(policy: Policy, methods: tuple[Method, ...]) -> AuthCheck | None:
    """
    The check of a name and a password that need not wait for the request.

    That is so if only one can be meant: ``username``, or ``pam.username`` and all socks rules name
    one service.  Otherwise the login succeeds, and a wrong password fails the request (observed
    with Dante 1.4.2).

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
