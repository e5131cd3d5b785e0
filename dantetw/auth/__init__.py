"""
The methods of authentication.

- :mod:`.interfaces` says what all of them are: an
  :class:`~dantetw.auth.interfaces.IAuthenticator` checks a name and a password, an
  :class:`~dantetw.auth.interfaces.IProver` asks another program.
- :mod:`.system` asks for the system's passwords, which :mod:`.shadow` reads and compares, by way of
  the C library in :mod:`.crypting`.
- :mod:`.usersfile` asks a file of our own; :mod:`.locking` keeps commands that edit it
  from undoing each other.
- :mod:`.ident` asks the client's own host.
- :mod:`.pam` asks PAM, by way of the program in :mod:`.pamworker`, run by :mod:`.pamprocess`.
- :mod:`.methods` makes the one that a policy asks for.
- :mod:`.cache` is put in front of either, so that a browser's hundredth session costs no hash.
- :mod:`.groups` says which of the system's groups a user is in.
- :mod:`.verifying` runs hashes in threads, fairly among clients (:mod:`dantetw.fairness`).
- :mod:`.privileges` lists the work that takes privileges.

Method ``none`` needs nothing here: there is nothing to check.

They are put together like this::

    threads = Threads(reactor, verifying.THREADS, verifying.WAITING, "login")
    users = UsersFile(policy.authentication.username_file, reactor, threads, report)
    username = CredentialsCache(users, reactor)
"""
