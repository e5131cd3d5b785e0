"""Tests for :mod:`dantetw.plan.listening`."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from dantetw.plan.listening import Listening
from tests.rules.building import endpoint


class ListeningTests(SynchronousTestCase):
    """Connections that would come back to us."""

    def test_addresses(self) -> None:
        """An address that we listen on is ours, by that port; the machine need not be asked."""

        def nobody() -> Sequence[str]:
            raise AssertionError

        listening = Listening((endpoint("192.0.2.1", 1080), endpoint("fe80::1", 1080)), nobody)
        for host, port, ours in (
            ("192.0.2.1", 1080, True),
            ("192.0.2.1", 1081, False),
            ("192.0.2.2", 1080, False),
            ("127.0.0.1", 1080, False),
            ("fe80::1%eth0", 1080, True),
            ("fe80::1%eth1", 1080, True),
        ):
            self.assertIs(listening.is_ours(endpoint(host, port)), ours, host)

    def test_wildcards(self) -> None:
        """Behind a wildcard address all addresses of the machine are."""
        for wildcard in ("0.0.0.0", "::"):
            listening = Listening(
                (endpoint(wildcard, 1080),), lambda: ["192.0.2.1", "fe80::1%eth0", "::1"]
            )
            for host, ours in (
                ("192.0.2.1", True),
                ("127.9.9.9", True),
                ("::1", True),
                ("fe80::1%eth1", True),
                ("203.0.113.5", False),
            ):
                self.assertIs(listening.is_ours(endpoint(host, 1080)), ours, host)
            self.assertFalse(listening.is_ours(endpoint("192.0.2.1", 80)))
