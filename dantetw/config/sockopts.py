"""
Socket options that the configuration can name (``sockd.conf(5)``, "SOCKET OPTIONS").

Numbers are Linux's (``asm-generic/socket.h``, ``linux/in.h``, ``linux/tcp.h``, ``linux/udp.h``):
Python's :mod:`socket` lacks some of them, and what is read here is applied on this system.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_SOCKET: Final = 1
_IP: Final = 0
_TCP: Final = 6
_UDP: Final = 17

#: Levels by their name in ``SIDE.LEVEL.NAME``.
LEVELS: Final = {"socket": _SOCKET, "ip": _IP, "tcp": _TCP, "udp": _UDP}


@dataclass(frozen=True, slots=True)
class Option:
    """
    A socket option.

    :ivar level, number: what ``setsockopt(2)`` takes.
    :ivar shift, bits: for a sub-field, where it lies in the option's value and how wide it is.
    :ivar symbols: names for values, before shifting.
    :ivar early: it should be set before a connection is made, so in a rule it comes too late for
        the client's side (by Dante's reckoning).
    """

    level: int
    number: int
    shift: int = 0
    bits: int = 0
    symbols: dict[str, int] = field(default_factory=dict)
    early: bool = True


# RFC 2474, 2597 and 3246.
_DSCP: Final = (
    {f"cs{number}": number << 3 for number in range(8)}
    | {f"af{c}{drop}": (c << 3) + (drop << 1) for c in range(1, 5) for drop in range(1, 4)}
    | {"ef": 46}
)
# RFC 791, 3.1.
_PRECEDENCE: Final = {
    "netcontrol": 7,
    "internetcontrol": 6,
    "critic_ecp": 5,
    "flashoverride": 4,
    "flash": 3,
    "immediate": 2,
    "priority": 1,
    "routine": 0,
}
# RFC 1349, 4.
_TOS: Final = {"lowdelay": 8, "throughput": 4, "reliability": 2}
_IP_TOS: Final = 1

#: All options by name.
OPTIONS: Final = {
    "so_broadcast": Option(_SOCKET, 6),
    "so_debug": Option(_SOCKET, 1, early=False),
    "so_dontroute": Option(_SOCKET, 5),
    "so_keepalive": Option(_SOCKET, 9),
    "so_linger": Option(_SOCKET, 13),
    "so_oobinline": Option(_SOCKET, 10),
    "so_priority": Option(_SOCKET, 12),
    "so_rcvbuf": Option(_SOCKET, 8),
    "so_rcvbufforce": Option(_SOCKET, 33),
    "so_rcvlowat": Option(_SOCKET, 18),
    "so_rcvtimeo": Option(_SOCKET, 20),
    "so_sndbuf": Option(_SOCKET, 7),
    "so_sndbufforce": Option(_SOCKET, 32),
    "so_sndlowat": Option(_SOCKET, 19),
    "so_sndtimeo": Option(_SOCKET, 21),
    "so_timestamp": Option(_SOCKET, 29),
    "tcp_cork": Option(_TCP, 3),
    "tcp_keepcnt": Option(_TCP, 6),
    "tcp_keepidle": Option(_TCP, 4),
    "tcp_keepintvl": Option(_TCP, 5),
    "tcp_linger2": Option(_TCP, 8),
    "tcp_maxseg": Option(_TCP, 2),
    "tcp_md5sig": Option(_TCP, 14),
    "tcp_nodelay": Option(_TCP, 1),
    "tcp_syncnt": Option(_TCP, 7),
    "tcp_window_clamp": Option(_TCP, 10),
    "udp_cork": Option(_UDP, 1),
    "ip_freebind": Option(_IP, 15),
    "ip_minttl": Option(_IP, 21),
    "ip_mtu_discover": Option(_IP, 10),
    "ip_tos": Option(_IP, _IP_TOS, early=False),
    "ip_tos.dscp": Option(_IP, _IP_TOS, 2, 6, _DSCP, early=False),
    "ip_tos.prec": Option(_IP, _IP_TOS, 5, 3, _PRECEDENCE, early=False),
    "ip_tos.tos": Option(_IP, _IP_TOS, 1, 4, _TOS, early=False),
    "ip_ttl": Option(_IP, 2),
}
