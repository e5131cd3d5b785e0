"""
The command ``sockd``.

- :mod:`.main`: Dante's flags, and which sub-command is meant
- :mod:`.check`: ``sockd check`` verifies configurations; :mod:`.migrate` rewrites old ones
- :mod:`.users`: ``sockd users`` edits the users file
- :mod:`.health`: ``sockd health`` asks a server whether it answers
- :mod:`.arguments`: parses the arguments of the sub-commands
- :mod:`.explain`: ``sockd explain`` says what the server would do with a request, and why
"""
