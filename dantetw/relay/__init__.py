"""
Moving bytes between a client and its target.

- :mod:`.relay`: the common part of relays of connections; :mod:`.flow`: one direction of a relay.
- :mod:`.copying`: the relay that copies through memory.  It works everywhere, can show each chunk
  to a tap, and have it converted by a codec.
- :mod:`.splicing`: the same, but once a direction has become bulky the kernel moves the bytes
  itself, through a pipe.  Linux.
- :mod:`.pipes`: the pipes for that, pooled; :mod:`.syscall`: the system call.
- :mod:`.datagrams`: one client's datagrams, of which :mod:`.clientport` is the socket to the client
  and :mod:`.egress` those to the targets of one address family; :mod:`.clientaddress`: learning the
  client's address; :mod:`.flowcache`: the cache of decisions about datagrams.
- :mod:`.shaping`: budgets, which limit how much is relayed; :mod:`.meter`: keeping datagrams to
  them; :mod:`.codec`: converters of the bytes of a client's connection.
- :mod:`.latency`: how long data stays in this host.
- :mod:`.timeouts`: finds sessions that have been idle, or have waited, for too long.

A relay is given two sockets that a :class:`~dantetw.net.poller.IPoller` watches, and promises:
bytes are neither lost nor reordered nor duplicated; an end of file on one side is passed on to the
other when all bytes before it have been; data that one side cannot accept is not read from the
other; the counts are of bytes that were handed to the kernel; no more is read than a budget has
left; ``done`` is called exactly once.
"""
