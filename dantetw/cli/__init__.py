"""
The command ``sockd``.

- :mod:`.main`: Dante's flags, and the choice of the sub-command
- :mod:`.check`: ``sockd check`` verifies configurations; :mod:`.migrate` rewrites old ones
- :mod:`.users`: ``sockd users`` edits the users file
- :mod:`.health`: ``sockd health`` checks whether a server answers
- :mod:`.arguments`: parses the arguments of the sub-commands
- :mod:`.explain`: ``sockd explain`` shows what the server would do with a request, and why
"""
