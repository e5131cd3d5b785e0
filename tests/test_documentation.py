"""What the documents say is what the code does, and the other way round."""

from __future__ import annotations

import ast
import inspect
import io
import re
from pathlib import Path
from types import ModuleType

from docutils.core import publish_doctree
from twisted.trial.unittest import SynchronousTestCase

from dantetw import catalogue, tap
from dantetw.catalogue import PROGRAM
from dantetw.cli import check as checking
from dantetw.cli import health
from dantetw.cli import main as cli
from dantetw.cli import users as useradmin
from dantetw.cli.explain import command as explaining
from dantetw.config import UNSUPPORTED, parse
from dantetw.config.keywords.filters import LEVEL_NAMES
from dantetw.config.lookup import is_keyword
from dantetw.net.host import Host
from dantetw.process import signals
from dantetw.tap import Options
from dantetw.values import Severity
from tests import differing
from tests.session.world import Machine

ROOT = Path(__file__).parent.parent
PAGES = sorted((*(ROOT / "docs").glob("*.rst"), *(ROOT / "docs/decisions").glob("*.rst")))
DOCUMENTS = [*sorted(ROOT.glob("*.rst")), *PAGES]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(name: str, title: str) -> str:
    """A document's text from one title to the next of the same kind."""
    text = text_of(name)
    found = re.search(rf"^{re.escape(title)}\n([=~-])\1+\n", text, re.MULTILINE)
    assert found, title
    rest = text[found.end() :]
    after = re.search(rf"^.+\n\{found[1]}{{4,}}\n", rest, re.MULTILINE)
    return rest[: after.start()] if after else rest


def codes_in_code() -> set[str]:
    """Identifiers of all messages made anywhere in the package."""
    codes = set()
    for path in (ROOT / "dantetw").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and len(node.args) == 3:
                function, code = node.func, node.args[1]
                name = getattr(function, "attr", getattr(function, "id", ""))
                if name in ("message", "messages", "Message") and isinstance(code, ast.Constant):
                    codes.add(code.value)
    return codes


def statuses_in(*modules: ModuleType) -> set[int]:
    """The constants with which the modules end a process, or end ``main``."""
    found = set()
    for module in modules:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            value = None
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                if getattr(node.exc.func, "id", "") == "SystemExit":
                    value = node.exc.args[0]
            elif isinstance(node, ast.Return):
                value = node.value
            for part in ast.walk(value) if value is not None else ():
                # Not True and False, nor the numbers inside of an expression about something else.
                if isinstance(part, ast.Constant) and type(part.value) is int:
                    found.add(part.value)
    return found


class CatalogueTests(SynchronousTestCase):
    """The catalogue, the code and the documents name the same things."""

    def test_messages_in_code(self) -> None:
        """Every message's identifier is in the catalogue, and none is there in vain."""
        self.assertEqual(codes_in_code(), set(catalogue.MESSAGES))

    def test_messages_in_documents(self) -> None:
        """The documents list each identifier with the catalogue's words."""
        told = section("docs/log-warnings.rst", "Messages of the server")
        rows = dict(re.findall(r"\* - ``(\S+)``\n     - (.+)", told))
        self.assertEqual(rows, dict(catalogue.MESSAGES))

    def test_methods(self) -> None:
        """The documents list the authentication methods that are built."""
        told = section("docs/authentication.rst", "Methods")
        rows = set(re.findall(r"^``(\S+)`` ", told, re.MULTILINE))
        self.assertEqual(rows, {method.value for method in catalogue.methods()})

    def test_commands(self) -> None:
        """The documents say of each request command whether it is built."""
        told = section("docs/unsupported.rst", "Accepted, but not done yet")
        unbuilt = set(re.findall(r"``command: (bind|udpassociate|connect)``", told))
        built = {command.value for command in catalogue.commands()}
        self.assertEqual(unbuilt | built, {"connect", "bind", "udpassociate"})
        self.assertEqual(unbuilt & built, set())

    def test_formats(self) -> None:
        """The documents name the formats that are built."""
        told = section("docs/logging.rst", "Form of a line")
        sentence = re.sub(r"\s+", " ", told).strip().partition(". ")[0]
        self.assertEqual(set(re.findall(r"``(\w+)``", sentence)), set(catalogue.FORMATS))

    def test_sinks(self) -> None:
        """The documents' list of log destinations has examples of each kind, and only of those."""
        told = section("docs/logging.rst", "Destinations")
        table = re.split(r"^=[= ]+=$", told, flags=re.MULTILINE)[1]
        rows = re.findall(r"^(\S.*?)  +\S", table, re.MULTILINE)
        names = {"anything else": "file", "syslog/NAME": "syslog"}
        names |= {f"syslog+{transport}://…": "remote" for transport in ("udp", "tcp")}
        words = [names.get(row.strip("`"), row.strip("`")) for row in rows]
        modules = {"stdout": "stdio", "stderr": "stdio", "syslog": "syslog", "file": "file"}
        built = [kind.open.__module__.rpartition(".")[2] for kind in catalogue.SINKS]
        self.assertEqual({modules.get(word, word) for word in words}, set(built))


class RunningTests(SynchronousTestCase):
    """``docs/running.rst`` has all flags, options and signals."""

    def test_flags(self) -> None:
        """Every flag that ``sockd -h`` shows is documented, and no other."""
        shown = set(re.findall(r"^   (-\w)", cli.USAGE, re.MULTILINE))
        told = section("docs/running.rst", "Flags of ``sockd``")
        self.assertEqual(set(re.findall(r"^``(-\w)", told, re.MULTILINE)), shown)

    def test_options(self) -> None:
        """Every option of ``twistd sockd`` is documented, and no other."""
        names = {f"--{row[0]}" for row in (*Options.optParameters, *Options.optFlags)}
        told = section("docs/running.rst", "Options of ``twistd sockd``")
        self.assertEqual(set(re.findall(r"^``(--[\w-]+)", told, re.MULTILINE)), names)

    def test_signals(self) -> None:
        """Every signal the server reacts to is documented."""
        told = section("docs/running.rst", "Signals")
        for number in (*signals.STOPPING, *signals.STATUS):
            self.assertIn(number.name, told)
        self.assertIn("SIGHUP", told)

    def test_exit_statuses(self) -> None:
        """Every exit status that the code names is documented, and no other."""
        told = section("docs/running.rst", "Exit statuses")
        documented = {int(row) for row in re.findall(r"^(\d+) ", told, re.MULTILINE)}
        self.assertEqual(documented, statuses_in(cli, tap, useradmin, checking, explaining, health))

    def test_environment(self) -> None:
        """The variable that ``sockd.tac`` looks at is documented."""
        (name,) = re.findall(r'environ\.get\("(\w+)"\)', text_of("sockd.tac"))
        self.assertIn(f"``{name}``", text_of("docs/running.rst"))

    def test_unit(self) -> None:
        """The unit and the container start the server with flags that there are."""
        unit = text_of("packaging/sockd.service")
        starts = re.findall(r"^Exec\w+=\S+/sockd (.+)$", unit, re.MULTILINE)
        self.assertEqual(len(starts), 3)
        starts.append(" ".join(re.findall(r'"([^"]*)"', text_of("packaging/Dockerfile")[-200:])))
        known = set(re.findall(r"^   (-\w)", cli.USAGE, re.MULTILINE))
        for start in starts:
            self.assertLessEqual(set(re.findall(r"(?<!\S)-\w+", start)), known, start)

    def test_readme_command(self) -> None:
        """The README has one command for the tests, in the form in which the gate looks for it."""
        (pattern,) = re.findall(r"grep '(.+)' README.rst", text_of(".ci/run"))
        commands = re.findall(f"^.*{pattern}", text_of("README.rst"), re.MULTILINE)
        self.assertEqual(len(commands), 1)
        self.assertIn("pip install -q -e '.[test]'", commands[0])


class CommandsTests(SynchronousTestCase):
    """``docs/commands.rst`` shows what the commands say."""

    def options(self, title: str) -> set[str]:
        """The options that a section documents."""
        told = section("docs/commands.rst", title)
        return set(re.findall(r"^``(--?\w+)`` ", told, re.MULTILINE))

    def test_options(self) -> None:
        """Every option of the commands is documented, and no other."""
        for title, parser in (
            ("Is it right: ``sockd check``", checking.parser()),
            ("Why was I blocked: ``sockd explain``", explaining.parser()),
            ("Does it answer: ``sockd health``", health.parser()),
        ):
            shown = set(re.findall(r"^  (--?\w+)", parser.format_help(), re.MULTILINE))
            self.assertEqual(self.options(title), shown - {"-h"})

    def test_examples(self) -> None:
        """The examples' output is what the commands print about the configuration shown."""
        blocks = re.findall(r"::\n\n((?:    .*\n|\n)+)", text_of("docs/commands.rst"))
        config, *examples = (re.sub(r"^    ", "", b, flags=re.MULTILINE) for b in blocks)
        Path("office.conf").write_text(config, encoding="utf-8")
        mains = {"check": checking.main, "explain": explaining.main}
        ran = []
        for example in examples:
            line, _, told = example.strip("\n").partition("\n")
            dollar, sockd, name, *arguments = line.split()
            self.assertEqual((dollar, sockd), ("$", "sockd"))
            if "|" in arguments:
                continue  # tests/test_migrating.py has it
            out, err = io.StringIO(), io.StringIO()
            mains[name](arguments, Machine(), io.StringIO(), out, err)
            self.assertEqual((out.getvalue().strip("\n"), err.getvalue()), (told, ""))
            ran.append(name)
        self.assertEqual(ran, ["check", "explain", "explain"])


class StatementTests(SynchronousTestCase):
    """What the documents say of single keywords is true."""

    #: Words before a colon that are no keywords: priorities, parts of lines, of programs' names.
    OTHERS = frozenset((*(name for name in LEVEL_NAMES), "port", "tcp_nodelay", "f", "sockd"))

    def test_keywords(self) -> None:
        """Every ``KEYWORD:`` in the documents is one."""
        for path in DOCUMENTS:
            text = re.sub(r"\s+", " ", path.read_text("utf-8"))
            for written in re.findall(r"``([a-z][\w.-]*)\s?:(?: [^`]*)?``", text):
                known = is_keyword(written) or written in self.OTHERS
                self.assertTrue(known, f"{path.name}: {written}")

    def test_differences(self) -> None:
        """Each row about the configuration has a file that shows it, and we read it as it says."""
        found = {row[0]: row for row in differing.rows("Configuration")}
        self.assertEqual(set(found), set(differing.SAMPLES))
        for name, sample in differing.SAMPLES.items():
            problems = parse(sample.data, "sockd.conf", Host(), PROGRAM).problems
            ours = (
                differing.ERROR
                if any(problem.is_error for problem in problems)
                else differing.WARNING
                if any(p.severity is Severity.WARNING and p.where.line for p in problems)
                else differing.FINE
            )
            self.assertEqual(ours, sample.ours, (name, problems))

    def test_unsupported(self) -> None:
        """A keyword whose row says so is not supported yet, and one that is has no such row."""
        for title in ("Configuration", "Wire", "Logging", "Operation"):
            for row in differing.rows(title):
                for keyword in re.findall(r"``([a-z][\w.-]*)(?::[^`]*)?``", row[0]):
                    if is_keyword(keyword):
                        said = "not supported yet" in row[2]
                        self.assertEqual(said, keyword in UNSUPPORTED, row)

    def test_accepted(self) -> None:
        """What is accepted, but not done yet, is accepted."""
        told = section("docs/unsupported.rst", "Accepted, but not done yet")
        settings = re.findall(r"^   \* - ``([\w.]+)``$", told, re.MULTILINE)
        rows = re.findall(r"^   \* - (?!Setting)", told, re.MULTILINE)
        self.assertEqual(len(settings), len(rows))
        for setting in settings:
            sample = differing.with_settings(f"{setting}: nobody")
            self.assertIsNotNone(parse(sample.data, "sockd.conf", Host(), PROGRAM).policy, setting)


class FormTests(SynchronousTestCase):
    """The documents are in order as documents."""

    def test_syntax(self) -> None:
        """Every document is reStructuredText without a warning."""
        for path in DOCUMENTS:
            complaints = io.StringIO()
            settings = {"warning_stream": complaints, "syntax_highlight": "none"}
            publish_doctree(text_of(str(path.relative_to(ROOT))), settings_overrides=settings)
            self.assertEqual(complaints.getvalue(), "", path.name)

    def test_index(self) -> None:
        """The index leads to every document, and the README to the index."""
        names = {path.name for path in (ROOT / "docs").glob("*.rst")}
        index = set(re.findall(r"<([\w-]+\.rst)>`_", text_of("docs/index.rst")))
        self.assertEqual(index, names - {"index.rst"})
        readme = set(re.findall(r"<docs/([\w-]+\.rst)>`_", text_of("README.rst")))
        self.assertIn("index.rst", readme)

    def test_decisions(self) -> None:
        """Their index leads to every decision record."""
        names = {path.name for path in (ROOT / "docs/decisions").glob("*.rst")}
        index = set(re.findall(r"<([\w-]+\.rst)>`_", text_of("docs/decisions/index.rst")))
        self.assertEqual(index, names - {"index.rst"})

    def test_files(self) -> None:
        """Files of the source that the documents name are there."""
        pattern = r"``((?:dantetw|tests|packaging|benchmarks|docs|\.ci)/[\w./-]+)``"
        for path in DOCUMENTS:
            for name in re.findall(pattern, path.read_text("utf-8")):
                found = ROOT / name
                # A folder that has been removed may still hold compiled modules.
                there = any(found.glob("*.*")) if found.is_dir() else found.exists()
                self.assertTrue(there, f"{path.name}: {name}")
        for path in (ROOT / "docs/development.rst", *(ROOT / "docs/decisions").glob("*.rst")):
            for name in re.findall(r"``([a-z_]+/[\w/]+\.py)``", path.read_text("utf-8")):
                there = (ROOT / name).exists() or (ROOT / "dantetw" / name).exists()
                self.assertTrue(there, f"{path.name}: {name}")

    def test_links(self) -> None:
        """Links between documents lead to files that are there."""
        for path in DOCUMENTS:
            for target in re.findall(r" <(?!https?:)(\S+)>`_", path.read_text("utf-8")):
                self.assertTrue((path.parent / target).exists(), f"{path.name}: {target}")
