"""
What a client can ask for, one file a command: :mod:`.connect`, :mod:`.bind`, :mod:`.associate`,
which makes an :mod:`.association`.
:mod:`.relaying` is what the first two have in common.  A CONNECT is an attempt at one address
(:mod:`.connection`), or a :mod:`.race` at the several addresses of a name, whose :mod:`.attempts`
are logged.  A BIND may be for many peers (:mod:`.forwarding`), of whom each has a connection to the
client (:mod:`.forward`); :mod:`.waiting` is what both kinds have in common.

Each is a function ``def (session, rule, target)`` that the catalogue lists.  It performs the
request under the socks rule that passed it, sets ``session.activity``, and sees to it that the
session ends.
"""
