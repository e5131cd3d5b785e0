"""
Moving bytes between a client and its target.

- :mod:`.copying`: the relay that copies through memory.  It works everywhere, and can show each
  chunk to whoever wants to see it.
- :mod:`.splicing`: the same, but once a direction has become bulky the kernel moves the bytes
  itself, through a pipe.  Linux.
- :mod:`.pipes`: the pipes for that, pooled; :mod:`.moving`: the system call.
- :mod:`.datagrams`: one client's datagrams; :mod:`.outside`: its way out in one family, and the
  answers; :mod:`.acquainting`: who the client is; :mod:`.routes`: what it remembers, and who
  decides for it.
- :mod:`.latency`: how long what is relayed stays in this host.
- :mod:`.sweep`: finds sessions that have been idle, or have waited, for too long.

A relay is given two sockets that a :class:`~dantetw.net.poller.IPoller` watches, and promises:
bytes are neither lost nor reordered nor duplicated; an end of file on one side is passed on to the
other when all bytes before it have been; what one side cannot take is not read from the other; the
counts are of bytes that were really handed to the kernel; ``done`` is called exactly once.
"""
