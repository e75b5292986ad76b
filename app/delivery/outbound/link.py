"""Everything that is kept for one endpoint between attempts: connections, tokens, and the proof of who we are."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from app.delivery.dialects.base import Misconfigured
from app.delivery.outbound import signing, tls
from app.delivery.outbound.address import Address, parse
from app.delivery.outbound.credentials import Credentials
from app.delivery.outbound.guard import Guard, Network, networks
from app.delivery.outbound.methods import PROOFS, Means, Proof
from app.delivery.outbound.sealing import Seal, Undecipherable
from app.delivery.outbound.transport import GuardedTransport, Resolve
from app.delivery.outbound.wire import Wire
from app.store.referrals.endpoints import Access, Key

ACCESS_TABLE, KEY_TABLE = "endpoint_access", "endpoint_key"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all endpoints share. `allowed` networks may be called though they are not public."""

    allowed: tuple[Network, ...]
    seal: Seal | None
    timeout: float
    connections: int
    most_bytes: int
    agent: str
    resolve: Resolve


class Link:
    """The way to one endpoint, as its address and access were when it was made. Counted: closed after its last use."""

    def __init__(self, written: str, access: Access | None, around: Surroundings) -> None:
        self.written = written
        self.access = access
        self.address = parse(written)
        self.credentials = opened(access, around.seal)
        self._check_address(access)
        self.guard = Guard(around.allowed + networks(access.allow if access else ""))
        self.tls = context(self.credentials)
        self._around = around
        self._wires: dict[str, Wire] = {}
        self._users = 0
        self._retired = False
        self.signing_key = self.credentials.signing_key
        self.wire = self.wire_to(self.address)
        self.proof = self._proof(access)

    def wire_to(self, address: Address) -> Wire:
        """The guarded way to an origin: the endpoint's own, or its token server's."""
        wire = self._wires.get(address.origin)
        if wire is None:
            transport = GuardedTransport(
                self.guard,
                encrypted=address.encrypted,
                tls=self.tls,
                resolve=self._around.resolve,
                connections=self._around.connections,
            )
            wire = self._wires[address.origin] = Wire(transport, self._around.most_bytes)
        return wire

    def is_of(self, access: Access | None) -> bool:
        """Whether it was made from the same access, and still signs with the right key."""
        return _version(self.access) == _version(access)

    def take(self) -> None:
        self._users += 1

    async def leave(self) -> None:
        self._users -= 1
        await self._close_if_unused()

    async def retire(self) -> None:
        """Nobody new will use it."""
        self._retired = True
        await self._close_if_unused()

    async def _close_if_unused(self) -> None:
        if self._retired and self._users == 0:
            await self.proof.close()
            for wire in self._wires.values():
                await wire.close()

    def _check_address(self, access: Access | None) -> None:
        if access is not None and self.credentials.address != self.written:
            raise Misconfigured(
                "The Endpoint's address is another than the one that its credentials are for: "
                "run `careloop endpoint set` if that is right."
            )

    def _proof(self, access: Access | None) -> Proof:
        around = self._around
        key = opened_key(access.key, around.seal) if access and access.method == "smart" and access.key else None
        means = Means(self.address, self.credentials, key, self.wire_to, around.timeout, around.agent)
        return PROOFS[access.method if access else "none"](means)


def _version(access: Access | None) -> object:
    return (access.updated_at, access.key and access.key.kid) if access else None


def opened(access: Access | None, seal: Seal | None) -> Credentials:
    """Raises Misconfigured when they cannot be deciphered."""
    if access is None:
        return Credentials()
    return Credentials.loads(_open(access.sealed, seal, ACCESS_TABLE, access.endpoint_id))


def opened_key(key: Key, seal: Seal | None) -> signing.KeyPair:
    """Raises Misconfigured likewise."""
    return signing.load(_open(key.sealed, seal, KEY_TABLE, key.endpoint_id, key.kid))


def context(credentials: Credentials) -> ssl.SSLContext:
    try:
        return tls.context(credentials)
    except ValueError as error:
        raise Misconfigured(f"The endpoint's credentials: {error}.") from None


def _open(sealed: bytes, seal: Seal | None, *row: str) -> bytes:
    if seal is None:
        raise Misconfigured("CARELOOP_SECRET_KEY is not set: the endpoint's credentials cannot be deciphered.")
    try:
        return seal.open(sealed, *row)
    except Undecipherable:
        raise Misconfigured("CARELOOP_SECRET_KEY is another than the one that sealed the credentials.") from None
