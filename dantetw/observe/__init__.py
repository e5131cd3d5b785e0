"""
Observing: what happened becomes lines, and lines come to where the operator wants them.

- :mod:`~dantetw.observe.events`: what happened, as frozen values; sessions and the server make them
- :mod:`~dantetw.observe.facts`: the facts of a session, which events about it share
- :mod:`~dantetw.observe.status`: of these, what a status report says
- :mod:`~dantetw.observe.filters`: which failures the operator asked to be told of
- :mod:`~dantetw.observe.formats`: events to text; :mod:`~dantetw.observe.formats.dante` writes
  Dante's lines
- :mod:`~dantetw.observe.sinks`: text to files, syslog, standard output and error
- :mod:`~dantetw.observe.prefix`: date, program, pid and severity in front of a line
- :mod:`~dantetw.observe.privacy`: what is left out, or has a pseudonym, at some destinations
- :mod:`~dantetw.observe.foreign`: what Twisted and libraries say
- :mod:`~dantetw.observe.repeats`: warnings that come again and again;
  :mod:`~dantetw.observe.tallies` counts them for several processes
- :mod:`~dantetw.observe.outlets`: sinks as the observer sees them
- :mod:`~dantetw.observe.observer`: the one ``ILogObserver`` that joins them
- :mod:`~dantetw.observe.journal`: through which events come in
- :mod:`~dantetw.observe.interfaces`: ``IFormat`` and ``ISink``, for those who add one

Events, facts, status, filters and formats are pure; everything else stands at an edge.
"""
