"""
Tokens into a tree, going on after errors.

::

    file   := setting* object*
    object := HEAD "{" option* from to [via] option* "}"
    HEAD   := "client" VERDICT | "socks" VERDICT | "hostid" VERDICT | "route" | "monitor"

After an error the rest of the line is skipped, or of the rule if its brace comes first.  So one run
reports all errors, each once.
"""

from __future__ import annotations

import re
from typing import Final

from dantetw.config.arguments import Nothing
from dantetw.config.keyword import Keyword, Place, Statement, Values
from dantetw.config.lexer import Lexer, Source, Token
from dantetw.config.lookup import (
    DEPRECATED,
    IGNORED,
    find,
    is_keyword,
    names_for,
    present_name,
)
from dantetw.config.problems import nearest
from dantetw.config.program import Program
from dantetw.config.reader import Reader
from dantetw.config.report import ConfigError, Report
from dantetw.config.tree import Block, Tree
from dantetw.values import Verdict

_KEYWORD: Final = re.compile(r"(?a)(?:redirect|bounce)[ \t]+(?:from|to)\b|[^\s:#{}]+")
_HEAD: Final = re.compile(
    r"(?a)(client|socks|hostid)(?=[ \t{#\n])|(pass|block|route|monitor)(?=\s*[{#])"
)
_VERDICT: Final = re.compile(r"(?a)[^\s:#{}]+")
_OPEN: Final = re.compile(r"(?a)\{")
_CLOSE: Final = re.compile(r"(?a)\}")
_BLANKS: Final = re.compile(r"[ \t]+")
_COLON: Final = re.compile(r"(?a):")

_PLACE_OF_HEAD: Final = {
    "client": Place.CLIENT,
    "socks": Place.SOCKS,
    "hostid": Place.HOSTID,
    "pass": Place.SOCKS,
    "block": Place.SOCKS,
    "route": Place.ROUTE,
    "monitor": Place.MONITOR,
}
#: Keywords that must follow each other, in this order.
_FROM_TO: Final = ("from", "to")
_FROM_TO_VIA: Final = ("from", "to", "via")

_HEADS: Final = ("client pass", "client block", "socks pass", "socks block", "route", "monitor")

_DEPRECATED: Final = (
    'keyword "{}" is deprecated - assuming the new keyword "{}" was meant.  Please update '
    "Dante's config file ({}) to use the new keyword as appropriate"
)
_IGNORED: Final = (
    'keyword "{}" is deprecated and no longer used.  Please remove the keyword from '
    "Dante's config file ({})"
)
_SWALLOWED: Final = (
    "a list keyword would have swallowed this brace in Dante, as a part of its value; here it "
    "closes the rule"
)


def parse_tree(source: Source, report: Report, program: Program) -> Tree:
    """The tree of a file; what could not be understood is in ``report`` and not in the tree."""
    return _Grammar(Lexer(source), report, program).file()


class _Grammar:
    def __init__(self, lexer: Lexer, report: Report, program: Program) -> None:
        self.lexer = lexer
        self.program = program
        self.report = report
        self.settings: list[Statement] = []
        self.blocks: list[Block] = []
        self.objects = 0  # that have begun, understood or not
        self.swallowed_at = -1  # where a brace that Dante swallows has closed a rule

    def file(self) -> Tree:
        lexer = self.lexer
        lexer.lines()
        while not lexer.finished:
            start = lexer.position
            head = lexer.take(_HEAD)
            if head is not None:
                self._object(head)
            else:
                self._setting()
            assert lexer.position > start, "the grammar must get on"
            lexer.lines()
        return Tree(tuple(self.settings), tuple(self.blocks))

    # Global settings

    def _setting(self) -> None:
        lexer = self.lexer
        brace = lexer.take(_CLOSE)
        if brace is not None:
            # Dante took the brace before for a value, and expects this one.
            if self.swallowed_at < 0:
                self.report.error(brace, 'unexpected "}": no rule is open')
            self.swallowed_at = -1
            return
        self.swallowed_at = -1
        try:
            statement = self._statement(Place.GLOBAL)
        except ConfigError as error:
            self.report.add_error(error)
            self._recover(error)
            return
        if statement is not None:
            self.settings.append(statement)

    def _recover(self, error: ConfigError) -> None:
        """Continue after an error in the global settings."""
        lexer = self.lexer
        if lexer.position == error.token.offset:
            lexer.position = max(error.token.end, lexer.position)
        lexer.skip_line(in_rule=False)
        if not error.token.text:
            self._skip_stray_value()

    def _skip_stray_value(self) -> None:
        """Skip a value on the line below its keyword: that is the same error."""
        lexer = self.lexer
        position = lexer.position
        lexer.lines()
        word = lexer.take(_KEYWORD)
        if word is None or find(word.text) is not None or lexer.peek() not in "\n \t":
            lexer.position = position
            return
        lexer.blanks()
        if lexer.peek() == "\n":
            return
        lexer.position = position

    def _unknown_object(self, word: Token) -> bool:
        """
        Whether ``word`` begins something with braces, such as ``clinet pass {``; if so it is
        read over, its contents too.
        """
        lexer = self.lexer
        start = lexer.position
        lexer.blanks()
        if lexer.peek() not in "{\n":
            lexer.take(_VERDICT)
        lexer.lines()
        opening = lexer.take(_OPEN)
        if opening is None or lexer.peek() == "{":  # "{{" is a template's
            lexer.position = start
            return False
        self.objects += 1
        self.report.error(
            word,
            f'unknown kind of rule "{word.text}"',
            "client pass, client block, socks pass, socks block, route or monitor",
            nearest(word.text, ("client", "socks", "route", "monitor", "pass", "block")),
        )
        while not lexer.finished:
            lexer.skip_line(in_rule=True)
            if lexer.take(_CLOSE) is not None:
                return True
            lexer.lines()
            if self._at_head():
                return True
        return True

    # Rules

    def _object(self, head: Token) -> None:
        self.swallowed_at = -1
        intact = self._first_on_line(head)
        place = _PLACE_OF_HEAD[head.text]
        verdict = Verdict.PASS
        if head.text in ("pass", "block"):
            verdict = Verdict(head.text)
            self.report.warning(
                head, _DEPRECATED.format(head.text, f"socks {head.text}", head.where.file)
            )
        elif place in (Place.CLIENT, Place.SOCKS, Place.HOSTID):
            self.lexer.blanks()
            word = self.lexer.take(_VERDICT)
            if word is None or word.text not in ("pass", "block"):
                found = word or self.lexer.unexpected()
                self.report.error(
                    found,
                    f'unexpected "{found.text}" after "{head.text}"'
                    if found.text
                    else f'no verdict after "{head.text}"',
                    '"pass" or "block"',
                    nearest(found.text, ("pass", "block")),
                )
                intact = False
            else:
                verdict = Verdict(word.text)
        self.objects += 1
        if not self._open(head, intact):
            return
        self._body(place, verdict, head, intact)

    def _first_on_line(self, head: Token) -> bool:
        line = self.report.source.line(head.where.line)[: head.where.column - 1]
        if not line.strip(" \t") or head.text in ("route", "monitor"):
            return True
        self.report.error(
            head, f'"{head.text}" must be the first word of its line', "a rule on a line of its own"
        )
        return False

    def _open(self, head: Token, intact: bool) -> bool:
        lexer = self.lexer
        before = lexer.position
        lexer.lines()
        if lexer.take(_OPEN) is not None:
            return True
        if intact:
            found = lexer.unexpected()
            self.report.error(
                found if found.text else head,
                f'unexpected "{found.text}"' if found.text else "the rule has no contents",
                '"{"',
            )
        lexer.position = before
        lexer.skip_line(in_rule=False)
        return False

    def _body(self, place: Place, verdict: Verdict, head: Token, intact: bool) -> None:
        lexer = self.lexer
        statements: list[Statement] = []
        while True:
            lexer.lines()
            close = lexer.take(_CLOSE)
            if close is not None:
                break
            if lexer.finished or self._at_head():
                close = lexer.unexpected()
                if intact or not lexer.finished:
                    self.report.error(
                        head,
                        f"the rule that begins here is not closed before line {close.where.line}",
                        '"}"',
                    )
                intact = False
                break
            start, errors = lexer.position, self.report.errors
            try:
                statement = self._statement(place)
                if statement is None:
                    intact = intact and self.report.errors == errors
                    continue
                self._check_order(statements, statement, place)
                statements.append(statement)
            except ConfigError as error:
                intact = False
                self.report.add_error(error)
                if lexer.position == start and lexer.peek() not in "}\n":
                    lexer.position += 1
                lexer.skip_line(in_rule=True)
        if intact:
            intact = self._check_complete(place, statements, close)
        self.blocks.append(Block(place, verdict, head, tuple(statements), close, intact))

    def _at_head(self) -> bool:
        """Whether the next rule begins here, although this one is still open."""
        lexer = self.lexer
        position = lexer.position
        head = lexer.take(_HEAD)
        lexer.lines()
        is_head = head is not None and (
            head.text in ("route", "monitor", "pass", "block") or lexer.take(_VERDICT) is not None
        )
        lexer.position = position
        return is_head

    def _check_order(self, before: list[Statement], new: Statement, place: Place) -> None:
        """:raises ConfigError: ``from``, ``to`` and ``via`` do not stand together in this order."""
        chain = _FROM_TO_VIA if place is Place.ROUTE else _FROM_TO
        last = before[-1].name if before else ""
        names = {statement.name for statement in before}
        if new.name in chain:
            if new.name in names:
                raise ConfigError(new.written, f'"{new.name}" is there twice', "it once")
            index = chain.index(new.name)
            if index and last != chain[index - 1]:
                raise ConfigError(
                    new.written,
                    f'"{new.name}" must follow directly after "{chain[index - 1]}"',
                    f'"{" … ".join(name + ":" for name in chain)}"',
                )
        elif last in chain[:-1]:
            following = chain[chain.index(last) + 1]
            raise ConfigError(
                new.written,
                f'"{new.name}" between "{last}" and "{following}"',
                f'"{following}:" directly after "{last}"',
            )

    def _check_complete(self, place: Place, statements: list[Statement], close: Token) -> bool:
        names = {statement.name for statement in statements}
        chain = _FROM_TO_VIA if place is Place.ROUTE else _FROM_TO
        for name in chain:
            if name not in names:
                self.report.error(close, f'the {place.value} has no "{name}"', f'"{name}: ADDRESS"')
                return False
        return True

    # Both

    def _statement(self, place: Place) -> Statement | None:
        """
        A keyword and its values; None: it was skipped, or its errors have been reported.

        :raises ConfigError: it cannot be understood.
        """
        lexer = self.lexer
        word = lexer.take(_KEYWORD)
        if word is None:
            found = lexer.unexpected()
            raise ConfigError(found, f'unexpected "{found.text}"', "a keyword")
        name = _BLANKS.sub(" ", word.text)
        row = find(name)
        if row is None:
            if place is Place.GLOBAL and self._unknown_object(word):
                return None
            raise self._unknown(word, place)
        keyword, parts = row
        self._check_place(keyword, word, place)
        errors = self.report.errors
        values = self._values(keyword, word, place)
        if self.report.errors > errors:
            self.report.attempted.add(present_name(name, place))
            return None
        if name in IGNORED:
            self.report.warning(word, _IGNORED.format(name, word.where.file))
            return None
        present = present_name(name, place)
        if name in DEPRECATED and present != name:
            self.report.warning(word, _DEPRECATED.format(name, present, word.where.file))
        return Statement(present, keyword, parts, word, values)

    def _unknown(self, word: Token, place: Place) -> ConfigError:
        self.report.attempted.add(word.text)
        names = names_for(place, self.program)
        if place is Place.GLOBAL:
            hint = nearest(word.text, [*names, *_HEADS])
        else:
            hint = nearest(word.text, names)
        if hint:
            self.report.attempted.add(hint)
        what = "a keyword" if place is not Place.GLOBAL else "a global keyword or a rule"
        return ConfigError(word, f'unknown keyword "{word.text}"', "" if hint else what, hint)

    def _check_place(self, keyword: Keyword, word: Token, place: Place) -> None:
        if place in keyword.places:
            if place is not Place.GLOBAL or not self.objects:
                return
            self.report.attempted.add(present_name(word.text, Place.GLOBAL))
            raise ConfigError(
                word,
                f'"{word.text}" after the first rule: global settings must come before the '
                "first rule",
            )
        if Place.GLOBAL in keyword.places:
            self.report.attempted.add(present_name(word.text, Place.GLOBAL))
        where = " or ".join(p.value for p in Place if p in keyword.places)
        here = "among the global settings" if place is Place.GLOBAL else f"in a {place.value}"
        raise ConfigError(
            word, f'"{word.text}" cannot stand {here}', f"it in the {where}".replace("the c", "a c")
        )

    def _values(self, keyword: Keyword, word: Token, place: Place) -> Values:
        lexer = self.lexer
        lexer.blanks()
        reader = Reader(lexer, self.report, place is not Place.GLOBAL, is_keyword, self.program)
        if not isinstance(keyword.argument, Nothing) and lexer.take(_COLON) is None:
            self.report.attempted.add(word.text)
            raise ConfigError(word, f'no colon after "{word.text}"', f'"{word.text}: …"')
        try:
            values = keyword.argument.read(reader)
        except ConfigError:
            self.report.attempted.add(present_name(word.text, place))
            raise
        if reader.swallowed:
            self.report.advice(lexer.token(lexer.position, lexer.position + 1), _SWALLOWED)
            self.swallowed_at = lexer.position
        return values
