"""
A SOCKS server that reads Dante's ``sockd.conf`` and writes Dante's log.

Imports go one way, down this list:

- wiring: :mod:`.tap`, all that twistd sees; :mod:`.cli`, the command ``sockd``;
  :mod:`.checking` and :mod:`.migrating`, configurations looked at and renewed;
  :mod:`.explaining`, what the server would do and why; :mod:`.health`, whether it answers;
  :mod:`.starting`, how a start that fails is reported;
  :mod:`.service`, the root service that owns the rest; :mod:`.reloading`, what SIGHUP does to it;
  :mod:`.following`, the addresses it listens on as interfaces come and go;
  :mod:`.serving`, what serves clients, in this process or in each of the :mod:`.workers` that a
  mother keeps; :mod:`.logs`, from the policy to the observer; :mod:`.handover`, listening sockets
  that systemd or an older server has opened;
  :mod:`.catalogue`, everything we can do on one page
- story: :mod:`.session`, one client's visit from its arrival to its one end
- edges, where we wait or touch the kernel: :mod:`.net` listens, dials, resolves and polls;
  :mod:`.auth` asks who somebody is; :mod:`.relay` moves the bytes; :mod:`.observe` brings lines to
  where the operator wants them;
  :mod:`.process` is about signals, privileges and limits; :mod:`.threads` and :mod:`.sharing` are
  for calls that block and results that many wait for; :mod:`.commandline` reads the arguments of
  commands
- pure, computed without waiting: :mod:`.wire`, SOCKS as bytes; :mod:`.config`, text into an
  immutable policy; :mod:`.rules`, decisions; of :mod:`.observe` its events and formats;
  :mod:`.escaping`, hostile text made fit for a log; :mod:`.fairness`, whose call is next
- :mod:`.values`: hosts, endpoints, commands, endings

A session is told in stages: accepted, admitted by the client rules, negotiated, authenticated,
resolved, authorised by the socks rules, connected, relayed, accounted for.  What happened is said
once, as a frozen value of :mod:`dantetw.observe.events`.
"""

__version__ = "0.1.0"
