"""
Counts of sessions: by server, rule, user, client address, and so on.

An *account* has a key and counts: sessions opened, refused and ended, by cause; bytes and
datagrams.  A session is charged to several accounts at once.  Each process writes its own table, in
memory that it shares with the supervisor process; the server has counted the sum over all tables.

- :mod:`.keys`: what identifies an account
- :mod:`.counts`: what an account counts, and how the counts are laid out in memory
- :mod:`.table`: the accounts of one process
- :mod:`.charging`: charging sessions to accounts
- :mod:`.book`: all tables, and sums over them

``docs/decisions/accounts.rst`` and ``docs/decisions/single-writer-memory.rst`` say why it is built
this way.
"""
