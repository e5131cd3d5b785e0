"""
SOCKS on the wire: bytes to values and back, without a socket in sight.

- :mod:`~dantetw.wire.dialects`: what a dialect is, how the first byte selects one, and the
  negotiation that leads to a request.
- :mod:`~dantetw.wire.socks5`: greeting, choice of a method, login, request, reply (:rfc:`1928`).
- :mod:`~dantetw.wire.socks4`: request and reply of SOCKS 4 and 4a.
- :mod:`~dantetw.wire.messages`: what else parsers return: replies, credentials, protocol errors.
- :mod:`~dantetw.wire.addresses`: addresses as SOCKS 5 writes them; what a host name's bytes mean.
- :mod:`~dantetw.wire.userpass`: user name and password (:rfc:`1929`).
- :mod:`~dantetw.wire.udp`: the header of relayed datagrams (:rfc:`1928`, 7).

All parsers follow one convention.  ``parse_…(data)`` looks at the start of ``data`` and returns
None if the message is not complete yet, else a pair: what it found and where it ends.  Bytes
behind that end belong to the next message.  Bytes that can never become a message raise
:exc:`~dantetw.wire.messages.ProtocolError` as soon as the first wrong byte is there, so that the
outcome never depends on how the network cut the stream.
"""
