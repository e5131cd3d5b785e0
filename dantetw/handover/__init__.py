"""
Listening sockets that another program has opened: systemd, or a server that this one replaces.

The successor connects to the old server by an abstract socket (:manpage:`unix(7)`) and gets
duplicates of its listening sockets.  It reports when it serves clients; the old server then accepts
no more, and ends with its last session.  The sockets are never closed meanwhile, so no client is
refused.  If the successor fails before that, nothing has changed.  The connection stays open as
long as the old server has sessions: over it the successor makes it open its logs again, report and
stop.

An abstract socket belongs to the process that binds its name first, so any local user can take a
predictable name.  The old server therefore adds a random part to its name, which successors find in
``/proc/self/net/unix``.  No file is needed: this works on a read-only root and after the server has
dropped its privileges, and a crash leaves nothing behind.  The kernel identifies the process at the
other end (``SO_PEERCRED``): only root, and the user that started the old server, get the sockets,
and they are accepted only from the named process, run by root or by the same user.  Idle
connections are closed after :data:`ANSWER_SECONDS` and keep no others waiting.

Versions up to 0.1 know only the name without the random part.  It is bound as well, if possible, so
that one of them can replace a newer server.

- :mod:`.succession`: both sides of one server, and what it does when it has been replaced.
- :mod:`.messages`: the messages between the two.
- :mod:`.names`: how the two sides find and check each other.
- :mod:`.client`: the successor's side; :mod:`.server`: the old server's.
- :mod:`.predecessor`: the old server, as its successor sees it.
- :mod:`.systemd`: sockets from systemd.
"""
