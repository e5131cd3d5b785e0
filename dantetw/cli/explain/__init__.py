"""
The command ``sockd explain``: what would the server do with a request, and why?

- :mod:`.staging` is what is asked and given: a client, names, a machine;
  :mod:`.standing` stands in for what is not played: proofs, time, sockets.
- :mod:`.rehearsing` plays the visit through the server's own code.
- :mod:`.telling` puts what came of it into text or JSON; :mod:`.command` is the command.
"""
