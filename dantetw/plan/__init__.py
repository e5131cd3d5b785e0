"""
Decides what is done for a client, and does none of it.

These functions take the facts (the policy, the client, its request, the host's addresses) and
return a value: what to do, why it is refused, or what must be found out first.  A session carries
the values out, and ``sockd explain`` prints them; neither decides anything itself.

- :mod:`.case` has the facts of one request.
- :mod:`.outcome` has the values that are returned.
- :mod:`.admission`: may a client connect?
- :mod:`.request`: is its request granted, and where does it lead?
- :mod:`.address` judges one of the several addresses of a target's name.
- :mod:`.datagram` judges a datagram of an association, and an answer to one.
- :mod:`.usable`: requests that cannot be served, whatever the rules say.
- :mod:`.announced`: the address that a client's datagrams are to come from.
- :mod:`.listening`: would a connection come back to this server?

The steps of a request, in order: resolve the target's name, refuse what cannot be served, ask the
socks rules, refuse an address that only the rules have chosen.  A new step (limits, redirect,
route) is a function in :mod:`.request` and a field of :class:`~dantetw.plan.outcome.Plan`.

Nothing here waits or touches the network.  A missing fact is returned as a
:class:`~dantetw.plan.outcome.Resolve`, a :class:`~dantetw.plan.outcome.BindPort`, a
:class:`~dantetw.rules.addresses.Lookup` or a :class:`~dantetw.rules.authentication.AuthCheck`: find
it out, and ask again.
"""
