"""
The processes that serve clients: this one, or a supervisor process with its workers.

With several processes, the *supervisor* is what twistd has started: it holds the ports, the log's
destinations and the policy, receives the signals, and serves no clients.  The *workers* are forked
from it and accept clients at its ports, each at sockets of its own, among which the kernel
distributes clients.

- :mod:`.socksserver`: what serves clients in a process; :mod:`.logs`: the log of a process
- :mod:`.errors`: why a policy cannot be put in force
- :mod:`.supervisor`: keeps the configured number of workers, and talks to all of them
- :mod:`.workerprocess`: a worker, as the supervisor sees it
- :mod:`.worker`: the worker process; :mod:`.forking`: how it is created
- :mod:`.watchdog`: finds workers that do not respond; :mod:`.lending` has other workers accept at
  their sockets, which :mod:`.borrowing` does
- :mod:`.ledger`: what each worker does, in shared memory, so that it is known also when it dies
- :mod:`.writes`: which lines of ends it had written when it died
- :mod:`.combining`: the status report of all; :mod:`.measures`: latencies on their way to it
"""
