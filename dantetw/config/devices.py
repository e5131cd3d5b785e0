"""
Which words name a network interface, also one that does not exist yet.

A tunnel often comes up after the server, so a word that is neither an address nor a host name is
taken for an interface that the server waits for, unless it cannot be one.  A misspelt host name
must still be an error: a host name has dots and its last label is not a number (:rfc:`1123`, 2.1),
while the name of a VLAN ends in one (``eth0.100``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from dantetw.config.machine import Machine, Transport

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


class Snapshot:
    """
    A :class:`~dantetw.config.machine.Machine` whose interfaces are looked up once.

    One reading of a configuration has one view of them, and thousands of lines do not make
    thousands of look-ups.
    """

    def __init__(self, system: Machine) -> None:
        self._system = system
        self.interfaces: Mapping[str, Sequence[str]] = system.interfaces
        self._all = {a: None for addresses in self.interfaces.values() for a in addresses}
        # Those of one link may be written without its name.
        self._all.update({address.partition("%")[0]: None for address in self._all})
        self._bindable: dict[str, bool] = {}

    @property
    def effective_root(self) -> bool:
        """See :class:`~dantetw.config.machine.Machine`, likewise the others."""
        return self._system.effective_root

    def addresses_of(self, interface: str) -> Sequence[str]:
        return self.interfaces.get(interface, ())

    def all_addresses(self) -> Sequence[str]:
        return list(self._all)

    def has_address(self, address: str) -> bool:
        """Whether an interface has an address, written with the link's name or without."""
        return address in self._all

    def can_bind(self, address: str) -> bool:
        if address not in self._bindable:
            self._bindable[address] = self._system.can_bind(address)
        return self._bindable[address]

    def service_port(self, name: str, protocol: Transport) -> int | None:
        return self._system.service_port(name, protocol)

    def user_exists(self, name: str) -> bool:
        return self._system.user_exists(name)

    def has_pam(self) -> bool:
        return self._system.has_pam()

    def resolve(self, name: str) -> Sequence[str]:
        return self._system.resolve(name)
