"""
CONNECT (:rfc:`1928` section 4): a TCP connection to the target, then a relay.
"""

from __future__ import annotations

from typing import Final

from dantetw.net.dial import DialError
from dantetw.net.sources import NoSource
from dantetw.policy import Rule
from dantetw.session.commands.connection import SOURCELESS, Connect
from dantetw.session.commands.race import ConnectRace
from dantetw.session.outgoing import refuse_sourceless, warn_misrouted
from dantetw.session.session import Session
from dantetw.values import Endpoint, Family, Phase

# Looked up once: in Python 3.11 finding a member of an Enum takes 0.2 us, and each session does.
_CONNECT: Final = Phase.CONNECT
_NAME: Final = Family.NAME


def connect(session: Session, rule: Rule, target: Endpoint) -> None:
    """
    Connect to ``target`` for a session, and relay.

    :param target: a numeric endpoint; of a name with several addresses, the one that ``rule`` is
        about.
    """
    record = session.record
    record.phase = _CONNECT
    passed, addresses = record.target, record.addresses
    named = passed if passed is not None and passed.family is _NAME else None
    if addresses is not None and len(addresses) > 1:
        racing = session.activity = ConnectRace(session, rule, named, target)
        racing.begin()
        return
    activity = session.activity = Connect(session, rule, named)
    try:
        activity.dial(target)
    except NoSource as none:
        warn_misrouted(session, target, none)
        refuse_sourceless(session, none, SOURCELESS)
    except DialError as failed:
        record.target = target
        activity.failed(failed)
