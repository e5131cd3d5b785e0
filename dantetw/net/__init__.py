"""
The interface to the kernel's network.

- :mod:`.poller` waits for many sockets at once: one nested epoll for all of a process.
- :mod:`.batch` defers work to the end of a batch of events.
- :mod:`.transports` is the transport for negotiations, which keeps errnos and can hand its bare
  socket over.
- :mod:`.listening` opens the ports that clients connect to; :mod:`.adopting` takes over sockets
  that another process has made.
- :mod:`.dial` connects to an address, :mod:`.peerport` is a port for peers of a BIND;
  :mod:`.sources` chooses the address to connect from.
- :mod:`.race` chooses which of a target's addresses to try, and when; :mod:`.unreached` remembers
  which could not be reached.
- :mod:`.datagrams` makes sockets for datagrams, and reads the errors of those sent.
- :mod:`.channel` carries messages and descriptors between processes of this host.
- :mod:`.zones` keeps the links of link-local addresses.
- :mod:`.lookups` asks the system for names and addresses, and waits; :mod:`.resolving` does so in
  threads and keeps the answers, :mod:`.deadnames` the failures that took
  long.
- :mod:`.errors` gives errors their names, replies and words.
- :mod:`.host` has facts about this machine: interfaces, addresses, services; :mod:`.ifaddrs` reads
  the interfaces' addresses, :mod:`.interfaces` keeps them until the kernel reports a change.
- :mod:`.sockopts` and :mod:`.tcpinfo` set and read socket options; :mod:`.queues` reads the lengths
  of the kernel's queues.
"""

from encodings import idna, punycode

#: What :mod:`socket` encodes names and addresses with.  It would be imported when the first one is,
#: which may be after the server has become another user, or has changed its root, and the library
#: can be read no more.
CODECS = (idna, punycode)
