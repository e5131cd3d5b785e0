"""
Logging: events become lines, and lines go to the operator's destinations.

- :mod:`~dantetw.observe.events`: what happened, as frozen values; sessions and the server make them
- :mod:`~dantetw.observe.facts`: the facts of a session, which events about it share
- :mod:`~dantetw.observe.status`: of these, those of a status report
- :mod:`~dantetw.observe.filters`: which failures the operator wants reported
- :mod:`~dantetw.observe.formats`: events to text; :mod:`~dantetw.observe.formats.dante` writes
  Dante's lines
- :mod:`~dantetw.observe.sinks`: text to files, syslog, standard output and error
- :mod:`~dantetw.observe.prefix`: date, program, pid and severity in front of a line
- :mod:`~dantetw.observe.privacy`: values left out, or replaced by pseudonyms, at some destinations
- :mod:`~dantetw.observe.foreign`: messages of Twisted and libraries
- :mod:`~dantetw.observe.repeats`: repeated warnings;
  :mod:`~dantetw.observe.tallies` counts them for several processes
- :mod:`~dantetw.observe.outlets`: sinks as the observer sees them
- :mod:`~dantetw.observe.observer`: the one ``ILogObserver`` that joins them
- :mod:`~dantetw.observe.journal`: the entrance for events
- :mod:`~dantetw.observe.interfaces`: ``IFormat`` and ``ISink``

Events, facts, status, filters and formats are pure; everything else is at an edge.
"""
