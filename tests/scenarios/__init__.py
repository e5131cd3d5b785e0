"""
Tests of the whole server: real processes, real clients, real signals.

Each starts a server of its own on a port of its own and waits for what it wants to see, with a
deadline far behind what a busy machine needs.  One that needs a program which is not installed
(curl, ncat, socksify, drill, tnftp, proxychains4, rsyslogd, danted, jq) is skipped; with
``DANTETW_REQUIRE_PROGRAMS=1`` in the environment, as in continuous integration, it fails instead.

With ``DANTETW_PYTHON=/path/to/python`` that interpreter runs the servers, and the tests stay with
theirs.  It must have what the package needs, but not the package, which is taken from here.

- :mod:`.running`: starts servers, runs programs, reads logs.
- :mod:`.test_clients`: what curl, ncat, socksify and proxychains4 get, and what the log says.
- :mod:`.test_starting`: all ways to start, and to fail to.
- :mod:`.test_stopping`: signals.
- :mod:`.test_reloading`: SIGHUP, with clients from :mod:`.load`.
- :mod:`.test_syslog`: log daemons, here and elsewhere.
- :mod:`.test_recipes`: the recipes of ``docs/logging.rst``.
- :mod:`.test_commands`: what the ``sockd`` command prints and returns.
- :mod:`.test_differential`: random rules and requests, with Dante beside it.
- :mod:`.test_users`: logins, and whose rights the server works with; :mod:`.test_proving`: PAM and
  ident; :mod:`.rights`: what the two share.
"""
