"""
What concerns the process as a whole.

- :mod:`.appending` opens logs; :mod:`.regular` opens files without waiting; :mod:`.filewatch`
  notices when a file has changed.
- :mod:`.prctl`: no new privileges.
- :mod:`.closing`: letting go, after a fork, of what is the parent's; :mod:`.garbage`: what the
  collector is told then, and at the start.
- :mod:`.signals`: what each signal does.
- :mod:`.pidfile`: Dante's pid file, and whether twistd's is stale.
- :mod:`.descriptors`: those that the process was started with; :mod:`.orphans`: processes that the
  first one of a container has to wait for.
- :mod:`.notifying` tells systemd how the server is; :mod:`.journald`: output that leads to its
  journal.
- :mod:`.limits`: how many files, processes and processors we may have, and have.
- :mod:`.describing`: the process in words, for ``debug``.
"""
