"""
A SOCKS server that reads Dante's ``sockd.conf`` and writes Dante's log.
"""

__version__ = "0.1.0"
