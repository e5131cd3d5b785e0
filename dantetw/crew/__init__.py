"""
The processes that serve clients: one process, or a supervisor process with workers.

With several processes, the *supervisor* is the one that twistd has started: it holds the ports, the
log destinations and the policy, receives the signals, and serves no clients.  The *workers* are
forked from it.  Each accepts clients at its own sockets of the supervisor's ports, and the kernel
distributes clients among them.

Used by the rest of the server:

- :mod:`.interfaces`: the interface of both kinds; :mod:`.factory` makes one or the other
- :mod:`.figures`: their figures, as values; :mod:`.report`: the status report
- :mod:`.errors`: why a policy cannot be put in force; :mod:`.logs`: the log of a process

In each process that serves clients:

- :mod:`.socksserver`: serves them; :mod:`.processreport`: its part of a status report
- :mod:`.single`: a server that is one process

With workers:

- :mod:`.supervisor`: talks to all workers; :mod:`.pool`: starts, replaces and ends them
- :mod:`.workerprocess`: a worker, as the supervisor sees it
- :mod:`.worker`: the worker process; :mod:`.forking`: how it is created
- :mod:`.messages`: the messages between the two; :mod:`.codec` packs them into frames of a channel,
  :mod:`.latencies` histograms into lists
- :mod:`.watchdog`: finds workers that do not respond; :mod:`.loans` lends their sockets to other
  workers, where :mod:`.borrowed` accepts
- :mod:`.scoreboard`: the sessions of each worker, in shared memory, so that their ends are logged
  even if it dies; :mod:`.writes`: which of these lines it had written by then
"""
