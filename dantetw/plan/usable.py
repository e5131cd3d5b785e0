"""
Finds requests that cannot be served, whatever the rules say.
"""

from __future__ import annotations

from typing import Final

from dantetw.net.sources import no_address_text
from dantetw.plan.case import Case
from dantetw.plan.outcome import Refusal
from dantetw.values import (
    UNSPECIFIED,
    Cause,
    Ending,
    Endpoint,
    Phase,
    ReplyCode,
    Side,
)

#: The reply to a request for an address that cannot be used.
UNUSABLE_ADDRESS: Final = ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED

_OWN_ADDRESS: Final = (
    "client is requesting a connection to the same address we listen to new clients on: {}."
    "  Very suspicious.   For security reasons that is not allowed, as otherwise one client could"
    " trivially use up all our resources by going into a loop sending a stream of requests that all"
    " asked us to connect to ourselves"
)


def unusable_text(target: Endpoint) -> str:
    """Why nothing can be sent to a numeric target, in Dante's words; empty: something may be."""
    if target.host in UNSPECIFIED:
        return f"unbound ipaddress ({target}) in request"
    return "" if target.port else f"unbound port ({target}) in request"


def unusable(case: Case, target: Endpoint, connects: bool = True) -> Refusal | None:
    """
    The refusal of a request to a numeric target that no connection can be made to.

    :param connects: False: it is the peer of a BIND.
    :returns: None: it can be served, or only an interface is missing, which is reported when a
        source address is chosen.
    """
    sources = case.around.sources
    if not (sources.addresses(target.family) or sources.missing()):
        return refuse_unusable(no_address_text(target.family))
    if connects:
        if text := unusable_text(target):
            return refuse_unusable(text)
        if case.around.is_ours(target):
            return refuse_unusable(_OWN_ADDRESS.format(target), ReplyCode.NOT_ALLOWED)
    return None


def refuse_unusable(text: str, reply: ReplyCode = UNUSABLE_ADDRESS) -> Refusal:
    """The refusal of a request that makes no sense; ``text`` says why, in Dante's words."""
    return Refusal(Ending(Side.CLIENT, Phase.RESOLVE, Cause.UNUSABLE, text=text), reply)
