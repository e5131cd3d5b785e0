"""
A client's login: checks the name and the password, and refuses a wrong one after a delay.

Meanwhile the negotiation is suspended, and nothing is read from the client.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger
from twisted.python.failure import Failure

from dantetw.auth.interfaces import AuthenticationFailed, IAuthenticator
from dantetw.rules.authentication import AuthResult, early_check
from dantetw.session import tracing
from dantetw.session.authentication import Authentication
from dantetw.session.delayedclose import ClosingSocket, answer_delay
from dantetw.session.session import Session
from dantetw.values import Cause, Ending, Method, Phase, ReplyCode, Side, User
from dantetw.wire.messages import Credentials

_log = Logger()


def log_in(session: Session, credentials: Credentials, go_on: Callable[[], None]) -> None:
    """
    Check the client's credentials, or keep them for the socks rules.

    :param go_on: called when the client may go on negotiating.
    """
    record = session.record
    assert session.transport is not None
    record.begin_login(credentials.name, session.server.monotonic())
    session.transport.pauseProducing()
    if session.authentication is not None:
        _authenticate(session, session.authentication, credentials, go_on)
        return
    user = User(Method.USERNAME, credentials.name)
    users: IAuthenticator = session.context.authenticators[Method.USERNAME]
    check = users.authenticate(credentials.name, credentials.password, record.client.host)
    session.when(
        check,
        lambda _: _logged_in(session, user, go_on),
        lambda failure: _failed(session, failure),
    )


def _authenticate(
    session: Session,
    authentication: Authentication,
    credentials: Credentials,
    go_on: Callable[[], None],
) -> None:
    record = session.record
    check = early_check(record.policy, record.client_rule.socks_methods)
    method = Method.USERNAME if check is None else check.method
    authentication.set_credentials(credentials, method)
    if check is None:
        _let_in(session, go_on)  # the socks rules decide which check that takes
        return

    def checked(result: AuthResult) -> None:
        if result.refusal:
            _refused(session, result.refusal)
        else:
            _logged_in(session, User(method, credentials.name), go_on)

    session.when(authentication.ask(check), checked)


def _logged_in(session: Session, user: User, go_on: Callable[[], None]) -> None:
    session.record.user = user
    if session.server.journal.debug:
        tracing.logged_in(session, user)
    _let_in(session, go_on)


def _let_in(session: Session, go_on: Callable[[], None]) -> None:
    negotiation, transport = session.negotiation, session.transport
    assert negotiation is not None and transport is not None
    session.record.end_login(session.server.monotonic())
    transport.write(negotiation.accepted())
    transport.resumeProducing()
    go_on()


def _failed(session: Session, failure: Failure) -> None:
    text = "internal error"
    if isinstance(failure.value, AuthenticationFailed):
        text = str(failure.value)
    else:
        _log.failure("Could not check a password", failure)
    _refused(session, text)


def _refused(session: Session, text: str) -> None:
    negotiation, transport, server = session.negotiation, session.transport, session.server
    assert negotiation is not None and transport is not None
    session.end(Ending(Side.CLIENT, Phase.AUTHENTICATE, Cause.CREDENTIALS, text=text))
    session.transport = None
    delay = answer_delay(session.record.logging_in_at, server.monotonic())
    server.delayed_closes.add(transport, negotiation.refused(), delay)


def refuse_late(session: Session, text: str) -> None:
    """
    Record a failed login at once, and answer the request after the delay.

    The socks rules choose the kind of password where several are possible.  By then the client has
    left Twisted's transport; its answer has the same delay as after any failed login.
    """
    record = session.record
    request, sock, server = record.request, session.sock, session.server
    if request is None or sock is None:
        return  # gone meanwhile
    session.sock = None
    session.end(Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED, text=text))
    answer = request.dialect.reply(ReplyCode.NOT_ALLOWED, request.target)
    delay = answer_delay(record.requested_at, server.monotonic())
    server.delayed_closes.add(ClosingSocket(sock, server.poller), answer, delay)
