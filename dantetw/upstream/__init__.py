"""
The ways out: how a session gets a connection to its target.

- :mod:`.interfaces`: what every upstream is.
- :mod:`.direct`: from an address of this host, without a proxy.

An upstream is made for each policy, and is listed in :data:`dantetw.catalogue.UPSTREAMS`.  One that
connects by way of a proxy wraps another, by which it reaches the proxy.  Time limits are those of
the session, which cancels an attempt that takes too long.
"""
