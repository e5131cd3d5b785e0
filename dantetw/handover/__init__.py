"""
Listening sockets that another program has opened: systemd, or a server that we replace.

The successor connects to the old server by an abstract socket (:manpage:`unix(7)`) and gets
duplicates of its listening sockets.  When it serves clients it says so; the old server then accepts
no more, and ends with its last session.  The sockets are never closed meanwhile, so no client is
refused.  If the successor fails before that, nothing has changed.  The connection stays for as long
as the old server has sessions: by it the successor has it open its logs again, report and stop.

An abstract socket belongs to the process that binds its name first, so a name that others can
predict can be taken by any local user.  The old server therefore adds a random part to its name,
which successors find in ``/proc/self/net/unix``.  It takes no file: that works on a read-only root
and after the server has dropped its privileges, and nothing stays behind after a crash.  The kernel
says who is at the other end (``SO_PEERCRED``): only root, and the user who has started the old
server, get the sockets, and they are accepted only from the process that was meant, run by root or
by our own user.  Connections that say nothing are closed after :data:`ANSWER_SECONDS` and keep no
others waiting.

Versions up to 0.1 knew the name without the random part only.  It is bound as well, if it can be
had, so that one of them can follow a newer server.

- :mod:`.succession`: both sides of one server, and what it does when it has been replaced.
- :mod:`.messages`: what the two say to each other.
- :mod:`.names`: how the two sides find and check each other.
- :mod:`.client`: the successor's side; :mod:`.server`: the old server's.
- :mod:`.predecessor`: the old server, as its successor sees it when it has replaced it.
- :mod:`.systemd`: sockets from systemd.
"""
