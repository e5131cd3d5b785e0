"""
Formats: from an event to lines of text.  Pure.

- :mod:`~dantetw.observe.formats.dante`: the lines Dante would write
- :mod:`~dantetw.observe.formats.endings`: of these, the lines at a session's end
- :mod:`~dantetw.observe.formats.reasons`: why sessions end, in words
- :mod:`~dantetw.observe.formats.status`: of these, the lines of a status report
- :mod:`~dantetw.observe.formats.json`: objects for programs
- :mod:`~dantetw.observe.formats.members`: of these, what stands for an event's values
- :mod:`~dantetw.observe.formats.durations`: what each stage of a session took
- :mod:`~dantetw.observe.formats.addresses`: who talks to whom, in Dante's notation
- :mod:`~dantetw.observe.formats.tcpinfo`: the block of ``log: tcpinfo``
- :mod:`~dantetw.observe.formats.oneline`: keeping a message on one line

A new format is one file here, with a class that provides
:class:`~dantetw.observe.interfaces.IFormat`, and one line in the catalogue.
"""
