"""Tests of the container image: what ``packaging/Dockerfile`` and ``.dockerignore`` promise."""

from __future__ import annotations

import fnmatch
import json
import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from dantetw.catalogue import PROGRAM
from dantetw.cli import main as cli
from dantetw.config import parse
from dantetw.values import Method
from tests.session.world import Machine

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "packaging" / "Dockerfile"


def name_of(requirement: str) -> str:
    """The package that a requirement is about, in one spelling (:pep:`503`)."""
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def ignored(path: str, patterns: list[str]) -> bool:
    """Whether a file is left out: the last pattern that fits it, or a folder above it, decides."""
    parts = path.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    out = False
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        anywhere = bare.removeprefix("**/")
        if bare == anywhere:
            # A "*" does not fit a "/".
            fits = any(
                fnmatch.fnmatch(each, bare) and each.count("/") == bare.count("/") for each in above
            )
        else:
            fits = any(fnmatch.fnmatch(part, anywhere) for part in parts)
        if fits:
            out = not pattern.startswith("!")
    return out


class ImageTests(SynchronousTestCase):
    """What the image is made of."""

    def setUp(self) -> None:
        if not DOCKERFILE.exists():
            raise SkipTest("the image's files are not here")
        self.text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
        self.lines = [line for line in self.text.splitlines() if line and not line.startswith("#")]

    def values(self, word: str) -> list[str]:
        """What stands behind an instruction, each time."""
        return [line.partition(" ")[2] for line in self.lines if line.startswith(f"{word} ")]

    def test_base(self) -> None:
        """The base image is pinned to a whole version, the same for both stages."""
        (base,) = (value for value in self.values("ARG") if value.startswith("BASE="))
        self.assertRegex(base, r"^BASE=[a-z]+:\d+\.\d+\.\d+-slim-[a-z]+$")
        self.assertEqual({value.split()[0] for value in self.values("FROM")}, {"${BASE}"})

    def test_constraints(self) -> None:
        """Every library is pinned, with those it takes itself, and installed by that list."""
        text = (ROOT / "packaging" / "constraints.txt").read_text()
        pinned = dict(re.findall(r"^([\w.-]+)==([\w.]+)$", text, re.MULTILINE))
        rows = [row for row in text.splitlines() if row and not row.startswith("#")]
        self.assertEqual(len(rows), len(pinned))
        needed, left = {"setuptools"}, ["dantetw[users,pam]"]
        while left:
            name = name_of(left.pop())
            try:
                wanted = requires(name) or []
            except PackageNotFoundError:
                continue
            for requirement in wanted:
                extra = re.search(r"extra == ['\"](\w+)", requirement)
                if extra is None or (name == "dantetw" and extra[1] in ("users", "pam")):
                    if "; python_version" in requirement or "sys_platform" in requirement:
                        continue
                    if name_of(requirement) not in needed:
                        needed.add(name_of(requirement))
                        left.append(requirement)
        installed = {name for name in needed if self.is_installed(name)}
        self.assertLessEqual(installed, {name_of(name) for name in pinned})
        for command in re.findall(r"pip install [^&]+", self.text):
            self.assertIn("-c /src/packaging/constraints.txt", command)

    def is_installed(self, name: str) -> bool:
        """Whether this interpreter has a library."""
        try:
            version(name)
        except PackageNotFoundError:
            return False
        return True

    def test_context(self) -> None:
        """The image gets what setup.py needs, and neither history, environments nor caches."""
        patterns = [
            line
            for line in (ROOT / ".dockerignore").read_text().splitlines()
            if line and not line.startswith("#")
        ]
        for path in (
            ".git/config",
            ".venv/bin/python",
            "sockd.conf",
            "users",
            "tests/__init__.py",
            "benchmarks/x.py",
            "dantetw/__pycache__/tap.cpython-311.pyc",
            "dantetw/x.pyc",
            "twisted/plugins/dropin.cache",
            "packaging/container.conf",
            ".env",
        ):
            self.assertTrue(ignored(path, patterns), path)
        for path in (
            "README.rst",
            "setup.py",
            "pyproject.toml",
            "dantetw/py.typed",
            "packaging/constraints.txt",
            "twisted/plugins/dantetw_sockd.py",
            *(str(path.relative_to(ROOT)) for path in (ROOT / "dantetw").rglob("*.py")),
        ):
            self.assertFalse(ignored(path, patterns), path)

    def test_user(self) -> None:
        """It runs as nobody, by number, and its port is one that nobody may bind."""
        self.assertEqual(self.values("USER"), ["65534:65534"])
        (port,) = self.values("EXPOSE")
        self.assertGreater(int(port.partition("/")[0]), 1023)

    def test_commands(self) -> None:
        """The server and the health check read the same file, by flags that there are."""
        (entry,), (arguments,) = self.values("ENTRYPOINT"), self.values("CMD")
        (check,) = self.values("HEALTHCHECK")
        start = json.loads(entry) + json.loads(arguments)
        self.assertEqual(start, ["sockd", "-p", "", "-f", "/etc/sockd.conf"])
        self.assertEqual(json.loads(check.partition("CMD ")[2])[:2], ["sockd", "health"])
        self.assertEqual(json.loads(check.partition("CMD ")[2])[2:], start[3:])
        self.assertIn("sockd health", cli.USAGE)

    def test_example(self) -> None:
        """The example has users log in, has no warning of its own, and logs no health checks."""
        data = (ROOT / "packaging" / "container.conf").read_bytes()
        parsed = parse(data, "container.conf", Machine(), PROGRAM)
        policy = parsed.policy
        assert policy is not None, parsed.problems
        warnings = [problem.text for problem in parsed.problems if problem.where.line]
        self.assertEqual(warnings, [])
        for rule in policy.socks_rules:
            self.assertEqual(rule.socks_methods, (Method.USERNAME,))
        self.assertEqual(policy.client_rules[0].source.text, "127.0.0.1/32")
        self.assertEqual(policy.client_rules[0].log, 0)
        page = (ROOT / "docs" / "deploying.rst").read_text()
        self.assertLess(page.index("**Logins first.**"), page.index("docker run -d"))
