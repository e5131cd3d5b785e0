"""
The plugin that makes ``twistd sockd`` known.  It imports nothing of ours until it is asked for.
"""

from twisted.application.service import ServiceMaker

sockd = ServiceMaker(
    "sockd",
    "dantetw.tap",
    "A SOCKS server that reads Dante's sockd.conf.",
    "sockd",
)
