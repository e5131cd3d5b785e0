"""
SOCKS on the wire: bytes to values and back, without a socket in sight.

- :mod:`~dantetw.wire.messages`: the values that come out: requests, credentials, protocol errors.
- :mod:`~dantetw.wire.addresses`: addresses as SOCKS 5 writes them; what a host name's bytes mean.
- :mod:`~dantetw.wire.replies`: the codes of replies, and the bytes of a reply of either version.
- :mod:`~dantetw.wire.socks5`: greeting, choice of a method, request, reply (:rfc:`1928`).
- :mod:`~dantetw.wire.socks4`: request and reply of SOCKS 4 and 4a.
- :mod:`~dantetw.wire.userpass`: user name and password (:rfc:`1929`).
- :mod:`~dantetw.wire.udp`: the header of relayed datagrams (:rfc:`1928`, 7).
- :mod:`~dantetw.wire.negotiation`: the server's side of a negotiation, as a table of states.

All parsers follow one convention.  ``parse_…(data)`` looks at the start of ``data`` and returns
None if the message is not complete yet, else a pair: what it found and where it ends.  What stands
behind that end belongs to the next message.  Bytes that can never become a message raise
:exc:`~dantetw.wire.messages.ProtocolError` as soon as the first wrong byte is there, so that the
outcome never depends on how the network cut the stream.
"""
