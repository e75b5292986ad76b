"""The comparison: what callers were told, what CareLoop says, and what recipients have, must be one truth.

Nothing in here waits, asks or forgives: every line that comes out is a fault of CareLoop, or of this comparison.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.caller import Told
from tests.chaos.truths import CLOSED, Ours, Theirs, code, delivered_as, held_back, placer, site_of
from tests.chaos.world import RECORD, Json

LOST, DOUBLED, DISORDERED, UNTRUE, REFUSED = "lost", "doubled", "out of order", "untruthful", "wrong answers"
SENT_THINGS = ("Task", "ServiceRequest", "DocumentReference", "Communication")
_UNANSWERED = frozenset({"draft", "requested", "ready", "received"})
_ENDED = CLOSED | {"revoked", "gone"}

_MEANT: Mapping[str, str] = {"revoked": "rejected", "active": "requested"}
"""What the status of an order, where there is no Task, says of the Task."""

_REMOTE: Mapping[str, str] = {"gravity": "Task", "transaction": "Task", "servicerequest": "ServiceRequest"}
"""By profile: what stands for a referral there and says how far it is; elsewhere people work on our API."""


@dataclass(slots=True)
class Verdict:
    """What was found, by kind; each line names the resource. `dead` are the ids of Tasks that wait for a person."""

    found: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    dead: list[str] = field(default_factory=list)

    def add(self, kind: str, text: str) -> None:
        self.found[kind].append(text)

    def lines(self) -> list[str]:
        return [f"{kind}: {text}" for kind, texts in self.found.items() for text in texts]


def compare(told: Told, ours: Ours, theirs: Mapping[str, Theirs], *, base: str) -> Verdict:
    verdict = Verdict()
    for line in told.wrong:
        verdict.add(REFUSED, line)
    _acknowledged(told, ours, verdict)
    later = held_back(ours.tasks.values())
    for id_, task in sorted(ours.tasks.items()):
        _task(id_, task, ours, theirs, verdict)
        if id_ not in later:
            _came_to_an_end(id_, task, ours, verdict)
    for id_ in sorted(ours.aborts):
        _messages(id_, ours, verdict)
    for one in theirs.values():
        for kind, text in [*_doubled(one, base), *_disordered(one), *_unfinished(one)]:
            verdict.add(kind, f"{one.site.name}: {text}")
    if ours.idle:
        verdict.add(UNTRUE, f"{ours.idle} connections are idle in a transaction")
    return verdict


def _acknowledged(told: Told, ours: Ours, verdict: Verdict) -> None:
    """Each order has the Tasks that its caller was told of, and no others."""
    by_order: dict[str, set[str]] = defaultdict(set)
    for id_, task in ours.tasks.items():
        by_order[task["focus"]["reference"]].add(id_)
    for referral in told.referrals:
        known = by_order.pop(referral.order, set())
        for id_ in set(referral.tasks) - known:
            verdict.add(LOST, f"Task/{id_} was acknowledged and is not there")
        for id_ in known - set(referral.tasks):
            verdict.add(DOUBLED, f"Task/{id_} of {referral.order} was made and nobody was told")
    for order, known in by_order.items():
        verdict.add(DOUBLED, f"{order} has Tasks {sorted(known)} that nobody was told of")
    for referral in told.referrals:
        first = ours.tasks.get(referral.tasks[0], {})
        if referral.cancelled and first.get("status") != "cancelled":
            verdict.add(UNTRUE, f"Task/{referral.tasks[0]} was cancelled and is {first.get('status')}")


def _task(id_: str, task: Json, ours: Ours, theirs: Mapping[str, Theirs], verdict: Verdict) -> None:
    _messages(id_, ours, verdict)
    status, said = task["status"], delivered_as(task)
    state = _submitted(id_, ours)
    site = theirs.get(site_of(task))
    arrived = site is not None and any(one.kind == "submit" and one.referral == placer(task) for one in site.arrivals)
    where = f"Task/{id_} ({status}, {state}{f' to {site.site.name}' if site else ''})"
    if state == "delivered" and site is not None and not arrived and site.site.kind.profile != "light":
        verdict.add(LOST, f"{where} never arrived")
    if state in ("none", "dropped") and arrived:
        verdict.add(UNTRUE, f"{where} arrived")
    if said != _SAID.get(state, ""):
        verdict.add(UNTRUE, f"{where} says that its delivery is {said or 'nothing'}")
    if state == "manual" and status not in CLOSED and id_ not in ours.by_hand:
        verdict.add(LOST, f"{where} waits for a person who was never asked")
    if state == "dead":
        _visibly_dead(where, id_, task, ours, verdict)
    if status == "completed":
        _has_outputs(where, task, verdict)
    if site is not None and state == "delivered":
        _agrees(where, id_, task, ours, site, verdict)


def _came_to_an_end(id_: str, task: Json, ours: Ours, verdict: Verdict) -> None:
    """It was sent, and is closed or waits for a person."""
    state, status = _submitted(id_, ours), task["status"]
    if state in ("none", "dropped") and status != "cancelled":
        verdict.add(LOST, f"Task/{id_} ({status}, {state}) was never sent")
    if state not in ("dead", "manual") and status not in CLOSED:
        verdict.add(UNTRUE, f"Task/{id_} ({status}, {state}) is still open")


def _submitted(id_: str, ours: Ours) -> str:
    """The state of the last delivery that submits it."""
    states = [one["state"] for one in ours.deliveries[id_] if one["kind"] == "submit"]
    return states[-1] if states else "none"


_SAID = {"delivered": "delivered", "dead": "failed"}


def _messages(id_: str, ours: Ours, verdict: Verdict) -> None:
    """Nothing waits any more; what is dead stands on the work-list, unless a later message of its kind took over."""
    for one in ours.deliveries[id_]:
        if one["state"] == "pending":
            verdict.add(LOST, f"Task/{id_}: its {one['kind']} is still pending ({one.get('outcome', 'never tried')})")
    last = {one["kind"]: one for one in ours.deliveries[id_]}
    for kind, one in last.items():
        if one["state"] == "dead" and kind != "submit":
            verdict.dead.append(id_)
            if "delivery-dead" not in ours.work.get(id_, ()):
                verdict.add(UNTRUE, f"Task/{id_}: its {kind} is dead and not on the work-list")


def _visibly_dead(where: str, id_: str, task: Json, ours: Ours, verdict: Verdict) -> None:
    if task["status"] in CLOSED:
        return
    verdict.dead.append(id_)
    failed = any(one.get("code") == "delivery-failed" for one in task.get("businessStatus", {}).get("coding", ()))
    if task["status"] in _UNANSWERED and not failed:
        verdict.add(UNTRUE, f"{where} is dead and has no businessStatus")
    if "delivery-dead" not in ours.work.get(id_, ()):
        verdict.add(UNTRUE, f"{where} is dead and not on the work-list")


def _has_outputs(where: str, task: Json, verdict: Verdict) -> None:
    outputs = [one.get("valueReference", {}).get("reference") for one in task.get("output", ())]
    if not outputs or len(set(outputs)) != len(outputs):
        verdict.add(UNTRUE, f"{where} has the outputs {outputs}")


def _agrees(where: str, id_: str, task: Json, ours: Ours, site: Theirs, verdict: Verdict) -> None:
    """The Task's status is what the recipient told last, or the difference is shown to a person."""
    profile, key = site.site.kind.profile, placer(task)
    if profile in _REMOTE:
        found = [one for one in site.resources.get((_REMOTE[profile], key), ()) if code(one) != "abort"]
        statuses = [one["status"] for one in found]
    else:
        statuses = [status for place, status in site.plans.items() if place.endswith((f"/Task/{id_}", f"={key}"))]
    shown = "inbound-conflict" in ours.work.get(id_, ())
    for status in statuses:
        if task["status"] not in (status, _meant(status, task)) and status != "gone" and not shown:
            verdict.add(UNTRUE, f"{where} is {status} there")
    remote = found[0] if profile in ("gravity", "transaction") and len(found) == 1 else {}
    if task["status"] == "completed" and remote and len(remote.get("output", ())) != len(task.get("output", ())):
        verdict.add(UNTRUE, f"{where} has {len(task.get('output', ()))} outputs, there {len(remote.get('output', ()))}")


def _meant(status: str, task: Json) -> str:
    """What was refused while we took it back is taken back here; an order that was revoked there was so by either."""
    if status in ("rejected", "revoked") and task["status"] == "cancelled":
        return "cancelled"
    return _MEANT.get(status, status)


def _doubled(one: Theirs, base: str) -> Iterator[tuple[str, str]]:
    for double in one.ledger["doubled"]:
        yield DOUBLED, f"the ledger has twice {double['type']} {double['resources']}"
    for (kind, key), found in one.resources.items():
        ours = kind in SENT_THINGS and key.startswith(f"{base}/identifier/")
        if len(found) > 1 and (ours or (kind == "Patient" and key.startswith(RECORD))):
            yield DOUBLED, f"there are {len(found)} of {kind} {key}"
    fresh: dict[tuple[str, str, str], int] = defaultdict(int)
    for arrival in one.arrivals:
        if arrival.fresh and arrival.kind != "update":
            fresh[arrival.kind, arrival.identifier, arrival.made.partition("/")[0]] += 1
    for (kind, identifier, made), count in fresh.items():
        if count > 1 and identifier:
            yield DOUBLED, f"the {kind} of {made} {identifier} was processed {count} times"


def _disordered(one: Theirs) -> Iterator[tuple[str, str]]:
    """The submit comes first, and none comes after what ends it. A Communication only goes along with a note.

    Where people look for Tasks on our API themselves, the ledger does not tell what an abort is about.
    """
    orders: dict[str, list[str]] = defaultdict(list)
    for arrival in one.arrivals:
        if arrival.referral and not arrival.made.startswith("Communication/") and arrival.fresh:
            orders[arrival.referral].append(arrival.kind)
    for key, kinds in orders.items():
        if kinds[0] != "submit" or kinds.count("submit") > 1:
            yield DISORDERED, f"{key}: {', '.join(kinds)}"


def _unfinished(one: Theirs) -> Iterator[tuple[str, str]]:
    for place, status in one.plans.items():
        if status not in _ENDED:
            yield UNTRUE, f"their people have not finished {place} ({status})"


def leaked(words: Sequence[str], read: Callable[[], Iterator[tuple[str, str]]]) -> list[str]:
    """The logs, by name, that hold one of these words."""
    return [f"{name} tells {word[:6]}…" for name, text in read() for word in words if word in text]
