"""
The compiled configuration: an immutable :class:`Policy`, made of one part for each concern.

- :mod:`.whole`: the policy
- :mod:`.settings`: its parts, for all sessions: timeouts, logging, UDP, processes …
- :mod:`.rules`: client rules and socks rules
- :mod:`.addresses`: conditions on addresses and ports; ``internal`` and ``external``
- :mod:`.places`: where in a file something was written
- :mod:`.spelling`: how log destinations are written

A session keeps the policy it began with.  Every rule and every condition remembers where it was
written, so that a decision can be explained with file, line and column.

What sessions read at every step is an attribute of :class:`Policy` or :class:`Rule`, everything
else is in one of their parts.
"""

from dantetw.policy.addresses import (
    ALL_PORTS,
    Address,
    External,
    HostKind,
    Internal,
    PortSet,
    Rotation,
)
from dantetw.policy.places import BUILT_IN, Where
from dantetw.policy.rules import PAM_SERVICE, Rule, RuleKind, RuleUdpPolicy
from dantetw.policy.settings import (
    DEBUG_LOG,
    HANDOVER,
    PLAIN_FORM,
    WORKER_TIMEOUT,
    AuthenticationPolicy,
    CompatibilityPolicy,
    Edge,
    ErrorFilter,
    Form,
    LoggingPolicy,
    Output,
    ProcessPolicy,
    ResolveProtocol,
    SocketOption,
    Timeouts,
    UdpPolicy,
    UserPolicy,
)
from dantetw.policy.spelling import Misspelling, Spelling
from dantetw.policy.whole import Policy

__all__ = [
    "ALL_PORTS",
    "BUILT_IN",
    "DEBUG_LOG",
    "HANDOVER",
    "PAM_SERVICE",
    "PLAIN_FORM",
    "WORKER_TIMEOUT",
    "Address",
    "AuthenticationPolicy",
    "CompatibilityPolicy",
    "Edge",
    "ErrorFilter",
    "External",
    "Form",
    "HostKind",
    "Internal",
    "LoggingPolicy",
    "Misspelling",
    "Output",
    "Policy",
    "PortSet",
    "ProcessPolicy",
    "ResolveProtocol",
    "Rotation",
    "Rule",
    "RuleKind",
    "RuleUdpPolicy",
    "SocketOption",
    "Spelling",
    "Timeouts",
    "UdpPolicy",
    "UserPolicy",
    "Where",
]
