"""
Sinks: where lines go.

- :mod:`~dantetw.observe.sinks.file`: files, and devices that never make one wait;
  :mod:`~dantetw.observe.sinks.appender` writes, :mod:`~dantetw.observe.sinks.torn` ends lines
  that a full disk has cut; :mod:`~dantetw.observe.sinks.behind` writes in a thread where that may
  take long, as :mod:`~dantetw.observe.sinks.mounts` knows
- :mod:`~dantetw.observe.sinks.stream`: pipes, FIFOs, terminals, sockets: all that have a reader,
  which may be slow; :mod:`~dantetw.observe.sinks.threaded` where a descriptor must stay blocking
- :mod:`~dantetw.observe.sinks.inherited`: what the supervisor process has opened for its workers
- :mod:`~dantetw.observe.sinks.stdio`: the words ``stdout`` and ``stderr``
- :mod:`~dantetw.observe.sinks.syslog`: the words ``syslog`` and ``syslog/FACILITY``
- :mod:`~dantetw.observe.sinks.remote`: the words ``syslog+udp://…`` and ``syslog+tcp://…``, as
  :mod:`~dantetw.observe.sinks.remoteaddress` reads them; :mod:`~dantetw.observe.sinks.connected` is
  what it shares with the former, and :mod:`~dantetw.observe.sinks.lookup` finds the host
- :mod:`~dantetw.observe.sinks.backlog`: the bounded queue they all share
- :mod:`~dantetw.observe.sinks.kind`: what a kind of sink is: how it is written in a configuration,
  checked and opened.  The kinds are listed in :mod:`dantetw.catalogue`
- :mod:`~dantetw.observe.sinks.opening`: from ``logoutput`` and ``errorlog`` to sinks

No sink makes the server wait, and none loses a line without counting it.
"""
