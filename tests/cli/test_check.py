"""Tests of :mod:`dantetw.cli.check`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dantetw.cli import check as checking
from tests.config.fakes import HEAD, RULES, SYSTEM

GOOD = HEAD + RULES
WARNED = "iotimeout: 5\n" + GOOD
WRONG = GOOD + "socks pass { from: 0/0 to: nowhere/99 }\n"
PROBLEM = {
    "severity",
    "file",
    "line",
    "column",
    "token",
    "text",
    "expected",
    "hint",
    "ours",
    "unbuilt",
}


class CheckTests(SynchronousTestCase):
    """``sockd check``."""

    def setUp(self) -> None:
        self.out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
        self.err = io.StringIO()

    def run_check(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        self.setUp()
        given = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
        status = checking.main(arguments, SYSTEM, given, self.out, self.err)
        self.out.flush()
        raw = self.out.buffer
        assert isinstance(raw, io.BytesIO)
        return status, raw.getvalue().decode(), self.err.getvalue()

    def write(self, text: str | bytes) -> str:
        """A file with this text."""
        path = Path(self.mktemp())
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def json(self, *arguments: str, stdin: bytes = b"") -> Any:
        """What ``--json`` prints."""
        return json.loads(self.run_check("--json", *arguments, stdin=stdin)[1])

    def test_statuses(self) -> None:
        """0 without errors, 1 if warnings count and there are some, 2 with errors."""
        for text, plain, strict in ((GOOD, 0, 0), (WARNED, 0, 1), (WRONG, 2, 2)):
            path = self.write(text)
            for form in ([], ["--json"]):
                self.assertEqual(self.run_check("-f", path, *form)[0], plain)
                self.assertEqual(self.run_check("-f", path, "--strict", *form)[0], strict)

    def test_text(self) -> None:
        """The text is that of ``-V``, or says that there are no faults."""
        good, wrong = self.write(GOOD), self.write(WRONG)
        self.assertEqual(self.run_check("-f", good), (0, f"{good}: no faults\n", ""))
        _, out, err = self.run_check("-f", wrong)
        self.assertIn(f"{wrong}:10:36: error: ", out)
        self.assertTrue(out.endswith(f"error: {wrong}: 1 error\n"), out)
        self.assertEqual(err, "")

    def test_several(self) -> None:
        """Several files are checked in order, and the worst decides."""
        good, wrong = self.write(GOOD), self.write(WRONG)
        status, out, _ = self.run_check("-f", wrong, "-f", good)
        self.assertEqual(status, 2)
        self.assertTrue(out.endswith(f"{good}: no faults\n"))
        files = self.json("-f", good, "-f", wrong)["files"]
        self.assertEqual([each["errors"] for each in files], [0, 1])

    def test_standard_input(self) -> None:
        """``-`` is the standard input."""
        status, out, _ = self.run_check("-f", "-", stdin=GOOD.encode())
        self.assertEqual((status, out), (0, "(standard input): no faults\n"))
        self.assertEqual(self.run_check("-f", "-", stdin=b"x" * (2 << 20))[0], 2)

    def test_absent(self) -> None:
        """A file that cannot be read is an error about the file as a whole."""
        (file,) = self.json("-f", "/nonexistent")["files"]
        (problem,) = file["problems"]
        self.assertEqual((problem["line"], problem["column"]), (None, None))
        self.assertEqual(problem["severity"], "error")

    def test_json(self) -> None:
        """The object has the documented keys, and counts what is in it."""
        path = self.write("iotimeout: 5\nrealmm: x\nresolveprotocol: tcp\n" + GOOD)
        told = self.json("-f", path)
        self.assertEqual(set(told), {"version", "files"})
        self.assertEqual(told["version"], 1)
        (file,) = told["files"]
        keys = {"file", "errors", "unbuilt", "warnings", "notices", "problems"}
        self.assertEqual(set(file), keys)
        self.assertEqual(file["file"], path)
        for severity in ("error", "warning", "notice"):
            count = sum(problem["severity"] == severity for problem in file["problems"])
            self.assertEqual(file[f"{severity}s"], count)
        for problem in file["problems"]:
            self.assertEqual(set(problem), PROBLEM)
        problem = next(p for p in file["problems"] if p["token"] == "realmm")
        self.assertEqual((problem["line"], problem["column"], problem["hint"]), (2, 1, "realm"))

    def test_json_bytes(self) -> None:
        """Bytes that are no UTF-8 stand in the JSON as escapes."""
        (file,) = self.json("-f", "-", stdin=b"n\xff\xe9: 1\n")["files"]
        self.assertEqual(file["problems"][0]["token"], "n\\xff\\xe9")

    def test_terminal(self) -> None:
        """What the terminal's encoding lacks is escaped, not an error."""
        self.out = io.TextIOWrapper(io.BytesIO(), "ascii", write_through=True)
        given = io.TextIOWrapper(io.BytesIO("späm: 1\n".encode()))
        status = checking.main(["-f", "-"], SYSTEM, given, self.out, self.err)
        raw = self.out.buffer
        assert isinstance(raw, io.BytesIO)
        self.assertEqual(status, 2)
        self.assertIn(b'"sp\\xe4m"', raw.getvalue())

    def test_migrate(self) -> None:
        """``--migrate`` prints the file, byte for byte but for what is old."""
        old = b"iotimeout: 5 # \xff\r\n" + GOOD.encode()
        path = self.write(old)
        self.assertEqual(checking.main(["--migrate", "-f", path], SYSTEM, *self.streams()), 0)
        raw = self.out.buffer
        assert isinstance(raw, io.BytesIO)
        self.assertEqual(raw.getvalue(), old.replace(b"iotimeout", b"timeout.io"))
        self.assertEqual(self.err.getvalue(), "")
        self.assertEqual(Path(path).read_bytes(), old)

    def test_migrate_with_errors(self) -> None:
        """Errors that are left in the migrated file are printed, and the exit status is 2."""
        path = self.write(GOOD.replace("external: lo", "external: default"))
        self.assertEqual(self.run_check("-f", path)[0], 2)
        status, out, err = self.run_check("--migrate", "-f", path)
        self.assertEqual((status, out), (2, Path(path).read_text("utf-8")))
        self.assertIn('could not resolve hostname "default"', err)

    def streams(self) -> tuple[io.TextIOWrapper, io.TextIOWrapper, io.StringIO]:
        """Standard input, output and error."""
        return io.TextIOWrapper(io.BytesIO()), self.out, self.err

    def test_migrate_wrong(self) -> None:
        """Of a file that cannot be understood, or is not there, nothing is printed but why."""
        for path in (self.write("nonsense\n"), "/nonexistent"):
            status, out, err = self.run_check("--migrate", "-f", path)
            self.assertEqual((status, out), (2, ""))
            self.assertIn(path, err)

    def test_usage(self) -> None:
        """Arguments that make no sense: status 2 and a word on standard error."""
        path = self.write(GOOD)
        for arguments in (
            ["--nonsense"],
            ["-f"],
            ["more"],
            ["--migrate", "--json", "-f", path],
            ["--migrate", "-f", path, "-f", path],
        ):
            status, out, err = self.run_check(*arguments)
            self.assertEqual((status, out), (2, ""), arguments)
            self.assertNotEqual(err, "")
        self.assertEqual(self.run_check("--help")[0], 0)
