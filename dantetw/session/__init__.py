"""
The story of a session.

- :mod:`.protocol`: Twisted's side of it: the Factory that holds what all sessions share, and the
  Protocol a client negotiates with.
- :mod:`.session`: the story itself: accepted, admitted, negotiated, authenticated, resolved,
  authorised, connected, relayed, accounted for.  It has one end, :meth:`~.session.Session.end`.
- :mod:`.listener`: the ports clients come in by.
"""
