"""
The command ``sockd explain``: shows what the server would do with a request, and why.

- :mod:`.command` is the command: its arguments and its exit status.
- :mod:`.given` has the inputs: a client, names, a machine, authentication.
- :mod:`.explanation` asks :mod:`dantetw.plan`, as a session does, and supplies the facts it needs.
- :mod:`.output` prints the result, as text or JSON.
"""
