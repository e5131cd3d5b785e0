"""Methods that others stand behind: PAM and ident."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.catalogue import PROGRAM
from dantetw.config import parse
from dantetw.config.description import describe
from dantetw.values import Method
from tests.config.fakes import HEAD, RULES, FakeSystem, errors, policy_of, read

OPEN = HEAD.replace("socksmethod: none", "socksmethod: pam.username rfc931 username").replace(
    "clientmethod: none", "clientmethod: rfc931 pam.address none"
)
ALL = "from: 0/0 to: 0/0"


class ServiceTests(SynchronousTestCase):
    """``pam.servicename``."""

    def test_names(self) -> None:
        """Each rule has its own, in either spelling, and ``sockd`` without one."""
        policy = policy_of(
            read(
                f"{OPEN}client pass {{ {ALL}\npam.servicename: door\n}}\n"
                f"socks pass {{ {ALL}\npamservicename: web\n}}\nsocks pass {{ {ALL} }}\n"
            )
        )
        rules = (*policy.client_rules, *policy.socks_rules)
        self.assertEqual([rule.pam_service for rule in rules], ["door", "web", "sockd"])

    def test_described(self) -> None:
        """It is told with ``debug`` of rules that ask PAM, and of no others."""
        text = f"{OPEN}{RULES}socks pass {{ {ALL}\npam.servicename: web\n}}\n"
        told = [line for line in describe(policy_of(read(text))) if "web" in line]
        self.assertEqual(len(told), 1)
        self.assertIn("; pam.servicename: web;", told[0])
        plain = "\n".join(describe(policy_of(read(HEAD + RULES))))
        self.assertNotIn("pam", plain)


class MethodTests(SynchronousTestCase):
    """The methods' names."""

    def test_taken(self) -> None:
        """They are taken globally and in rules, for clients and for requests."""
        policy = policy_of(read(f"{OPEN}{RULES}"))
        methods = (Method.PAM_USERNAME, Method.RFC931, Method.USERNAME)
        self.assertEqual(policy.authentication.socks_methods, methods)
        self.assertEqual(policy.socks_rules[0].socks_methods, methods)
        self.assertEqual(
            policy.authentication.client_methods[:2], (Method.RFC931, Method.PAM_ADDRESS)
        )

    def test_user(self) -> None:
        """``user`` in a client rule is possible with methods that give a name."""
        rule = f"client pass {{ {ALL}\nclientmethod: rfc931\nuser: bob\n}}\n"
        policy_of(read(OPEN + rule))
        self.assertEqual(len(errors(read(OPEN + rule.replace("rfc931", "none")))), 1)

    def test_no_library(self) -> None:
        """Without pamela each PAM method is an error where it stands, and ``rfc931`` is none."""

        class Bare(FakeSystem):
            def has_pam(self) -> bool:
                return False

        parsed = parse((OPEN + RULES).encode(), "sockd.conf", Bare(), PROGRAM)
        self.assertEqual(
            [error[: error.index(" needs")] for error in errors(parsed)],
            ['4:22 method "pam.address"', '5:14 method "pam.username"'],
        )
        wrong = next(problem for problem in parsed.problems if problem.is_error)
        self.assertIn("pip install dantetw[pam]", wrong.render())
