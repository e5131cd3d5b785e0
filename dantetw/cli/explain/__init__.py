"""
The command ``sockd explain``: what would the server do with a request, and why?

- :mod:`.command` is the command: its arguments and its exit status.
- :mod:`.given` has what is asked and given: a client, names, a machine, authentication.
- :mod:`.explanation` asks :mod:`dantetw.plan`, as a session does, and answers what that needs.
- :mod:`.output` prints what came of it, as text or JSON.
"""
