"""
Names of network interfaces, also of those that do not exist yet.

A tunnel often comes up after the server, so a word that is neither an address nor a host name is
taken for an interface that the server waits for, unless it cannot be one.  A misspelt host name
must still be an error: a host name has dots and its last label is not a number (:rfc:`1123`, 2.1),
while the name of a VLAN ends in one (``eth0.100``).
"""

from __future__ import annotations

import re
from typing import Final

#: Bytes of an interface's name, or of a label, at most (``IFNAMSIZ`` less the final NUL).
LONGEST_NAME: Final = 15

#: Words that people write for something else, or that are placeholders.  Linux itself refuses
#: interfaces called ``all`` or ``default``.
_NO_NAMES: Final = frozenset(
    ("all", "any", "default", "everyone", "everything", "none", "localhost")
)

# What the kernel takes (dev_valid_name), and no more than what people use of that.
_NAME: Final = re.compile(r"(?a)[\w@.+~-]+(?::[\w@.+~:-]+)?")
# A template that has not been filled in (EXT_IF, YOUR_ADDRESS): capitals, underscores, no number.
_PLACEHOLDER: Final = re.compile(r"(?a)_.*|.*_|[A-Z_]+")
# A letter somewhere, which addresses lack; dots only before a number: VLANs.
_DOTTED: Final = re.compile(r"(?a)[^.]*[A-Za-z][^.]*(?:\.[0-9]+)*")
# An IPv6 address that lacks something, not an alias label; HOST:PORT is none either.
_HEXADECIMAL: Final = re.compile(r"(?a)[0-9A-Fa-f:.]*")
_PORT: Final = re.compile(r"(?a)[0-9]{4,}")

# Names that kernel, udev and common VPN programs give; no host would be called so.
_USUAL: Final = re.compile(
    r"""(?xa)
    (?: eth | usb | wlan | wwan | wl | ww | tun | tap | utun | wg | ppp | br | bond | team | veth
      | venet | vmbr | virbr | docker | lxcbr | vlan | macvlan | ipvlan | dummy | ifb | gre
      | gretap | sit | ipip | ip6tnl | vti | xfrm | vxlan | ipsec | tailscale | proton
    )[0-9]+
    | en (?: [0-9]+ | [ops][0-9]\w* | x[0-9a-f]{12} )
    | ww?l (?: [ops][0-9]\w* | x[0-9a-f]{12} )
    | em[0-9] | p[0-9]+p[0-9]+
    | (?: br | wg | tun | tap | veth | docker ) - [\w-]+
    | nordlynx
    """
)


def may_be_interface(text: str) -> bool:
    """Whether a word that is no address may name an interface, or an alias label of one."""
    if not 2 <= len(text.encode("utf-8", "surrogateescape")) <= LONGEST_NAME:
        return False
    if _NAME.fullmatch(text) is None:
        return False
    base, colon, label = text.partition(":")
    if colon and (_HEXADECIMAL.fullmatch(text) or _PORT.fullmatch(label)):
        return False
    return (
        base.lower() not in _NO_NAMES
        and _DOTTED.fullmatch(base) is not None
        and _PLACEHOLDER.fullmatch(base) is None
    )


def is_alias(text: str) -> bool:
    """
    Whether a word can only be an alias label (``eth0:1``), which names some of an interface's
    addresses (:manpage:`ip-address(8)`): no host name has a colon.

    The caller knows that it is no IPv6 address.
    """
    return ":" in text and may_be_interface(text)


def is_usual(text: str) -> bool:
    """Whether a word is an alias label, or a name such as interfaces have and hosts do not."""
    if not may_be_interface(text):
        return False
    name, colon, _ = text.partition(":")
    return bool(colon) or _USUAL.fullmatch(name.partition(".")[0]) is not None
