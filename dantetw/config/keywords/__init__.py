"""
The keywords of the configuration, one file for each concern.

A file has all there is of its keywords: the rows of the table, kinds of values that only they have,
what they do (the methods of a draft, see :mod:`dantetw.config.draft`), checks, and what of them is
not supported yet.  :mod:`~dantetw.config.keywords.table` lists the concerns:

- :mod:`~dantetw.config.keywords.logging`: destinations, their forms, ``log``;
  :mod:`~dantetw.config.keywords.filters`: ``SIDE.log.LEVEL.…``
- :mod:`~dantetw.config.keywords.edges`: ``internal`` and ``external``;
  :mod:`~dantetw.config.keywords.sockets`: socket options
- :mod:`~dantetw.config.keywords.udp`, :mod:`~dantetw.config.keywords.timeouts`,
  :mod:`~dantetw.config.keywords.compatibility`, :mod:`~dantetw.config.keywords.resolving`
- :mod:`~dantetw.config.keywords.users`: system users; :mod:`~dantetw.config.keywords.processes`
- :mod:`~dantetw.config.keywords.authentication`: methods, users and groups;
  :mod:`~dantetw.config.keywords.gssapi`, :mod:`~dantetw.config.keywords.directories` (LDAP, Active
  Directory), :mod:`~dantetw.config.keywords.libwrap`
- :mod:`~dantetw.config.keywords.conditions`: what a rule is about;
  :mod:`~dantetw.config.keywords.hostids`
- :mod:`~dantetw.config.keywords.redirection`, :mod:`~dantetw.config.keywords.limits`
- :mod:`~dantetw.config.keywords.routes`, :mod:`~dantetw.config.keywords.monitors`
"""
