"""
Who may do what: the rules of a policy, asked one question at a time.

- :mod:`.addresses` says whether a host and port fit the ``from`` or ``to`` of a rule.
- :mod:`.deciding` walks the rules and names the first that fits.

Nothing here waits.  Where the answer hangs on something only the network knows (the addresses of
a host in a rule, the name of an address, the addresses of an interface), the functions return a
:class:`~dantetw.rules.addresses.Lookup`: answer it and ask again.
"""
