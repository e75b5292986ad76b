"""Everything that services add to the engine, in one table."""

from __future__ import annotations

from app.fhir.referrals import worklist as worklist_query
from app.fhir.referrals.workflow import referral_key
from app.fhir.types import Interaction
from app.interactions.extensions import Extensions, Governed, Handler
from app.services import worklist
from app.services.inbound import resolve, sources
from app.services.referrals import check_duplicate, delivery, forward, redeliver, refer
from app.services.workflow import closing, intermediary, revocation, selection, sequence, teams, unseen
from app.services.workflow import rules as workflow

_OPERATIONS: dict[Interaction, Handler] = {
    Interaction.REFER: refer.refer,
    Interaction.FORWARD: forward.forward,
    Interaction.CHECK_DUPLICATE: check_duplicate.check_duplicate,
    Interaction.DELIVERY: delivery.delivery,
    Interaction.REDELIVER: redeliver.redeliver,
    Interaction.RESOLVE: resolve.resolve,
}


def extensions() -> Extensions:
    return Extensions(
        operations=_OPERATIONS, queries={("Task", worklist_query.QUERY): worklist.worklist}, governed=_governed()
    )


def _governed() -> dict[str, Governed]:
    """Effects run in this order: whoever is next is asked before a Task that was passed on is told that nobody is."""
    tasks = Governed(
        key=referral_key,
        complete=unseen.keep_unseen,
        rules=[workflow.judge_task],
        effects=[
            selection.select,
            teams.follow,
            closing.close,
            revocation.settle,
            revocation.tell,
            sequence.advance,
            sequence.ask,
            revocation.abort,
            intermediary.report,
            intermediary.take_back_children,
            sources.received,
        ],
    )
    orders = Governed(
        key=referral_key,
        rules=[workflow.judge_order],
        effects=[workflow.keep_until_answered, revocation.revoke, sequence.resume],
    )
    return {"Task": tasks, "ServiceRequest": orders}
