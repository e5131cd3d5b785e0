"""Tests for :mod:`dantetw.rules.authentication`, and for decisions that need it."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from dantetw.policy import AuthenticationPolicy, Policy, RuleKind
from dantetw.rules.authentication import (
    IDENT,
    AuthCheck,
    AuthResult,
    AuthState,
    Identity,
    early_check,
    needs_checks,
)
from dantetw.rules.decision import Decision, Tried, decide_client, decide_socks
from dantetw.rules.words import told
from dantetw.values import Method, User, Verdict
from tests.rules.building import endpoint, policy, question, rule

NONE, USERNAME, RFC931 = Method.NONE, Method.USERNAME, Method.RFC931
ADDRESS, ANY, PAM = Method.PAM_ADDRESS, Method.PAM_ANY, Method.PAM_USERNAME

PASSWORD = AuthCheck(USERNAME, named=True)
NAMED = AuthCheck(PAM, "sockd", named=True)
NAMELESS = AuthCheck(PAM, "sockd")
RIGHT = AuthResult()
WRONG = AuthResult(refusal="no")


def no_groups(name: str) -> frozenset[str]:
    return frozenset()


class Client:
    """A client, and all the answers there would be; those that were asked for are noted."""

    def __init__(
        self, proofs: dict[AuthCheck, AuthResult], method: Method = NONE, name: str | None = None
    ) -> None:
        self.answers = proofs
        self.method = method
        self.name = name
        self.asked: list[AuthCheck] = []
        self.trace: list[Tried] = []

    def decide(self, policy: Policy, client_method: Method = NONE) -> Decision:
        """The decision of the socks rules, with each answer given when it is asked for."""
        proofs: dict[AuthCheck, AuthResult] = {}
        claim = AuthState(proofs, lambda name: frozenset((f"{name}s",)), self.method, self.name)
        asking = question(client_method=client_method, method=self.method)
        while True:
            decision = decide_socks(policy, asking, {}, self.trace, claim)
            if isinstance(decision, Decision):
                return decision
            assert isinstance(decision, AuthCheck)
            self.asked.append(decision)
            proofs[decision] = self.answers[decision]


class FittingTests(SynchronousTestCase):
    """Which method of a rule a client comes under, and what it costs."""

    def check(
        self,
        methods: tuple[Method, ...],
        client: Client,
        shown: Identity | None,
        *asked: AuthCheck,
    ) -> None:
        """Check what a client shows to a rule with these methods, and what was asked."""
        decision = client.decide(policy(rule(socks_methods=methods)))
        self.assertEqual(decision.identity, shown, methods)
        self.assertEqual(client.asked, list(asked), methods)
        self.assertEqual(decision.blocks, shown is None or shown.refusal != "")

    def test_nothing_given(self) -> None:
        """Who gave nothing comes under ``none``, or is asked about by its address."""
        proofs = {NAMELESS: RIGHT}
        self.check((NONE,), Client(proofs), Identity(NONE))
        self.check((ANY, NONE), Client(proofs), Identity(NONE))
        self.check((ANY,), Client(proofs), Identity(ANY), NAMELESS)
        self.check((ADDRESS,), Client(proofs), Identity(ADDRESS), NAMELESS)
        for method in (USERNAME, PAM):
            self.check((method,), Client(proofs), None)

    def test_login_given(self) -> None:
        """Who gave a name and a password comes under any method that can use them."""
        proofs = {PASSWORD: RIGHT, NAMED: RIGHT}
        for methods, method, asked in (
            ((USERNAME,), USERNAME, PASSWORD),
            ((PAM, USERNAME), USERNAME, PASSWORD),
            ((PAM,), PAM, NAMED),
            ((ANY, PAM), ANY, NAMED),
            ((PAM, ANY), PAM, NAMED),
            ((ADDRESS,), ADDRESS, NAMED),
        ):
            shown = Identity(method, User(method, "joe"))
            self.check(methods, Client(proofs, USERNAME, "joe"), shown, asked)
        self.check((NONE,), Client(proofs, USERNAME, "joe"), None)

    def test_checked_at_once(self) -> None:
        """A login that was checked with PAM is one of ``pam.username`` and no other method."""
        shown = Identity(PAM, User(PAM, "joe"))
        self.check((PAM,), Client({NAMED: RIGHT}, PAM, "joe"), shown, NAMED)
        for method in (USERNAME, ANY, ADDRESS):
            self.check((method,), Client({}, PAM, "joe"), None)

    def test_ident(self) -> None:
        """``rfc931`` fits whom its own host names, whatever name it gave itself."""
        shown = Identity(RFC931, User(RFC931, "eve"))
        named = {IDENT: AuthResult("eve")}
        self.check((RFC931,), Client(named), shown, IDENT)
        self.check((RFC931,), Client(named, USERNAME, "joe"), shown, IDENT)
        self.check((RFC931, NONE), Client(named), Identity(NONE))

    def test_no_ident(self) -> None:
        """Without an answer the rule's other methods are tried, then the other rules."""
        proofs = {IDENT: AuthResult(), NAMELESS: RIGHT}
        self.check((RFC931, ANY), Client(proofs), Identity(ANY), IDENT, NAMELESS)
        self.check((RFC931,), Client(proofs), None, IDENT)

    def test_no_such_user(self) -> None:
        """A name that is not in the password file blocks."""
        proofs = {IDENT: AuthResult("eve", "no user")}
        shown = Identity(RFC931, User(RFC931, "eve"), "no user")
        self.check((RFC931,), Client(proofs), shown, IDENT)


class SearchTests(SynchronousTestCase):
    """Rules in a row."""

    def test_wrong_ends_the_search(self) -> None:
        """Who is refused is blocked by the rule that asked, though others would take it."""
        for verdict in Verdict:
            client = Client({NAMED: WRONG}, USERNAME, "joe")
            rules = policy(
                rule(1, verdict, socks_methods=(PAM,)), rule(2, socks_methods=(USERNAME,))
            )
            decision = client.decide(rules)
            self.assertEqual((decision.rule.number, decision.refusal), (1, "no"))
            self.assertTrue(decision.blocks)
            self.assertEqual(told(client.trace), ["socks-rule #1 (sockd.conf:1) matches, but no"])

    def test_asked_last(self) -> None:
        """Nobody is asked for a rule that fails by address, client method, user or group."""
        rules = policy(
            rule(1, target="10.0.0.0/8", socks_methods=(PAM,)),
            rule(2, socks_methods=(PAM,), client_methods=(RFC931,)),
            rule(3, socks_methods=(PAM,), users=frozenset(("eve",))),
            rule(4, socks_methods=(PAM,), groups=frozenset(("eves",))),
            rule(5, socks_methods=(PAM,), users=frozenset(("joe",)), groups=frozenset(("joes",))),
        )
        client = Client({NAMED: RIGHT}, USERNAME, "joe")
        self.assertEqual(client.decide(rules).rule.number, 5)
        self.assertEqual(client.asked, [NAMED])
        failed = [tried.failed for tried in client.trace]
        self.assertEqual(failed, ["to", "clientmethod", "user", "group", ""])

    def test_asked_once(self) -> None:
        """What was answered for one rule counts for those behind it."""
        eve = frozenset(("eve",))
        rules = policy(
            rule(1, socks_methods=(RFC931,), users=frozenset(("bob",))),
            rule(2, socks_methods=(RFC931,), users=eve),
        )
        client = Client({IDENT: AuthResult("eve")})
        self.assertEqual(client.decide(rules).rule.number, 2)
        self.assertEqual(client.asked, [IDENT])

    def test_service(self) -> None:
        """Each rule asks by the name of its own PAM service."""
        check = AuthCheck(PAM, "staff", named=True)
        client = Client({check: RIGHT}, USERNAME, "joe")
        client.decide(policy(rule(socks_methods=(PAM,), pam_service="staff")))
        self.assertEqual(client.asked, [check])

    def test_no_user(self) -> None:
        """A rule with ``user`` does not fit who has no name, even where it need not have one."""
        rules = policy(rule(socks_methods=(ADDRESS,), users=frozenset(("joe",))))
        client = Client({})
        self.assertTrue(client.decide(rules).blocks)
        self.assertEqual(client.trace[0].failed, "user")

    def test_client_method_is_not_tried_anew(self) -> None:
        """A socks rule's ``clientmethod`` is compared with what the client rule found."""
        rules = policy(rule(client_methods=(RFC931,)))
        client = Client({IDENT: AuthResult("eve")})
        self.assertTrue(client.decide(rules).blocks)
        self.assertEqual(client.asked, [])
        self.assertFalse(client.decide(rules, client_method=RFC931).blocks)

    def test_client_rules(self) -> None:
        """A client rule finds its method itself, and goes on to the next without one."""
        rules = policy(
            client_rules=(
                rule(1, kind=RuleKind.CLIENT, client_methods=(RFC931,)),
                rule(2, kind=RuleKind.CLIENT, client_methods=(ADDRESS,), pam_service="door"),
            )
        )
        here = endpoint("127.0.0.1")
        proofs: dict[AuthCheck, AuthResult] = {}
        claim = AuthState(proofs, no_groups)
        self.assertEqual(decide_client(rules, here, here, {}, auth=claim), IDENT)
        proofs[IDENT] = AuthResult()
        check = AuthCheck(PAM, "door")
        self.assertEqual(decide_client(rules, here, here, {}, auth=claim), check)
        for proof in (RIGHT, WRONG):
            proofs[check] = proof
            decision = decide_client(rules, here, here, {}, auth=claim)
            assert isinstance(decision, Decision)
            self.assertEqual(decision.rule.number, 2)
            self.assertEqual(decision.identity, Identity(ADDRESS, None, proof.refusal))


class PolicyTests(SynchronousTestCase):
    """What a policy makes necessary."""

    def test_asks(self) -> None:
        """Only ``none`` and ``username`` can do without others."""
        plain = policy(rule(socks_methods=(NONE, USERNAME)))
        self.assertFalse(needs_checks(plain))
        self.assertTrue(needs_checks(policy(rule(socks_methods=(ANY,)))))
        self.assertTrue(needs_checks(policy(rule(client_methods=(ADDRESS,)))))
        for own in (AuthenticationPolicy((RFC931,)), AuthenticationPolicy(socks_methods=(RFC931,))):
            self.assertTrue(needs_checks(replace(plain, authentication=own)))

    def test_at_once(self) -> None:
        """A login is checked at once if only one password can be meant."""
        one = policy(rule(socks_methods=(PAM,), pam_service="a"), rule(pam_service="not asked"))
        two = policy(
            rule(socks_methods=(PAM,), pam_service="a"), rule(socks_methods=(ANY,), pam_service="b")
        )
        named = AuthCheck(PAM, "a", named=True)
        self.assertEqual(early_check(one, (PAM, ANY, RFC931)), named)
        self.assertEqual(early_check(one, (USERNAME, ANY)), PASSWORD)
        for policy_, methods in (
            (one, (USERNAME, PAM)),
            (one, (ANY, ADDRESS)),
            (two, (PAM,)),
            (policy(), (PAM,)),
        ):
            self.assertIsNone(early_check(policy_, methods))
