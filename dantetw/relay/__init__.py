"""
Moving bytes between a client and its target.

- :mod:`.copying`: the relay that copies through memory.  It works everywhere, and can show each
  chunk to a tap.
- :mod:`.splicing`: the same, but once a direction has become bulky the kernel moves the bytes
  itself, through a pipe.  Linux.
- :mod:`.pipes`: the pipes for that, pooled; :mod:`.syscall`: the system call.
- :mod:`.datagrams`: one client's datagrams, of which :mod:`.clientport` is the socket to the client
  and :mod:`.egress` those to the targets of one address family; :mod:`.clientaddress`: learning the
  client's address; :mod:`.flows`: the cache of what was decided about datagrams.
- :mod:`.latency`: how long what is relayed stays in this host.
- :mod:`.timeouts`: finds sessions that have been idle, or have waited, for too long.

A relay is given two sockets that a :class:`~dantetw.net.poller.IPoller` watches, and promises:
bytes are neither lost nor reordered nor duplicated; an end of file on one side is passed on to the
other when all bytes before it have been; what one side cannot take is not read from the other; the
counts are of bytes that were really handed to the kernel; ``done`` is called exactly once.
"""
