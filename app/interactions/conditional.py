"""What a write depends on, looked up inside its transaction. https://hl7.org/fhir/R4/http.html#cond-update"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from app.errors import Conflict, Malformed, NotFound, PreconditionFailed
from app.fhir.types import Interaction
from app.interactions import criteria, governance, patch
from app.interactions.context import Context
from app.interactions.read import present
from app.interactions.writes import Write
from app.store import resources
from app.store.connections import Connection
from app.store.resources import Stored
from app.store.save_function import ABSENT, ANY, FRESH, LIVE


async def decide(
    context: Context, connection: Connection, write: Write, leaving: Collection[tuple[str, str]] = ()
) -> None:
    """Find the match of a conditional write, the version of a list, the resource of a patch; set what follows."""
    if write.criteria is not None:
        write.match = await criteria.find(context, connection, write.criteria, leaving)
        await _OUTCOMES[write.request.interaction](context, connection, write)
        if write.settled:
            return
        await governance.lock(context, connection, [write])
    if write.versions or write.request.patch:
        await _lock(context, connection, write)


async def _created(_context: Context, _connection: Connection, write: Write) -> None:
    write.settled = write.match is not None


async def _updated(context: Context, connection: Connection, write: Write) -> None:
    given = (write.resource or {}).get("id")
    if write.match is not None:
        if given is not None and given != write.match.id:
            raise Malformed("The criteria match a resource with another id than the one in the body.")
        if write.expect == ABSENT:
            raise PreconditionFailed("The criteria match a resource.")
        write.id = write.match.id
        return
    if write.expect not in (ANY, ABSENT):
        raise PreconditionFailed("The criteria match no resource.")
    if given is None:
        write.id, write.expect = context.new_id(), FRESH
        return
    if await _exists(context, connection, write.type, given):
        raise Conflict("The criteria match no resource, but the id in the body is taken.")
    write.id, write.expect = given, ABSENT


async def _patched(_context: Context, _connection: Connection, write: Write) -> None:
    if write.match is None:
        raise NotFound("The criteria match no resource.")
    write.id = write.match.id


async def _deleted(_context: Context, _connection: Connection, write: Write) -> None:
    if write.match is None:
        write.settled = True
    else:
        write.id = write.match.id


_OUTCOMES: dict[Interaction, Callable[[Context, Connection, Write], Awaitable[None]]] = {
    Interaction.CREATE: _created,
    Interaction.CONDITIONAL_UPDATE: _updated,
    Interaction.CONDITIONAL_PATCH: _patched,
    Interaction.CONDITIONAL_DELETE: _deleted,
}


async def _exists(context: Context, connection: Connection, type_name: str, id_: str) -> bool:
    stored = await resources.lock(connection, type_name, id_, context.visible)
    return stored is not None and not stored.deleted


async def _lock(context: Context, connection: Connection, write: Write) -> None:
    stored = await resources.lock(connection, write.type, write.id, context.visible)
    if write.request.patch:
        _check_version(write, present(stored))
        patch.apply(write, present(stored))
    elif stored is None or stored.deleted or stored.version not in write.versions:
        raise PreconditionFailed("The resource is not at any of the versions in If-Match.")
    else:
        write.expect = stored.version


def _check_version(write: Write, stored: Stored) -> None:
    wanted = write.versions or (() if write.expect in (ANY, LIVE) else (write.expect,))
    if wanted and stored.version not in wanted:
        raise PreconditionFailed("The resource is not at the version in If-Match.")
    write.expect = stored.version
