"""
What concerns the process as a whole.

- :mod:`.privileges`: being ``user.unprivileged`` for good, and what is ``user.privileged``'s then:
  :mod:`.rights` says what that is, :mod:`.direct` does it in this process, :mod:`.asking` has it
  done by the privileged helper.
- :mod:`.helper`: that process; :mod:`.orders`: the wire to it; :mod:`.permitted`: what it may do;
  :mod:`.peers`: who may ask it, and how much; :mod:`.reports`: what it reports;
  :mod:`.watching` notices its end.
- :mod:`.appending` opens logs; :mod:`.paths` opens what names lead to unless an untrusted
  user has a hand in it; :mod:`.regular` opens files without waiting.
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
