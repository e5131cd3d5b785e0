"""
What concerns the process as a whole.

- :mod:`.appending` opens logs; :mod:`.regular` opens files without waiting; :mod:`.filewatch`
  notices when a file has changed.
- :mod:`.prctl`: no new privileges.
- :mod:`.closing` closes, after a fork, the parent's descriptors; :mod:`.garbage` sets the garbage
  collector then, and at the start.
- :mod:`.signals`: what each signal does.
- :mod:`.pidfile`: Dante's pid file, and whether twistd's is stale.
- :mod:`.descriptors`: those that the process was started with; :mod:`.orphans` reaps processes in
  the first process of a container.
- :mod:`.notifying` notifies systemd of the server's state; :mod:`.journald` finds out whether
  output leads to its journal.
- :mod:`.limits`: how many files, processes and processors we may have, and have.
- :mod:`.describing`: the process in words, for ``debug``.
"""
