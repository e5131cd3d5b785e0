"""
Run one server with a configuration and requests, in namespaces of its own
(:manpage:`namespaces(7)`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dantetw
from tests.differential import world
from tests.differential.requests import Asking
from tests.scenarios.running import SOCKD

_ROOT = Path(dantetw.__file__).resolve().parents[1]
#: What starts each server, given its configuration.
DANTED = ("danted", "-f", "{config}", "-p", "{folder}/pid")
OURS = (*SOCKD, "-N", "1", "-f", "{config}", "-p", "{folder}/pid")
_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What came of it.

    :ivar seen: what each client saw, by number: :class:`.inside.Seen` as a dictionary.
    :ivar log: the log's text, which names files in ``folder``.
    :ivar failed: why there is neither; empty: there is.
    """

    seen: dict[int, dict[str, Any]]
    log: str
    folder: Path
    failed: str = ""


def missing() -> str:
    """Why this cannot be run here; empty: it can."""
    if not sys.platform.startswith("linux"):
        return "namespaces are Linux's"
    if os.geteuid() != 0:
        return "only root can do this"
    for name in ("danted", "unshare", "ip", "mount"):
        if shutil.which(name) is None:
            return f"{name} is not installed"
    tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    return f"no namespaces can be had: {tried.stderr.strip()}" if tried.returncode else ""


def start(
    folder: Path, text: str, plan: Sequence[Asking], command: Sequence[str], patience: float = 0.25
) -> subprocess.Popen[str]:
    """
    Start a server and its clients.

    :param folder: empty, for all files of this run.
    :param text: the configuration, which logs to ``FOLDER/log`` of this folder.
    :param command: :data:`DANTED`, :data:`OURS` or another.
    :param patience: seconds to wait for what may come or not.
    """
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "etc").mkdir()
    for name, content in world.files().items():
        (folder / "etc" / name).write_text(content)
    config = folder / "sockd.conf"
    config.write_text(text)
    (folder / "plan.json").write_text(json.dumps([asking.plain() for asking in plan]))
    words = [word.format(config=config, folder=folder) for word in command]
    script = "\n".join([*world.commands(str(folder)), 'exec "$@"'])
    inside = (sys.executable, "-m", "tests.differential.inside", str(folder), str(patience), *words)
    return subprocess.Popen(
        [*_UNSHARE, "sh", "-c", script, "sh", *inside],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(_ROOT), *sys.path))},
        cwd=_ROOT,
    )


def finish(folder: Path, running: subprocess.Popen[str]) -> Outcome:
    """Wait for the end of what :func:`start` started."""
    output, _ = running.communicate()
    result = folder / "result.json"
    if not result.exists():
        return Outcome({}, "", folder, output or "ended without a result")
    found = json.loads(result.read_text())
    return Outcome({each["number"]: each for each in found["seen"]}, found["log"], folder)
