"""Run both servers; see :mod:`tests.differential`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

from tests.differential import rules
from tests.differential.comparing import Difference, compare, strays
from tests.differential.known import why
from tests.differential.requests import request
from tests.differential.running import DANTED, OURS, Outcome, finish, missing, start

#: Requests of one start of the servers, and rules in its configuration.
BATCH, RULES = 100, 24
#: Seconds to wait for what may come or not, each time that something is not known.
PATIENCE = (0.25, 2.0)


def batch(
    folder: Path, seed: int, number: int, count: int, patience: float
) -> tuple[list[Difference], list[str]]:
    """
    Run both servers once.

    :param number: of the configuration; ``count``: of requests.
    :param patience: seconds to wait for what may come or not.
    :returns: the differences, and what else there is to say.
    """
    random = Random(f"{seed}/{number}")
    text = rules.configuration(random, "{log}", RULES)
    plan = [request(random, each) for each in range(count)]
    runs = {}
    for name, command in (("danted", DANTED), ("ours", OURS)):
        own = folder / name
        config = text.replace("{log}", str(own / "log"))
        runs[name] = own, start(own, config, plan, command, patience)
    outcomes: dict[str, Outcome] = {name: finish(*run) for name, run in runs.items()}
    said = [f"{name}: {each.failed}" for name, each in outcomes.items() if each.failed]
    if said:
        return [], said
    for name, outcome in outcomes.items():
        said += [f"{name}: {line}" for line in strays(plan, outcome)]
    return compare(plan, outcomes["danted"], outcomes["ours"], text), said


def settled(folder: Path, seed: int, number: int, count: int) -> tuple[list[Difference], list[str]]:
    """The same, with what is not known looked at again by and by: the machine may be busy."""
    lasting: set[int] | None = None
    for patience in PATIENCE:
        differences, said = batch(folder / str(patience), seed, number, count, patience)
        unknown = {each.asking.number for each in differences if not why(each)}
        lasting = unknown if lasting is None else lasting & unknown
        if said or not lasting:
            break
    kept = lasting or set()
    return [each for each in differences if why(each) or each.asking.number in kept], said


def main() -> int:
    """Compare, and tell what differs; 1 if anything does that is not known."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000, help="requests")
    parser.add_argument("--first", type=int, default=0, help="begin with this configuration")
    parser.add_argument("--keep", type=Path, help="keep configurations, plans and logs here")
    options = parser.parse_args()
    if lacking := missing():
        parser.error(lacking)
    folder = options.keep or Path(tempfile.mkdtemp())
    unknown, known = 0, Counter[str]()
    for number in range(options.first, options.first + -(-options.count // BATCH)):
        own = folder / f"{options.seed}-{number}"
        differences, said = settled(own, options.seed, number, min(BATCH, options.count))
        for line in said:
            print(f"[{options.seed}/{number}] {line}", flush=True)
        unknown += len(said)
        for difference in differences:
            if rows := why(difference):
                known.update(rows)
            else:
                unknown += 1
                print(f"[{options.seed}/{number}] {difference}", flush=True)
    for row, times in known.most_common():
        print(f"{times} times on purpose: {row}")
    print(f"{options.count} requests, {unknown} differences not explained")
    if not options.keep:
        shutil.rmtree(folder)
    return 1 if unknown else 0


if __name__ == "__main__":
    raise SystemExit(main())
