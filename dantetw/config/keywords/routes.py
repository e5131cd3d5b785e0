"""
Routes: server chaining.

They are read and checked, but not supported yet.
"""

from __future__ import annotations

from typing import Final

from dantetw.config.addresses import single
from dantetw.config.arguments import SECONDS, AddressArgument, Number
from dantetw.config.draft import BlockDraft, Context, Draft
from dantetw.config.keyword import GLOBAL, ROUTE, Keyword, Repeat, Statement
from dantetw.config.lexer import Token
from dantetw.config.report import Report
from dantetw.config.tree import Block

_CHAINING: Final = "serverchaining only supported for the connect command"


class RouteSettingsDraft(Draft):
    """The global settings."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._maxfail = 1
        self._badexpire = 300

    def set_maxfail(self, statement: Statement) -> None:
        """``route.maxfail``."""
        self._maxfail = statement.values.numbers[0]

    def set_badexpire(self, statement: Statement) -> None:
        """``route.badexpire``."""
        self._badexpire = statement.values.numbers[0]

    def check(self) -> None:
        """Report what does not fit together, as Dante does."""
        if self._maxfail == 0 and self._badexpire != 0:
            self.report.warning(
                None,
                'checkconfig(): it does not make sense to set "route.badexpire" when '
                '"route.maxfail" is set to zero',
            )


class RouteDraft(BlockDraft):
    """A route."""

    def check_gateway(self, statement: Statement) -> None:
        """``via``.  :raises ConfigError: it is no address, name or URL."""
        text = statement.values.address
        assert text is not None
        if "://" not in text.host.text:
            single(text)


def check_route(block: Block, report: Report) -> None:
    """Report what does not fit together in a whole route, which has a ``via``."""
    via = next(each for each in reversed(block.statements) if each.name == "via")
    gateway: Token = via.token
    if gateway.text == "broadcast" or "://" in gateway.text:
        report.error(gateway, "socks_addroute(): not configured for using upnp")
        return
    words: dict[str, list[Token]] = {}
    for statement in block.statements:
        words.setdefault(statement.name, []).extend(statement.values.words)
    _check_proxy_protocols(words.get("proxyprotocol", []), report)
    if gateway.text == "direct":
        return
    for word in words.get("command", []):
        if word.text != "connect":
            report.error(word, _CHAINING)
            return
    if "command" in words and "udp" in {word.text for word in words.get("protocol", [])}:
        report.error(words["command"][0], _CHAINING)


def _check_proxy_protocols(words: list[Token], report: Report) -> None:
    families = {word.text.partition("_")[0] for word in words}
    if "socks" in families and len(families) > 1:
        report.error(
            words[-1],
            "socks_addroute(): cannot combine proxyprotocol socks with other proxyprotocols",
        )


KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "via",
        ROUTE,
        AddressArgument(mask=False, gateway=True),
        "the upstream proxy, or direct",
        "required",
        Repeat.ONCE,
        in_block=RouteDraft.check_gateway,
    ),
    Keyword(
        "route.maxfail",
        GLOBAL,
        Number(),
        "failures until a route is bad; 0: never",
        "1",
        setting=RouteSettingsDraft.set_maxfail,
    ),
    Keyword(
        "route.badexpire",
        GLOBAL,
        SECONDS,
        "how long it stays bad; 0: for ever",
        "300",
        setting=RouteSettingsDraft.set_badexpire,
    ),
)

UNSUPPORTED: Final = {
    "route {}": "server chaining",
    "route.maxfail": "server chaining",
    "route.badexpire": "server chaining",
}
