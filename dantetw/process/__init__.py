"""
What concerns the process as a whole.

- :mod:`.privileges`: being ``user.unprivileged``, and ``user.privileged`` where it is needed.
- :mod:`.signals`: what each signal does.
- :mod:`.pidfile`: Dante's pid file.
- :mod:`.limits`: how many files, processes and processors we may have, and have.
- :mod:`.regular`: opening files without waiting.
- :mod:`.describing`: the process in words, for ``debug``.
"""
