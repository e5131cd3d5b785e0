"""
Several processes that serve clients, and the one that keeps them.

The *mother* is what twistd has started: it holds the ports, the log's destinations and the policy,
hears the signals, and serves nobody.  The *workers* are forked from it and accept at its ports,
each at sockets of its own among which the kernel deals out clients.

- :mod:`.mother`: keeps as many workers as there shall be, and speaks to all
- :mod:`.child`: one of them, as she sees it
- :mod:`.worker`: the life of one
- :mod:`.forking`: how it comes into being
- :mod:`.channel`: the messages between the two
- :mod:`.watchdog`: finds those that do not respond; :mod:`.lending` has others accept at their
  sockets, which :mod:`.borrowing` does
- :mod:`.ledger`: what each does, in memory that both see, so that it is known also when it dies
- :mod:`.writes`: which lines of ends it had written when it died
- :mod:`.combining`: the status report of all; :mod:`.measures`: latencies on their way to it

A server that is one process uses nothing of this.
"""
