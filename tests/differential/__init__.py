"""
Dante and dantetw side by side: random rules, random requests, and what becomes of them.

:mod:`.rules` and :mod:`.requests` invent configurations and clients, :mod:`.world` says what
    addresses and names there are, :mod:`.inside` runs one server and its clients in network
    namespaces of their own, and
:mod:`.comparing` compares replies, datagrams and log lines.  :mod:`.known` lists the differences
    that are there on purpose, each with its row in ``docs/differences.rst``.

::

    python -m tests.differential --seed 7 --count 2000

It needs root, ``danted`` and Linux.  The same seed gives the same rules and requests.
"""
