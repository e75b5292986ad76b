"""Storing access and keys: what `careloop endpoint` does to the tables."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.delivery.dialects.base import Misconfigured
from app.delivery.outbound import signing
from app.delivery.outbound.credentials import Credentials
from app.delivery.outbound.link import ACCESS_TABLE, KEY_TABLE, opened
from app.delivery.outbound.sealing import Seal
from app.errors import Conflict
from app.store.connections import Connection, Connections
from app.store.referrals import endpoints


@dataclass(frozen=True, slots=True)
class Kept:
    """What is stored of an endpoint. `credentials` is None when they cannot be deciphered any more."""

    access: endpoints.Access
    credentials: Credentials | None


@dataclass(frozen=True, slots=True)
class Rotation:
    """`kid` signs from `signs_from` on; the keys before it are shown until `retired_at`."""

    kid: str
    signs_from: datetime
    retired_at: datetime


async def kept(connections: Connections, endpoint_id: str, seal: Seal | None) -> Kept | None:
    async with connections.lease() as connection:
        access = await endpoints.access(connection, endpoint_id)
    if access is None:
        return None
    try:
        return Kept(access, opened(access, seal))
    except Misconfigured:
        return Kept(access, None)


async def keep(
    connections: Connections,
    endpoint_id: str,
    seal: Seal,
    method: str,
    credentials: Credentials,
    allow: str,
    key: signing.KeyPair | None = None,
) -> None:
    """Store access, and with SMART a key pair: the given one, or a new one unless there is one of the algorithm.

    Raises Conflict when another endpoint has the given one.
    """
    async with connections.transaction() as connection:
        await endpoints.lock(connection, endpoint_id)
        sealed = seal.close(credentials.dumps(), ACCESS_TABLE, endpoint_id)
        await endpoints.save_access(connection, endpoint_id, method, sealed, allow)
        if method == "smart":
            await _provide_key(connection, endpoint_id, seal, credentials.algorithm, key)


async def rotate(connections: Connections, endpoint_id: str, seal: Seal, pause: timedelta) -> Rotation:
    """Publish a new key pair, which signs after the pause; the old ones are shown as long again.

    Raises Conflict while a rotation is under way, or when there is nothing to rotate.
    """
    async with connections.transaction() as connection:
        await endpoints.lock(connection, endpoint_id)
        keys = await endpoints.keys(connection, endpoint_id)
        if not keys:
            raise Conflict("the endpoint has no key pair")
        if len(keys) > 1 and pause:
            raise Conflict("a rotation is under way: wait until one key is left (see `careloop endpoint list`)")
        pair = signing.generate(keys[-1].algorithm)
        signs_from = await _add(connection, endpoint_id, seal, pair, pause)
        retired_at = signs_from + pause
        await endpoints.retire_keys(connection, endpoint_id, but=pair.kid, at=retired_at)
    return Rotation(pair.kid, signs_from, retired_at)


async def reseal(connections: Connections, endpoint_id: str, seal: Seal) -> int:
    """Seal all secrets of an endpoint with the first key of the seal; how many there are. Raises Undecipherable."""
    async with connections.transaction() as connection:
        await endpoints.lock(connection, endpoint_id)
        access = await endpoints.access(connection, endpoint_id)
        if access is None:
            return 0
        keys = await endpoints.keys(connection, endpoint_id)
        sealed = {key.kid: _sealed_anew(seal, key.sealed, KEY_TABLE, endpoint_id, key.kid) for key in keys}
        await endpoints.reseal(
            connection, endpoint_id, _sealed_anew(seal, access.sealed, ACCESS_TABLE, endpoint_id), sealed
        )
    return 1 + len(keys)


def _sealed_anew(seal: Seal, sealed: bytes, *row: str) -> bytes:
    return seal.close(seal.open(sealed, *row), *row)


async def _provide_key(
    connection: Connection, endpoint_id: str, seal: Seal, algorithm: str, given: signing.KeyPair | None
) -> None:
    keys = await endpoints.keys(connection, endpoint_id)
    if given is None and any(key.algorithm == algorithm for key in keys):
        return
    pair = given or signing.generate(algorithm)
    await endpoints.retire_keys(connection, endpoint_id, but=pair.kid)
    if all(key.kid != pair.kid for key in keys):
        await _add(connection, endpoint_id, seal, pair, timedelta(0))


async def _add(
    connection: Connection, endpoint_id: str, seal: Seal, pair: signing.KeyPair, pause: timedelta
) -> datetime:
    sealed = seal.close(pair.pem(), KEY_TABLE, endpoint_id, pair.kid)
    public = json.dumps(pair.public, separators=(",", ":"))
    signs_from = await endpoints.add_key(connection, pair.kid, endpoint_id, pair.algorithm, public, sealed, pause=pause)
    if signs_from is None:
        raise Conflict("another endpoint has this key pair: each must have its own")
    return signs_from
