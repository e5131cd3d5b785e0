"""Configurations for tests of the privileged helper, and sockets for it."""

from __future__ import annotations

import socket

from dantetw.catalogue import PROGRAM
from dantetw.config import Parsed, parse
from dantetw.policy import Policy
from tests.session.world import Machine

ADDRESSES = "internal: 192.0.2.1 port = 1080\nexternal: 192.0.2.9\n"
RULES = """\
client pass { from: 0/0 to: 0/0 }
socks pass { from: 0/0 to: 0/0 }
"""


def parsed(
    settings: str = "", addresses: str = ADDRESSES, method: str = "none", rules: str = RULES
) -> Parsed:
    """What a configuration comes to."""
    methods = f"clientmethod: none\nsocksmethod: {method}\n"
    text = addresses + methods + settings + "\n" + rules
    return parse(text.encode(), "sockd.conf", Machine(), PROGRAM)


def policy(
    settings: str = "", addresses: str = ADDRESSES, method: str = "none", rules: str = RULES
) -> Policy:
    """What a right configuration says."""
    found = parsed(settings, addresses, method, rules)
    assert found.policy is not None, found.problems
    return found.policy


def stream(family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """A socket for connections."""
    return socket.socket(family, socket.SOCK_STREAM)


def datagrams(family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """A socket for datagrams."""
    return socket.socket(family, socket.SOCK_DGRAM)
