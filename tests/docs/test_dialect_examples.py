"""The examples in docs/receive-a-referral.md are what the dialects send."""

from __future__ import annotations

import json

from app.delivery.dialects import DIALECTS
from app.fhir.json import loads
from app.fhir.types import Json
from tests.docs.pages import blocks
from tests.support.packages import PATIENT, PLACER, Endpoint, answer, created, package, searchset
from tests.support.servers import ROOT

PAGE = ROOT / "docs" / "receive-a-referral.md"
WIDTH = 120

_LEFT_OUT_OF_TASK = ("extension", "basedOn", "groupIdentifier", "input", "note", "meta")
_LEFT_OUT_OF_REQUEST = ("basedOn", "category", "note", "supportingInfo", "reasonReference")
_CLIENT: Json = {name: PATIENT[name] for name in ("resourceType", "id", "identifier", "birthDate")} | {
    "name": [{"family": "Moreau", "given": ["Ada", "June"]}]
}
_THEIRS: Json = {"resourceType": "Patient", "id": "4711", "identifier": PATIENT["identifier"]}
_SCRIPTS: Json = {
    "gravity-task": {"POST Task": [created("t")]},
    "fhir-transaction": {"POST": [answer(200, {"resourceType": "Bundle", "type": "transaction-response"})]},
    "servicerequest": {"POST ServiceRequest": [created("s")]},
    "ehr-document": {
        "GET Patient": [searchset(_THEIRS)],
        "POST DocumentReference": [created("d")],
        "POST Communication": [created("c")],
    },
}


async def sent(name: str) -> list[Json]:
    """What is posted in a dialect of a short referral."""
    own: Json = {
        "identifier": [{"system": PLACER[0], "value": PLACER[1]}],
        "owner": {"reference": "Organization/agency"},
    }
    referral = package(
        task=dict.fromkeys(_LEFT_OUT_OF_TASK) | own,
        request=dict.fromkeys(_LEFT_OUT_OF_REQUEST),
        resources={"Patient/p1": _CLIENT},
    )
    script = dict(_SCRIPTS[name]) | {"GET Task": [searchset()]}
    exchange = Endpoint(script)
    await DIALECTS[name].deliver(referral, exchange, in_doubt=False)
    return [one.body for one in exchange.sent if one.method == "POST"]


async def test_the_page_shows_what_is_sent() -> None:
    made = [body for name in _SCRIPTS for body in await sent(name)]
    shown = [loads(block.text.encode()) for block in blocks(PAGE.read_text()) if block.language == "json"]
    assert [one["resourceType"] for one in shown] == [one["resourceType"] for one in made]
    for on_page, really in zip(shown, made, strict=True):
        assert on_page == really, f"the page should say:\n{written(really)}"


def written(value: object, indent: str = "", name: str = "") -> str:
    """JSON for readers: on one line where it fits behind its name."""
    line = json.dumps(value, ensure_ascii=False)
    if len(f"{indent}{name}{line},") <= WIDTH or not isinstance(value, dict | list):
        return line
    inner = f"{indent}  "
    parts = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    texts = [f"{inner}{_named(part)}{written(item, inner, _named(part))}" for part, item in parts]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n" + ",\n".join(texts) + f"\n{indent}{closing}"


def _named(name: str | None) -> str:
    return "" if name is None else f"{json.dumps(name)}: "
