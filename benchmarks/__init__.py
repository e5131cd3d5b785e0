"""
What the server costs, and that it keeps its promises under load.  For developers; not installed.

Run from the root of the source: ``python -m benchmarks`` compares servers, and makes the table and
the plot of ``README.rst``.

- :mod:`~benchmarks.measures`: what it measures; :mod:`~benchmarks.figures`: medians, ratios and the
  table; :mod:`~benchmarks.plot`: the plot
- :mod:`~benchmarks.logging`: the program: lines of the log, whether any is missing, and their cost
- :mod:`~benchmarks.datagrams`: the program: a million datagrams, and whether each is accounted for
- :mod:`~benchmarks.status`: the program: what clients notice of a status report
- :mod:`~benchmarks.flat`: the program: whether cost grows with the rules or the open sessions
- :mod:`~benchmarks.churn`: the program: whether memory grows while clients come and go
- :mod:`~benchmarks.faults`: the program: what others notice of a fault
- :mod:`~benchmarks.setups`: where lines go, and what the server is put through meanwhile
- :mod:`~benchmarks.accounting`: reads a log and says what is wrong with it
- :mod:`~benchmarks.destinations`: files, pipes, a log daemon, a small disk: blocked and freed
- :mod:`~benchmarks.daemon`: that log daemon, a process that can be stopped
- :mod:`~benchmarks.server`: a server's processes, and the CPU time they use
- :mod:`~benchmarks.load`: clients and their target, compiled on first use: ``sessions.c``, which
  come and go, and ``flows.c``, which stay

``tests/scenarios/test_destinations.py`` uses the same parts, with clients of its own.
"""
