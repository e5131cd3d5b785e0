"""
Who a client is, where its policy has methods beyond ``none`` and ``username``.

Rules ask for what they need to know (:mod:`dantetw.rules.authentication`); here it is found out,
and kept for the rules that follow.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from dantetw.auth.interfaces import AuthenticationFailed, IAuthenticator, IProver, Visitor
from dantetw.rules.authentication import AuthCheck, AuthResult, AuthState
from dantetw.session.context import PolicyContext
from dantetw.session.record import SessionRecord
from dantetw.values import Method, Phase
from dantetw.wire.messages import Credentials


class Proving:
    """What one client has shown."""

    __slots__ = ("_context", "_credentials", "_method", "_name", "_proofs", "_record")

    def __init__(self, record: SessionRecord, context: PolicyContext) -> None:
        self._record = record
        self._context = context
        self._credentials: Credentials | None = None
        self._method = Method.NONE
        self._name: str | None = None
        self._proofs: dict[AuthCheck, AuthResult] = {}

    def claim(self) -> AuthState:
        """The client, for rules."""
        return AuthState(self._proofs, self._context.groups.of, self._method, self._name)

    def given(self, credentials: Credentials, method: Method) -> None:
        """
        The client has given a name and a password.

        :param method: ``USERNAME``, or that of the only check they can be meant for.
        """
        self._credentials = credentials
        self._name = credentials.name
        self._method = method

    def forget(self) -> None:
        """The password is needed no more."""
        self._credentials = None

    def ask(self, check: AuthCheck) -> Deferred[AuthResult]:
        """Find out what a rule must know; the answer is kept."""
        return Deferred.fromCoroutine(self._ask(check))

    async def _ask(self, check: AuthCheck) -> AuthResult:
        record = self._record
        phase = record.phase
        if phase is Phase.AUTHORISE:
            # What holds for a login, such as its time limit, holds for one that comes late.
            record.phase = Phase.AUTHENTICATE
        if check.method is Method.USERNAME:
            proof = await self._log_in()
        else:
            prover: IProver = self._context.authenticators[check.method]
            visitor = Visitor(record.client, record.local, self._credentials)
            proof = await prover.prove(check, visitor)
        record.phase = phase
        self._proofs[check] = proof
        if proof.name is not None:
            record.other_names += (proof.name,)
        return proof

    async def _log_in(self) -> AuthResult:
        users: IAuthenticator = self._context.authenticators[Method.USERNAME]
        credentials, client = self._credentials, self._record.client.host
        assert credentials is not None
        try:
            await users.authenticate(credentials.name, credentials.password, client)
        except AuthenticationFailed as failed:
            return AuthResult(refusal=str(failed))
        return AuthResult()
