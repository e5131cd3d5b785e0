"""
The commands of clients, one file each: :mod:`.connect`, :mod:`.bind`, :mod:`.associate`, which
makes an :mod:`.association`.
:mod:`.relaycommand` is the common part of the first two.  A CONNECT is an attempt at one address
(:mod:`.connection`), or a :mod:`.race` at the several addresses of a name, whose :mod:`.attempts`
are logged.  A BIND may accept many peers (:mod:`.bindextension`), each with a connection to the
client (:mod:`.forward`); :mod:`.peerwait` is the common part of both kinds.

Each is a function ``def (session, case, plan)`` that the catalogue lists.  It performs the
request as planned, sets ``session.activity``, and makes sure that the
session ends.
"""
