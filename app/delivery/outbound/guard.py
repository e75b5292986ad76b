"""Which addresses of the network may be called: the guard against requests that are sent where they must not go.

An endpoint's address comes from a resource that many may write. Without a guard it could name a database, a metadata
service or the inside of another network. So a name is resolved once, *every* address that it has is checked, and the
connection goes to an address that was checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IPAddress = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Python's `is_global` differs between its versions, and takes for global what only tunnels elsewhere.
_SPECIAL_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # between a carrier and its customers
            "127.0.0.0/8",  # this machine
            "168.63.129.16/32",  # answers inside one provider's virtual machines
            "169.254.0.0/16",  # link-local, where metadata services live
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_UNICAST_6 = IPv6Network("2000::/3")
_SPECIAL_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments
            "2001:db8::/32",  # documentation
            "3fff::/20",  # documentation
        ),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Guard:
    """What one endpoint may be called at: public addresses, and the networks that operators allow."""

    allowed: tuple[Network, ...] = ()

    def admits(self, address: IPAddress, *, encrypted: bool) -> bool:
        """Whether a connection may go there. One that is not encrypted may go to allowed networks only."""
        if any(_inside(form, self.allowed) for form in _forms(address)):
            return True
        return encrypted and is_public(address)


def networks(text: str) -> tuple[Network, ...]:
    """Networks separated by commas or blanks. Raises ValueError, whose message names the part that is none."""
    return tuple(ip_network(part) for part in text.replace(",", " ").split())


def is_public(address: IPAddress) -> bool:
    """Whether the address belongs to somebody on the internet. One that carries another stands for that one.

    IPv6 addresses carry IPv4 addresses when they are mapped, or lead through 6to4 (RFC 3056), Teredo (RFC 4380) or
    NAT64 (RFC 6052). Where NAT64 is a network's own affair (64:ff9b:1::/48, RFC 8215) nobody outside can tell where it
    leads: such an address is never public.
    """
    if isinstance(address, IPv4Address):
        return not _inside(address, _SPECIAL_4)
    if carried := tuple(_carried(address)):
        return all(map(is_public, carried))
    return address in _UNICAST_6 and not _inside(address, _SPECIAL_6)


def numeric(host: str) -> IPAddress | None:
    """The address that a host is; None when it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _forms(address: IPAddress) -> Iterable[IPAddress]:
    yield address
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        yield address.ipv4_mapped


def _carried(address: IPv6Address) -> Iterable[IPv4Address]:
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64:
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def _inside(address: IPAddress, those: Iterable[Network]) -> bool:
    return any(address in network for network in those)
