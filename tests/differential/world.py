"""
The network that both servers see: addresses on the loopback interface, names in a hosts file,
users.
"""

from __future__ import annotations

from typing import Final

#: Where the servers listen.
INTERNAL: Final = ("10.0.0.100", "fd00::100")
PORT: Final = 1080
#: Where they go out from.
EXTERNAL: Final = ("192.0.2.100", "2001:db8::100")
#: Where clients come from.
CLIENTS: Final = ("10.0.0.1", "10.0.0.2", "10.0.1.1", "fd00::1", "fd00:1::1")
#: Where targets are.
TARGETS: Final = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2")
#: An address of a target in the form of IPv6, which is the same target.
MAPPED: Final = "::ffff:192.0.2.1"
#: An address without a route, of each family.
UNREACHABLE: Final = ("203.0.113.5", "2001:db8:1::5")
#: All addresses that exist.
ADDRESSES: Final = (*INTERNAL, *EXTERNAL, *CLIENTS, *TARGETS)

#: Ports that targets listen on, by TCP and UDP.
PORTS: Final = (80, 443, 7000)
#: A port that nobody listens on.
CLOSED: Final = 81
#: The UDP port whose answers come from another port, :data:`ASIDE`, too.
STRAY: Final = 7001
ASIDE: Final = 7002

#: The first of the ports that the kernel chooses.
CHOSEN: Final = 61000

HOSTS: Final = """\
127.0.0.1 localhost
192.0.2.1 one.example
192.0.2.2 two.example
2001:db8::1 six.example
2001:db8::2 both.example
192.0.2.2 both.example
192.0.2.1 www.one.example
10.0.0.1 client.example
10.0.0.2 other.example
"""
NAMES: Final = (
    "one.example",
    "two.example",
    "six.example",
    "both.example",
    "www.one.example",
)
CLIENT_NAMES: Final = ("client.example", "other.example")
UNKNOWN: Final = "nothing.example"

USERS: Final = ("alice", "bob")
GROUPS: Final = ("users", "staff", "none")
PASSWORD: Final = "right"
# The hash of PASSWORD (crypt(5), SHA-256 with few rounds).
_HASH: Final = "$5$rounds=1000$differential$qFqNIbFpmu6AEDZ1W9KjdJ8kCEi0lo/lmb2C36ofxR1"


#: Files of ``/etc`` that are kept as they are.
KEPT: Final = ("services", "protocols", "ld.so.cache")


def files() -> dict[str, str]:
    """The files of ``/etc``: name and text."""
    users = "".join(
        f"{name}:x:{1100 + number}:{65534 - number}::/nonexistent:/usr/sbin/nologin\n"
        for number, name in enumerate(USERS)
    )
    hashes = "".join(f"{name}:{_HASH}:19000:0:99999:7:::\n" for name in USERS)
    return {
        "hosts": HOSTS,
        "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
        "resolv.conf": "nameserver 127.0.0.1\n",
        "group": "root:x:0:\nnogroup:x:65534:\n"
        "users:x:1100:bob\nstaff:x:1200:alice,bob\nnone:x:1201:\n",
        "passwd": "root:x:0:0::/root:/bin/sh\n"
        "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n" + users,
        "shadow": "root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n" + hashes,
    }


def commands(folder: str) -> list[str]:
    """
    Shell commands that make the network in new namespaces.

    :param folder: has a folder ``etc`` with :func:`files`.
    """
    made = ["set -e", "ip link set lo up"]
    for address in ADDRESSES:
        length, last = ("128", " nodad") if ":" in address else ("32", "")
        made.append(f"ip address add {address}/{length} dev lo{last}")
    made.append(f"echo {CHOSEN} 65000 > /proc/sys/net/ipv4/ip_local_port_range")
    # All of /etc: a mount over a single file ends when somebody outside replaces that file.
    made += [f"cp /etc/{name} {folder}/etc" for name in KEPT]
    return [*made, f"mount --bind {folder}/etc /etc"]
