"""
Authenticates a client whose policy has methods beyond ``none`` and ``username``.

Rules ask for the checks that they need (:mod:`dantetw.rules.authentication`).  This module makes
them and keeps the results for the rules that follow.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from dantetw.auth.interfaces import AuthenticationFailed, IAuthenticator, IProver, Visitor
from dantetw.rules.authentication import AuthCheck, AuthResult, AuthState
from dantetw.session.context import PolicyContext
from dantetw.session.record import SessionRecord
from dantetw.values import Method, Phase
from dantetw.wire.messages import Credentials


class Authentication:
    """
    The authentication of one client: its credentials, and the results of checks so far.

    :param record: receives the names that external sources give for the client, and its phase while
        it waits.
    """

    __slots__ = ("_context", "_credentials", "_method", "_name", "_record", "_results")

    def __init__(self, record: SessionRecord, context: PolicyContext) -> None:
        self._record = record
        self._context = context
        self._credentials: Credentials | None = None
        self._method = Method.NONE
        self._name: str | None = None
        self._results: dict[AuthCheck, AuthResult] = {}

    def state(self) -> AuthState:
        """What the rules may know of the client."""
        return AuthState(self._results, self._context.groups.of, self._method, self._name)

    def set_credentials(self, credentials: Credentials, method: Method) -> None:
        """
        Keep the name and the password that the client has given.

        :param method: ``USERNAME``, or that of the only check they can be meant for.
        """
        self._credentials = credentials
        self._name = credentials.name
        self._method = method

    def forget(self) -> None:
        """Drop the password."""
        self._credentials = None

    def ask(self, check: AuthCheck) -> Deferred[AuthResult]:
        """Make a check that a rule needs, and keep its result."""
        return Deferred.fromCoroutine(self._ask(check))

    async def _ask(self, check: AuthCheck) -> AuthResult:
        record = self._record
        phase = record.phase
        if phase is Phase.AUTHORISE:
            # A late login comes under the same rules as others, such as the time limit.
            record.enter(Phase.AUTHENTICATE)
        if check.method is Method.USERNAME:
            result = await self._log_in()
        else:
            prover: IProver = self._context.authenticators[check.method]
            visitor = Visitor(record.client, record.local, self._credentials)
            result = await prover.prove(check, visitor)
        record.enter(phase)
        self._results[check] = result
        if result.name is not None:
            record.other_names += (result.name,)
        return result

    async def _log_in(self) -> AuthResult:
        users: IAuthenticator = self._context.authenticators[Method.USERNAME]
        credentials, client = self._credentials, self._record.client.host
        assert credentials is not None
        try:
            await users.authenticate(credentials.name, credentials.password, client)
        except AuthenticationFailed as failed:
            return AuthResult(refusal=str(failed))
        return AuthResult()
