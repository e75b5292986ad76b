"""Writes of governed types: one referral at a time, by the rules, with what follows from them.

The order of a governed transaction is: `lock` the referrals concerned, decide and lock the resources, `judge` every
step, store, `follow`. So no two transactions wait for each other's referral, and every rule and effect sees a state
that stays as it is until the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b

from app.errors import PreconditionFailed, Problem
from app.fhir.json import loads
from app.fhir.types import Json
from app.fhir.validation import check
from app.interactions.context import Context
from app.interactions.extensions import Step
from app.interactions.writes import Write
from app.security.principal import SYSTEM
from app.store import resources
from app.store.connections import Connection
from app.store.resources import Stored
from app.store.save_function import ABSENT, FRESH, LIVE


def is_governed(context: Context, write: Write) -> bool:
    return write.type in context.server.extensions.governed


async def lock(context: Context, connection: Connection, writes: Sequence[Write]) -> None:
    """Wait for every other transaction on the same referrals. Conditional writes lock when they have found their id."""
    governed = [write for write in writes if write.id and write.expect != FRESH and is_governed(context, write)]
    keys = set()
    for write in governed:
        stored = await resources.read(connection, write.type, write.id, context.visible)
        key = context.server.extensions.governed[write.type].key
        for state in (_json(stored), write.resource):
            if state is not None:
                keys.add(key(state))
    await lock_keys(connection, keys)


async def lock_keys(connection: Connection, keys: set[str]) -> None:
    """Wait for every other transaction on what has these keys (`ServiceRequest/1`), until this one ends."""
    numbers = sorted({_number(key) for key in keys if key})
    if numbers:
        await connection.execute("SELECT pg_advisory_xact_lock(7267, n) FROM unnest($1::integer[]) AS n", numbers)


def _number(key: str) -> int:
    """One of 1,024 numbers: PostgreSQL has room for a limited number of locks, and a bundle may have many referrals."""
    return int.from_bytes(blake2b(key.encode(), digest_size=2).digest(), "big") & 1023


async def judge(context: Context, connection: Connection, writes: Sequence[Write]) -> list[Step]:
    """The steps that governed writes take. Raises the first problem that a rule has with one of them.

    What CareLoop does by itself follows from rules already and is not judged again.
    """
    governed = [write for write in writes if not write.settled and is_governed(context, write)]
    stored = await _lock_stored(context, connection, governed)
    steps = []
    for write in governed:
        step = _completed(context, write, _step(write, stored.get((write.type, write.id))))
        steps.append(step)
        if context.principal != SYSTEM:
            await _judge(context, connection, write, step)
    return steps


def _completed(context: Context, write: Write, step: Step) -> Step:
    """The step with what the caller could not know of; what it sends is then stored with that."""
    complete = context.server.extensions.governed[write.type].complete
    named = write.request.patch or "if-match" in write.request.headers
    if complete is None or named or step.before is None or step.after is None or context.principal == SYSTEM:
        return step
    after = complete(context, step.before, step.after)
    if after is step.after:
        return step
    write.resource, write.checked = after, check(after, write.type)
    return replace(step, after=after)


async def _judge(context: Context, connection: Connection, write: Write, step: Step) -> None:
    """Raises what the first rule that refuses raises, with the place of the resource in its bundle."""
    try:
        for rule in context.server.extensions.governed[write.type].rules:
            await rule(context, connection, step)
    except Problem as problem:
        if write.location is None:
            raise
        issues = [issue.under(write.location) for issue in problem.issues]
        raise type(problem)(issues=issues, headers=problem.headers) from None


async def _lock_stored(
    context: Context, connection: Connection, writes: Sequence[Write]
) -> dict[tuple[str, str], Stored]:
    """What is stored of the resources to be written, by type and id, kept until the transaction ends."""
    ids: dict[str, list[str]] = {}
    for write in writes:
        if write.expect != FRESH:
            ids.setdefault(write.type, []).append(write.id)
    found = {}
    for type_name in sorted(ids):
        stored = await resources.lock_all(connection, type_name, ids[type_name], context.visible)
        found.update({(type_name, id_): one for id_, one in stored.items()})
    return found


def _step(write: Write, stored: Stored | None) -> Step:
    if write.expect != FRESH:
        _check_version(write, stored)
    after = None if write.deletes or write.resource is None else write.resource | {"id": write.id}
    return Step(write.type, write.id, _json(stored), after, write.named)


def _check_version(write: Write, stored: Stored | None) -> None:
    """The save function checks it as well; here it comes before the rules, as the order of refusals wants."""
    living = stored is not None and not stored.deleted
    version = stored.version if stored is not None and living else None
    if (write.expect == LIVE and not living) or (write.expect == ABSENT and living):
        raise PreconditionFailed("The resource is not in the state that the request expects.")
    if write.expect > 0 and write.expect != version:
        raise PreconditionFailed("The resource is not at the version in If-Match.")


def _json(stored: Stored | None) -> Json | None:
    return None if stored is None or stored.deleted else loads(stored.json())


async def current(context: Context, connection: Connection, steps: Sequence[Step]) -> dict[tuple[str, str], Stored]:
    """What is stored of them after all effects, by type and id: an effect may have changed the resource again."""
    keys = [(step.type, step.id) for step in steps if step.after is not None]
    found = await resources.read_all(connection, keys, context.visible) if keys else []
    return {(stored.type, stored.id): stored for stored in found}


async def follow(context: Context, connection: Connection, steps: Sequence[Step]) -> None:
    """Do what follows from steps that are stored."""
    for step in steps:
        for effect in context.server.extensions.governed[step.type].effects:
            await effect(context, connection, step)
