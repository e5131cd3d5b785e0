"""
The processes that serve clients: this one, or a supervisor process with its workers.

With several processes, the *supervisor* is what twistd has started: it holds the ports, the log's
destinations and the policy, receives the signals, and serves no clients.  The *workers* are forked
from it and accept clients at its ports, each at sockets of its own, among which the kernel
distributes clients.

What the rest of the server knows of all this:

- :mod:`.interfaces`: what it asks of the processes, whichever they are; :mod:`.factory` makes them
- :mod:`.figures`: what is gathered of them, as values; :mod:`.report`: the status report of that
- :mod:`.errors`: why a policy cannot be put in force; :mod:`.logs`: the log of a process

In each process that serves clients:

- :mod:`.socksserver`: what serves them; :mod:`.processreport`: its part of a status report
- :mod:`.single`: a server that is one process

With workers:

- :mod:`.supervisor`: talks to all workers; :mod:`.pool`: starts, replaces and ends them
- :mod:`.workerprocess`: a worker, as the supervisor sees it
- :mod:`.worker`: the worker process; :mod:`.forking`: how it is created
- :mod:`.messages`: what the two say to each other; :mod:`.codec`: that as the frames of a channel,
  :mod:`.latencies` as lists of numbers
- :mod:`.watchdog`: finds workers that do not respond; :mod:`.loans` has other workers accept at
  their sockets, which :mod:`.borrowed` does
- :mod:`.scoreboard`: the sessions of each worker, in shared memory, so that their ends are logged
  also when it dies; :mod:`.writes`: which lines of ends it had written when it died
"""
