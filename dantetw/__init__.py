"""
A SOCKS server that reads Dante's ``sockd.conf`` and writes Dante's log.

Imports go one way, down this list:

- wiring: :mod:`.tap`, all that twistd sees; :mod:`.cli`, the command ``sockd``;
  :mod:`.server`, the root service: start, reload, stop; :mod:`.crew`, the processes that serve
  clients: this one, or workers; :mod:`.handover`, listening sockets that systemd or an older
  server has opened;
  :mod:`.catalogue`, everything we can do on one page
- story: :mod:`.session`, one client's visit from its arrival to its one end
- edges, which wait or touch the kernel: :mod:`.privileged` does what takes privileges;
  :mod:`.upstream` connects to targets; :mod:`.relay` moves the bytes; :mod:`.auth`
  authenticates; :mod:`.observe` brings lines to where the operator wants them; :mod:`.net`
  listens, dials, resolves and polls;
  :mod:`.process` is about signals, files and limits; :mod:`.accounts` counts sessions in
  memory that processes share; :mod:`.threads` and :mod:`.sharing` are for calls that block and
  results that many wait for
- pure, computed without waiting: :mod:`.config`, text into a policy; :mod:`.rules`, decisions;
  :mod:`.plan`, what follows from them for a request;
  :mod:`.wire`, SOCKS as bytes; of :mod:`.observe` its events and formats;
  :mod:`.escaping`, hostile text made fit for a log; :mod:`.fairness`, which client's call is next
- values: :mod:`.policy`, the compiled configuration; :mod:`.addresses`, addresses as numbers;
  :mod:`.figures` of measured values; :mod:`.values`: hosts, endpoints, commands, endings

A session goes through stages: accepted, admitted by the client rules, negotiated, authenticated,
resolved, authorised by the socks rules, connected, relayed, accounted for.  What happened is said
once, as a frozen value of :mod:`dantetw.observe.events`.
"""

__version__ = "0.1.0"
