"""
What the server costs, beside Dante and microsocks where they are installed.

``python -m benchmarks`` from the root of the source measures it all, in about eight minutes, and
prints a table; with ``--write`` the table goes into ``docs/benchmarks.rst``, and a plot becomes
``docs/benchmarks.svg``.  ``--quick`` takes half a minute, to see that it works.

In each round every server is started anew and does all there is to do, one after the other; each
figure is the median of all rounds, each ratio that of the ratios within a round.  dantetw works by
itself and, where there are several processors, with a worker for each.  It and Dante log
``connect disconnect error`` to a file.  Exit status 1 if a session of dantetw failed.

``--pypy /path/to/bin/pypy3`` measures it on that PyPy too, where ``pip`` has installed it
(``docs/deploying.rst``, "PyPy"); what is measured there has been done three times before, since a
server that has run for a minute is what there is to know of one that runs for months.
``--beside 'NAME=COMMAND'`` measures another server too, with ``{config}`` for the name of its
configuration and ``{port}`` for where it listens.  Needs a C compiler.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import dantetw
import twisted
from benchmarks.destinations import DEADLINE, ROOT, Destination
from benchmarks.figures import Figures, inserted, table
from benchmarks.load import Load, build
from benchmarks.measures import FULL, MEASURES, QUICK, Effort
from benchmarks.plot import plot
from benchmarks.server import DANTED, DANTETW, MICROSOCKS, Server
from benchmarks.setups import USUAL

#: The document that has the table and the plot.
_DOCUMENT: Final = "docs/benchmarks.rst"
_PLOT: Final = "docs/benchmarks.svg"
#: Times that a warm server has done the same before.
_WARMING: Final = 3
#: PyPy's own figure for new objects, which goes by the processor's cache, is a thousand sessions.
_PYPY: Final = "env PYPY_GC_NURSERY=16M {twistd} -n --pidfile= sockd --config {{config}}"
_TITLE: Final = "Cost of each unit of work, in multiples of dantetw's: shorter is cheaper"


def contenders() -> dict[str, str]:
    """Command lines of the servers that are installed, by name: ours first."""
    name, processors = f"dantetw {dantetw.__version__}", len(os.sched_getaffinity(0))
    found = {name: DANTETW}
    if processors > 1:
        found[f"{name} -N {processors}"] = f"{DANTETW} --workers {processors}"
    if shutil.which("danted"):
        told = subprocess.run(["danted", "-v"], capture_output=True, text=True, check=False)
        version = re.search(r"v([\d.]*\d)", told.stdout + told.stderr)
        found[f"Dante {version[1] if version else ''}".strip()] = DANTED
    if shutil.which("microsocks"):
        found["microsocks"] = MICROSOCKS
    return found


def machine() -> str:
    """What it was measured on."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            model = value.strip()
            break
    megahertz = re.search(r"^cpu MHz\s*: (\d+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    speed = f" at {int(megahertz[1]) / 1000:.1f} GHz" if megahertz else ""
    return (
        f"{os.cpu_count()} cores of {model}{speed}, Linux {platform.release()},"
        f" {platform.python_implementation()} {platform.python_version()},"
        f" Twisted {twisted.__version__}"
    )


def _turn(
    figures: Figures, command: str, folder: Path, load: Load, effort: Effort, warm: bool
) -> None:
    """
    One server's turn in a round.

    :param warm: it is to be warm when it is measured.
    """
    begun = time.monotonic()
    server = Server(command, folder, [Destination(folder)], USUAL)
    try:
        with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
            client.sendall(b"\x05\x01\x00")
            client.recv(2)
            waited = time.monotonic() - begun
        figures.add({"start.wait": 1000 * waited, "start.cost": 1000 * server.cpu()})
        # Processes that are made in advance, and whatever else is made when first used.
        load.run(server.port, effort.sessions // 10)
        for name, measure in MEASURES.items():
            if name == "udp" and command == MICROSOCKS:
                continue  # knows no datagrams
            for _ in range(_WARMING if warm else 0):
                measure(server, load, effort)
            found, failed = measure(server, load, effort)
            figures.add(found)
            figures.failed += failed
    finally:
        server.kill()
        (folder / "log").unlink(missing_ok=True)


def _write(text: str, image: str, notes: str) -> None:
    (ROOT / _PLOT).write_text(image, encoding="utf-8")
    path = ROOT / _DOCUMENT
    link = os.path.relpath(ROOT / _PLOT, path.parent)
    shown = f".. image:: {link}\n   :alt: {_TITLE}\n\n{text}\n\n{notes}"
    path.write_text(inserted(path.read_text("utf-8"), shown), encoding="utf-8")


def main() -> int:
    """Measure; the exit status."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, help=f"{FULL.rounds}")
    parser.add_argument("--write", action="store_true", help="write documents and plot")
    parser.add_argument("--pypy", metavar="INTERPRETER", help="on PyPy too")
    parser.add_argument("--beside", action="append", default=[], metavar="NAME=COMMAND")
    options = parser.parse_args()
    effort = QUICK if options.quick else FULL
    rounds = options.rounds or effort.rounds
    commands = contenders()
    warm = f"dantetw {dantetw.__version__} on PyPy"
    if options.pypy:
        commands[warm] = _PYPY.format(twistd=Path(options.pypy).parent / "twistd")
    for one in options.beside:
        name, _, command = one.partition("=")
        if not shlex.split(command):
            parser.error(f"--beside {one!r}: no command")
        commands[name] = command
    figures = {name: Figures(name) for name in commands}
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder_:
        folder = Path(folder_)
        # Servers become somebody else.
        folder.chmod(0o777)
        load = Load(build(folder))
        try:
            for number in range(rounds):
                for name, command in commands.items():
                    print(f"round {number + 1} of {rounds}: {name}", flush=True)
                    _turn(figures[name], command, folder, load, effort, name == warm)
        finally:
            load.stop()
    servers = list(figures.values())
    text = table(servers)
    notes = (
        f"{time.strftime('%Y-%m-%d')}: medians of {rounds} rounds; load before: {busy:.1f}",
        machine(),
    )
    print("", text, "", *notes, sep="\n")
    for one in servers:
        if one.failed:
            print(f"{one.name}: {one.failed} sessions failed")
    if options.write:
        _write(text, plot(servers, _TITLE, notes), "; ".join(notes) + ".")
    return bool(servers[0].failed)


if __name__ == "__main__":
    raise SystemExit(main())
