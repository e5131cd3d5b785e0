"""
The server: start, reload and stop under twistd.

- :mod:`.service`: the root service: start, reload, stop
- :mod:`.startup`: how a start that fails is reported
- :mod:`.running`: the server between start and stop: policy, ports, processes, reports
- :mod:`.reload`: SIGHUP, from the signal to its two lines in the log
- :mod:`.internal`: the addresses it listens on, as interfaces appear and disappear
"""
