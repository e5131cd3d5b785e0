"""
The results of a decision: a plan, a refusal, or a fact that must be found out first.
"""

from __future__ import annotations

from typing import Final

from dantetw.escaping import escape
from dantetw.net.errors import UNRESOLVED_REPLY
from dantetw.policy import Rule
from dantetw.rules.authentication import Identity
from dantetw.rules.decision import Question
from dantetw.values import Cause, Ending, Endpoint, Family, Phase, ReplyCode, Side, value

#: The upstream without a proxy.
DIRECT: Final = "direct"

#: What fails without a local address, in Dante's words: for a CONNECT, and for a BIND.
NO_SOURCE_TO_CONNECT: Final = "could not bind address to use"
NO_SOURCE_TO_BIND: Final = "could not get address to use"


@value
class Admission:
    """
    A client is admitted.

    :ivar rule: the client rule that passes it.
    :ivar identity: what it has shown to that rule; None: the policy asks for nothing.
    """

    rule: Rule
    identity: Identity | None = None


@value
class Plan:
    """
    The plan for a request that is granted.

    :ivar rule: the socks rule that passes it; its time limits and log words apply from now on.
    :ivar target: the far end, as the rule passes it: an address or a name; of a BIND the peer that
        the client names; None for an association.
    :ivar address: numeric.  Of a CONNECT where to go, of a BIND the port that was bound for it, of
        an association the address that the client announces.
    :ivar addresses: of a CONNECT to a name with several, all of them in the resolver's order, each
        to be judged by :func:`dantetw.plan.address.judge_address`; else empty.
    :ivar identity: what the client has shown to the rule; None: the policy asks for nothing.
    :ivar receiving_host: of an association the host's address for the client's datagrams; else
        empty.
    :ivar upstream: the upstream to ``address``, one of :func:`dantetw.catalogue.upstreams`.
    """

    rule: Rule
    target: Endpoint | None
    address: Endpoint
    addresses: tuple[str, ...] = ()
    identity: Identity | None = None
    receiving_host: str = ""
    upstream: str = DIRECT

    @property
    def name(self) -> Endpoint | None:
        """The target's name, if the rule passes it by that."""
        target = self.target
        return target if target is not None and target.family is Family.NAME else None


@value
class Refusal:
    """
    A client or a request is refused.

    :ivar ending: how its session ends.
    :ivar reply: the reply to the request; a client that is not admitted gets none.
    :ivar rule: the rule in whose name it is refused, a socks rule but for clients that are not
        admitted; None: no rule was asked.
    :ivar target: as of :class:`Plan`; None: no rule was asked.
    :ivar identity: what the client has shown to the rule; None: the policy asks for nothing.
    :ivar question: the question to the rules, if a rule refuses; else None.
    :ivar delayed: the password is wrong: delay the answer, so that guessing takes time.
    """

    ending: Ending
    reply: ReplyCode
    rule: Rule | None = None
    target: Endpoint | None = None
    identity: Identity | None = None
    question: Question | None = None
    delayed: bool = False


@value
class Resolve:
    """
    Needed: the addresses of the target's name, in the resolver's order.

    :ivar families: those that are of use.
    """

    name: str
    families: frozenset[Family]


@value
class BindPort:
    """
    Needed: a bound port, since the rules are asked about it.

    :ivar target: choose the local address towards this one; numeric, perhaps unspecified.
    :ivar port: 0: any.
    """

    target: Endpoint
    port: int


def unresolved(phase: Phase, cause: Cause, name: str, reason: str) -> Refusal:
    """
    The refusal of a request whose target has no address, or none in time.

    :param phase: how far the session has come.
    :param reason: the resolver's words.
    """
    text = f'could not resolve hostname "{escape(name)}": {reason}'
    return Refusal(Ending(Side.TARGET, phase, cause, text=text), UNRESOLVED_REPLY)


def without_source(failing: str, reason: str, reply: ReplyCode) -> Refusal:
    """
    The refusal of a request for which there is no address to connect from.

    :param failing: what fails, such as :data:`NO_SOURCE_TO_CONNECT`.
    :param reason: why there is none; ``reply``: the reply to that.
    """
    text = f"{failing} on external side: {reason}"
    return Refusal(Ending(Side.US, Phase.CONNECT, Cause.UNUSABLE, text=text), reply)


def unbound(number: int, reason: str, reply: ReplyCode) -> Refusal:
    """
    The refusal of a BIND whose port could not be bound.

    :param number: the ``errno``; ``reason``: its words; ``reply``: the reply to that.
    """
    text = f"{NO_SOURCE_TO_BIND} on external side: {reason}"
    return Refusal(Ending(Side.US, Phase.CONNECT, Cause.ERROR, number, text), reply)
