"""
Checks of what is not in the policy yet: session limits, alarms of monitors, routes.

They keep a file's verdict the same when one of these is built.
"""

from __future__ import annotations

from typing import Final

from dantetw.config.lexer import Token
from dantetw.config.report import Report
from dantetw.config.tree import Block, Place, Statement

_CHAINING: Final = "serverchaining only supported for the connect command"
_STATE: Final = ("session.state.max", "session.state.throttle")


def check_limits(block: Block, report: Report) -> None:
    """Note what does not fit together in a block."""
    last = {statement.name: statement for statement in block.statements}
    if block.place is Place.MONITOR:
        _check_alarms(block, report)
    elif block.place is Place.ROUTE:
        _check_route(block, last, report)
    else:
        _check_sessions(last, report)


def _check_sessions(last: dict[str, Statement], report: Report) -> None:
    key = last.get("session.state.key")
    limits = [last[name] for name in _STATE if name in last]
    if key is not None and not limits:
        report.error(
            key.token,
            "session state key is set, but no value has been given to state.max or state.throttle",
        )
    for limit in limits:
        if key is None:
            report.error(limit.written, f"{limit.name} is set, but session.state.key is not")
            return
    each, total = last.get("session.state.max"), last.get("session.max")
    if each is not None and total is not None:
        one, all_ = each.values.numbers[0], total.values.numbers[0]
        if one > all_:
            report.error(
                each.token,
                "it does not make sense to have a larger value for session.state.max "
                f"({one}) than the combined, state-less, session.max value ({all_}).  "
                "Configuration error?",
            )
    each, total = last.get("session.state.throttle"), last.get("session.throttle")
    if each is not None and total is not None:
        (one, in_one), (all_, in_all) = each.values.numbers, total.values.numbers
        if one * in_all > all_ * in_one:
            report.error(
                each.token,
                "it does not make sense to have a more strict limit for the combined, state-less, "
                f"session.throttle limit ({all_}/{in_all}), than for the per from state "
                f"session.state.throttle ({one}/{in_one}).  Configuration error?",
            )


def _check_alarms(block: Block, report: Report) -> None:
    data: set[tuple[str, ...]] = set()
    alarms = 0
    for statement in block.statements:
        name = statement.keyword.name
        if "alarm" not in name:
            continue
        alarms += 1
        if name.startswith("[SIDE.]alarm.data"):
            # An alarm without a side covers both, and so overlaps with any other.
            one_sided = all(side for side, _ in (*data, statement.parts))
            if data and (not one_sided or statement.parts in data):
                report.error(
                    statement.token,
                    "one aggregated data alarm has already been specified.  No more data alarms "
                    "can be specified in this monitor",
                )
            data.add(statement.parts)
        elif name.startswith("[SIDE.]alarm.disconnect"):
            count, ratio = statement.values.numbers[:2]
            if count > ratio:
                report.error(
                    statement.values.words[1],
                    f"internal session limit value ({count}) cannot be lower than disconnect limit "
                    f"({ratio})",
                )
    if not alarms and block.intact:
        report.warning(block.close, "monitor has no alarms configured.  Is this intended?")


def _check_route(block: Block, last: dict[str, Statement], report: Report) -> None:
    via = last.get("via")
    if via is None:
        return
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
