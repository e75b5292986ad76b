"""Every FHIR request enters here: authorised, dispatched, and tried again when another transaction was in the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

from app.errors import Unavailable
from app.fhir.types import FhirRequest, FhirResult, Interaction
from app.interactions import (
    bundle,
    capabilities,
    create,
    delete,
    everything,
    history,
    lastn,
    meta,
    patch,
    read,
    search,
    update,
    validate,
)
from app.interactions.commit import Prepare, writing
from app.interactions.context import Context
from app.interactions.extensions import Handler
from app.store.errors import TryAgain

ATTEMPTS = 8

WRITES: Mapping[Interaction, Prepare] = {
    Interaction.CREATE: create.prepare,
    Interaction.UPDATE: update.prepare,
    Interaction.CONDITIONAL_UPDATE: update.prepare_conditional,
    Interaction.PATCH: patch.prepare,
    Interaction.CONDITIONAL_PATCH: patch.prepare_conditional,
    Interaction.DELETE: delete.prepare,
    Interaction.CONDITIONAL_DELETE: delete.prepare_conditional,
}


async def execute(context: Context, request: FhirRequest) -> FhirResult:
    """Answer one request. Raises Problem. Nothing is stored unless this returns."""
    context.authorize(request)
    handler = HANDLERS.get(request.interaction) or context.server.extensions.operations[request.interaction]
    if context.connection is not None:
        return await handler(context, request)
    for attempt in range(ATTEMPTS):
        try:
            return await handler(context, request)
        except TryAgain:
            await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311
    raise Unavailable("Other requests keep changing the same resources.", headers={"Retry-After": "1"})


async def _bundle(context: Context, request: FhirRequest) -> FhirResult:
    return await bundle.process(context, request, execute=execute, prepares=WRITES)


HANDLERS: Mapping[Interaction, Handler] = {
    Interaction.CAPABILITIES: capabilities.capabilities,
    Interaction.READ: read.read,
    Interaction.VREAD: read.vread,
    Interaction.SEARCH_TYPE: search.search,
    Interaction.SEARCH_SYSTEM: search.search,
    Interaction.SEARCH_COMPARTMENT: search.search,
    Interaction.HISTORY_INSTANCE: history.history,
    Interaction.HISTORY_TYPE: history.history,
    Interaction.HISTORY_SYSTEM: history.history,
    Interaction.VALIDATE: validate.validate,
    Interaction.EVERYTHING: everything.everything,
    Interaction.META: meta.meta,
    Interaction.LASTN: lastn.lastn,
    Interaction.BUNDLE: _bundle,
    **{interaction: writing(prepare) for interaction, prepare in WRITES.items()},
}
