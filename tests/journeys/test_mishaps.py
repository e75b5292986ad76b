"""What happens besides: restarts, several workers, people who may not, recipients who are no organizations."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.journeys.conftest import Receive
from tests.journeys.world import Case, House, copy_of, output_of, result_for, working
from tests.support.factories import reference, unique
from tests.support.referrals import codes_of, parameters
from tests.support.servers import await_ready, launch


def test_several_workers_share_the_work_and_one_is_stopped_in_the_middle(
    north: House, receive: Receive, tmp_path: Path
) -> None:
    """The one inside the server and two beside it: everything arrives once, whoever had it in hand."""
    pantry = receive("gravity", "--complete-after", "never", "--misbehave", "slow=1")
    pantry.control(latency=0.4)
    case = north.case()
    recipient = north.register(pantry)
    with working(tmp_path, north) as one, working(tmp_path, north) as other:
        tasks = []
        for _ in range(16):
            case.order = north.make({**case.order, "code": {"text": unique("Food")}})
            tasks.append(case.refer(recipient))
        case.until_that(tasks[0], lambda: pantry.ledger()["counts"]["messages"] >= 2)
        assert one.stop(signal.SIGINT) == 0
        pantry.control(misbehave={})
        for task in tasks:
            case.until_delivered(task)
        assert other.stop(signal.SIGTERM) == 0
        assert '"failure"' not in one.log.read_text() + other.log.read_text()
    counts = pantry.ledger()["counts"]
    assert (counts["messages"], counts["doubled"], counts["resources"]["Task"]) == (16, 0, 16)
    assert {len(case.deliveries(task)) for task in tasks} == {1}


def test_a_server_that_restarts_between_delivery_and_answer_hears_it(north: House, receive: Receive) -> None:
    pantry = receive("gravity", "--accept-after", "never")
    case = north.case()
    task = case.until_delivered(case.refer(north.register(pantry)))
    port = int(north.server.origin.rpartition(":")[2])
    settings = north.settings | {"port": port}
    assert north.server.stop() == 0
    pantry.control(accept_after=0)
    north.server = await_ready(launch(north.server.log, north.server.dsn, **settings))
    case.until(task, "completed", patience=90)  # a poll that the end cut off has its next turn in a minute
    assert len(case.deliveries(task)[0]["attempt"]) == 1


def test_an_answer_counts_from_where_it_went_first(north: House, receive: Receive) -> None:
    pantry = receive("gravity", "--accept-after", "never")
    case = north.case()
    task = case.until_delivered(case.refer(north.register(pantry)))
    north.operate(f"Task/{task['id']}/$redeliver", dialect="worklist")  # somebody rings them instead
    pantry.control(accept_after=0)
    case.until(task, "completed")
    assert [one["state"] for one in case.deliveries(task)] == ["delivered", "manual"]


def test_a_service_and_a_professional_are_asked_through_their_organizations(north: House, receive: Receive) -> None:
    """At once (`stat`). The organization answers for its service; it is the organization that joins the team."""
    pantry = receive("gravity")
    agency = north.register(pantry)
    service = north.make({"resourceType": "HealthcareService", "active": True, "providedBy": reference(agency)})
    case = north.case()
    task = case.refer(service, priority="stat")
    assert (task["owner"], task["priority"]) == (reference(service), "stat")
    task = case.until(task, "completed")
    assert case.deliveries(task)[0]["urgent"] is True
    assert copy_of(pantry, task)["priority"] == "stat"
    assert [one["member"] for one in case.participants()] == [reference(case.us), reference(agency)]

    clinic = north.organization("Clinic", endpoint=[reference(north.endpoint(north.base))])
    doctor = north.make({"resourceType": "PractitionerRole", "active": True, "organization": reference(clinic)})
    case = north.case()
    task = case.until_delivered(case.refer(doctor))
    assert case.delivery_of(task)["dialect"] == "light"
    assert north.try_patch(task, agency, status="accepted").status_code == 403
    north.patch(task, clinic, status="accepted")
    assert [one["member"] for one in case.participants()] == [reference(case.us), reference(doctor)]


def test_whoever_may_not_or_comes_late_is_told_so(north: House) -> None:
    """And nothing of it happens. Answers are short for whoever wants them short."""
    clinic = north.organization("Clinic", endpoint=[reference(north.endpoint(north.base))])
    case, stranger = north.case(), north.organization("Stranger")
    body = parameters(recipient=reference(clinic))
    place = f"ServiceRequest/{case.order['id']}/$refer"
    assert north.send("POST", place, body, actor=stranger).status_code == 403
    assert case.now(case.order)["status"] == "draft"
    answer = north.send("POST", place, body, actor=case.us, Prefer="return=minimal")
    assert answer.status_code == 201
    assert answer.headers["location"].startswith(f"{north.base}/Task/")
    (task,) = north.find(f"Task?focus=ServiceRequest/{case.order['id']}")
    task = case.until_delivered(task)
    here, old = f"Task/{task['id']}", f'W/"{task["meta"]["versionId"]}"'

    for actor, status, refused, code in (
        (stranger, "accepted", 403, "not-owner"),
        (case.us, "accepted", 403, "not-owner"),
        (clinic, "completed", 409, "illegal-transition"),
        (clinic, "rejected", 422, "reason-missing"),
    ):
        answer = north.try_patch(task, actor, status=status)
        assert (answer.status_code, codes_of(answer.json())) == (refused, [code])
    assert case.now(task)["meta"]["versionId"] == task["meta"]["versionId"]

    accepted = north.send(
        "PUT", here, task | {"status": "accepted"}, actor=clinic, If_Match=old, Prefer="return=minimal"
    )
    assert (accepted.status_code, accepted.content) == (200, b"")
    late = north.send("PUT", here, task | {"status": "rejected"}, actor=clinic, If_Match=old)
    assert late.status_code == 412
    assert case.now(task)["status"] == "accepted"
    other = north.organization("Other")
    stolen = north.send("PUT", here, case.now(task) | {"owner": reference(other)}, actor=clinic)
    assert (stolen.status_code, codes_of(stolen.json())) == (422, ["immutable-element"])
    _finish(case, task, clinic)
    assert case.worklist() == {task["id"]: ["ready-to-complete"]}


def _finish(case: Case, task: dict[str, object], clinic: dict[str, object]) -> None:
    done = case.house.make(result_for(case.client, case.order), clinic)
    case.house.patch(task, clinic, status="completed", output=output_of(done))
