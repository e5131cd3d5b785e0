"""
Checks in environments of their own; ``nox -l`` lists them, ``nox -s quick`` takes under a minute.

Interpreters that this machine does not have are skipped.  The gate (``.ci/run``) needs none of
this; it is for those who change the code, and for releases.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["quick"]

#: CPythons that are supported.
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
#: The oldest Twisted that ``setup.py`` allows.
OLDEST_TWISTED = "24.7"
#: All tests that start no server.
UNIT_TESTS = ".ci/unit-tests"


def unit_tests(session: nox.Session) -> None:
    """All tests but the scenarios; or those that the command line names."""
    names = session.posargs or session.run(UNIT_TESTS, silent=True, external=True).split()
    session.run("trial", "-j2", "--temp-directory", f"_trial_temp_{session.name}", *names)


@nox.session(python="3.11")
def quick(session: nox.Session) -> None:
    """Style, types, and the tests of what is pure: less than a minute."""
    session.install("-e", ".[test,lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "--strict", "-p", "dantetw")
    pure = ["tests.wire", "tests.rules", "tests.config", "tests.observe", "tests.test_layering"]
    session.run("trial", "-j2", "--temp-directory", "_trial_temp_quick", *pure)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The unit tests, with the newest Twisted."""
    session.install("-e", ".[test]", "--upgrade-strategy", "eager", "--upgrade")
    unit_tests(session)


@nox.session(python="3.11")
def oldest(session: nox.Session) -> None:
    """The unit tests, with the oldest supported Twisted."""
    session.install("-e", ".[test]", f"twisted=={OLDEST_TWISTED}.*")
    unit_tests(session)


@nox.session(python="pypy3.11")
def pypy(session: nox.Session) -> None:
    """The unit tests, on PyPy; ``.ci/pypy`` runs whole servers on it."""
    session.install("-e", ".[test]")
    unit_tests(session)


@nox.session(python="3.11")
def scenarios(session: nox.Session) -> None:
    """Whole servers and real clients; what is not installed is skipped."""
    session.install("-e", ".[test]")
    session.run("trial", "-j2", *(session.posargs or ["tests.scenarios"]))


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Style."""
    session.install("-e", ".[lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(python="3.11")
def types(session: nox.Session) -> None:
    """Types."""
    session.install("-e", ".[lint]")
    session.run("mypy", "--strict", "-p", "dantetw")


@nox.session(python="3.11")
def docs(session: nox.Session) -> None:
    """The documentation, in which each warning is an error."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-q", "-W", "--keep-going", "-b", "html", "docs", "build/docs")


@nox.session(python="3.11")
def coverage(session: nox.Session) -> None:
    """Coverage by the unit tests; all branches of the pure layers are required."""
    session.install("-e", ".[test,lint]")
    session.run(".ci/coverage", *session.posargs, external=True)


@nox.session(python="3.11")
def fuzz(session: nox.Session) -> None:
    """Each fuzz target for a minute, or for as many seconds as the command line says."""
    session.install("-e", ".[test,fuzz]")
    seconds = session.posargs[0] if session.posargs else "60"
    for target in ("wire", "configuration"):
        session.run("python", "-m", f"fuzz.{target}", f"-max_total_time={seconds}")
