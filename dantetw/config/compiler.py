"""
From the tree of a file to a policy.

A draft has the drafts of all concerns, by the names that :mod:`dantetw.config.keywords.table` has
for them; each statement goes to that of its keyword.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from dantetw.config.draft import Context, PartDraft
from dantetw.config.fingerprint import Fingerprints
from dantetw.config.keyword import Place, Statement, no_effect
from dantetw.config.keywords.authentication import AuthenticationDraft, RuleAuthenticationDraft
from dantetw.config.keywords.compatibility import CompatibilityDraft
from dantetw.config.keywords.conditions import ConditionsDraft
from dantetw.config.keywords.edges import EdgesDraft
from dantetw.config.keywords.filters import FilterDraft
from dantetw.config.keywords.limits import check_limits
from dantetw.config.keywords.logging import LoggingDraft, RuleLoggingDraft
from dantetw.config.keywords.monitors import check_alarms
from dantetw.config.keywords.redirection import RedirectionDraft
from dantetw.config.keywords.resolving import ResolvingDraft
from dantetw.config.keywords.routes import RouteDraft, RouteSettingsDraft, check_route
from dantetw.config.keywords.sockets import RuleSocketDraft, SocketDraft
from dantetw.config.keywords.table import CONCERN_OF
from dantetw.config.keywords.timeouts import limited
from dantetw.config.keywords.udp import RuleUdpDraft, UdpDraft
from dantetw.config.keywords.users import UserDraft
from dantetw.config.report import ConfigError, Report
from dantetw.config.tree import Block
from dantetw.policy import Policy, ProcessPolicy, Rule, RuleKind, Timeouts, Where

#: What is checked of a block as a whole.
_BLOCK_CHECKS: Final[Mapping[Place, Callable[[Block, Report], None]]] = {
    Place.CLIENT: check_limits,
    Place.SOCKS: check_limits,
    Place.HOSTID: check_limits,
    Place.ROUTE: check_route,
    Place.MONITOR: check_alarms,
}
_KINDS: Final = {Place.CLIENT: RuleKind.CLIENT, Place.SOCKS: RuleKind.SOCKS}


class SettingsDraft:
    """The global settings of a file."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.logging = LoggingDraft(context)
        self.filters = FilterDraft(context)
        self.edges = EdgesDraft(context)
        self.udp = UdpDraft(context)
        self.authentication = AuthenticationDraft(context)
        self.users = UserDraft(context)
        self.compatibility = CompatibilityDraft(context)
        self.resolving = ResolvingDraft(context)
        self.timeouts = PartDraft(Timeouts())
        self.processes = PartDraft(ProcessPolicy())
        self.sockets = SocketDraft(context)
        self.routes = RouteSettingsDraft(context)

    def read(self, statements: Iterable[Statement]) -> None:
        """Take in all statements; errors are reported."""
        report = self._context.report
        for statement in statements:
            effect = statement.keyword.setting
            if effect is no_effect:
                continue
            try:
                effect(getattr(self, CONCERN_OF[statement.keyword.name]), statement)
            except ConfigError as error:
                report.attempted.add(statement.name)
                report.add_error(error)
        self.logging.check_forms()

    def check(self) -> None:
        """Report what is missing and what does not fit together, as Dante does."""
        self.authentication.check()
        self.users.check()
        self.edges.check()
        self.routes.check()

    def finish(self, file: str, rules: RulesDraft) -> Policy:
        """The policy.  If the report has errors it is not to be used."""
        return Policy(
            file,
            internal=tuple(self.edges.internal),
            external=tuple(self.edges.external),
            external_families=self.edges.families("external"),
            rotation=self.edges.rotation,
            waits=self._context.missing.waits,
            authentication=self.authentication.finish(),
            users=self.users.finish(),
            timeouts=self.timeouts.part,
            logging=self.logging.finish(self.filters.filters),
            resolve_protocol=self.resolving.protocol,
            udp=self.udp.finish(),
            compatibility=self.compatibility.finish(),
            processes=self.processes.part,
            socket_options=tuple(self.sockets.options),
            client_rules=tuple(rules.rules[RuleKind.CLIENT]),
            socks_rules=tuple(rules.rules[RuleKind.SOCKS]),
        )


class RuleDraft:
    """A rule, route or monitor."""

    def __init__(self, context: Context, block: Block, settings: SettingsDraft) -> None:
        self._block = block
        self._report = context.report
        self._places: dict[str, Where] = {}
        self.conditions = ConditionsDraft(context, block)
        self.authentication = RuleAuthenticationDraft(context, block, settings.authentication)
        self.logging = RuleLoggingDraft(context, block, settings.logging)
        self.filters = FilterDraft(context)
        self.timeouts = PartDraft(settings.timeouts.part)
        self.sockets = RuleSocketDraft(context, block)
        self.udp = RuleUdpDraft(context, block, settings.udp)
        self.redirection = RedirectionDraft(context, block, self.conditions)
        self.routes = RouteDraft(context, block)

    def read(self) -> None:
        """Take in all statements, then check the whole; errors are reported."""
        for statement in self._block.statements:
            effect = statement.keyword.in_block
            try:
                if effect is not no_effect:
                    effect(getattr(self, CONCERN_OF[statement.keyword.name]), statement)
            except ConfigError as error:
                self._report.add_error(error)
            else:
                self._places[statement.name] = statement.token.where
        if self._block.intact:
            _BLOCK_CHECKS[self._block.place](self._block, self._report)

    def finish(self, kind: RuleKind, number: int, fingerprint: str) -> Rule:
        """The rule; it must have its addresses.  What does not fit together in it is reported."""
        source, target = self.conditions.source, self.conditions.target
        assert source is not None and target is not None
        timeouts = limited(self.timeouts.part, self._block, self._report)
        commands, protocols = self.conditions.covered(kind)
        self.authentication.check(kind, number, self.conditions.commands)
        return Rule(
            kind,
            number,
            self._block.verdict,
            self._block.head.where,
            source,
            target,
            commands=commands,
            protocols=protocols,
            proxy_protocols=self.conditions.covered_versions(kind),
            client_methods=self.authentication.client_methods,
            socks_methods=self.authentication.socks_methods(kind),
            pam_service=self.authentication.pam_service,
            users=frozenset(self.authentication.users),
            groups=frozenset(self.authentication.groups),
            log=self.logging.log,
            error_filters=tuple(self.filters.filters),
            timeouts=timeouts,
            socket_options=tuple(self.sockets.options),
            udp=self.udp.finish(),
            places=self._places,
            fingerprint=fingerprint,
        )


class RulesDraft:
    """
    The rules of a file.  Routes, monitors and hostid rules are only checked.

    :ivar rules: by kind, in file order.
    """

    def __init__(self, context: Context, settings: SettingsDraft) -> None:
        self._context = context
        self._settings = settings
        self.rules: dict[RuleKind, list[Rule]] = {kind: [] for kind in RuleKind}
        self._numbers = dict.fromkeys(RuleKind, 0)
        self._fingerprints = {kind: Fingerprints() for kind in RuleKind}

    def read(self, blocks: Iterable[Block]) -> None:
        """Take in all blocks; errors are reported."""
        for block in blocks:
            draft = RuleDraft(self._context, block, self._settings)
            draft.read()
            kind = _KINDS.get(block.place)
            if kind is None:
                continue
            self._numbers[kind] += 1
            if draft.conditions.source is not None and draft.conditions.target is not None:
                fingerprint = self._fingerprints[kind].of(block)
                self.rules[kind].append(draft.finish(kind, self._numbers[kind], fingerprint))
