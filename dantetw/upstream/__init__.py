"""
Upstreams: how a session gets a connection to its target.

- :mod:`.interfaces`: the interface of all upstreams.
- :mod:`.direct`: from an address of this host, without a proxy.

An upstream is made for each policy, and is listed in :func:`dantetw.catalogue.upstreams`.  One that
connects through a proxy wraps another, which reaches the proxy.  The session sets the time limits,
and cancels an attempt that takes too long.
"""
