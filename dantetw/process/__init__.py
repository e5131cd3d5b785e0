"""
What concerns the process as a whole.

- :mod:`.privileges`: being ``user.unprivileged``, and ``user.privileged`` where it is needed.
- :mod:`.orders`: the wire to a privileged helper.
- :mod:`.appending` opens logs; :mod:`.links` opens what names lead to unless somebody bent them.
- :mod:`.prctl`: no new privileges.
- :mod:`.signals`: what each signal does.
- :mod:`.pidfile`: Dante's pid file.
- :mod:`.limits`: how many files and processes we may have, and have.
- :mod:`.regular`: opening files without waiting.
- :mod:`.describing`: the process in words, for ``debug``.
"""
