"""
Run with ``twistd -ny sockd.tac``.

The configuration is the file named by the environment variable SOCKD_CONFIG, else ``sockd.conf``
beside this file.
"""

import os

from twisted.application.service import Application

from dantetw.tap import Options, makeService

options = Options()
options["config"] = os.environ.get("SOCKD_CONFIG") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "sockd.conf"
)

application = Application("sockd")
makeService(options).setServiceParent(application)
