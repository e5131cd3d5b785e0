"""
The rules of a policy, asked one question at a time: who may do what.

- :mod:`.addresses` decides whether a host and port match the ``from`` or ``to`` of a rule.
- :mod:`.authentication` decides which of a rule's methods matches a client.
- :mod:`.decision` walks the rules and returns the first that matches;
  :mod:`.index` finds the few worth trying of many;
  :mod:`.words` describes how each fared.
- :mod:`.cache` keeps decisions on addresses.
- :mod:`.misses` finds all that keeps a rule from matching.

Nothing here waits.  Where the answer depends on something that only the network knows (the
addresses of a host in a rule, the name of an address, the addresses of an interface), the functions
return a :class:`~dantetw.rules.addresses.Lookup`: answer it and ask again.  Where it depends on who
the client is, they return a :class:`~dantetw.rules.authentication.AuthCheck`.
"""
