"""The entries of Lists: `_list=42` (https://hl7.org/fhir/R4/search.html#list)."""

from __future__ import annotations

from app.fhir.references import is_valid_id, local
from app.fhir.search.clauses import Setting
from app.fhir.search.literals import unescape
from app.fhir.search.query import Condition, Listed
from app.fhir.search.refusals import NotSupported, Refused


def read_listed(name: str, texts: list[str], setting: Setting) -> tuple[Condition, str]:
    """Raises Refused when a value names no List."""
    if name != "_list":
        raise Refused("The parameter '_list' has no modifier.")
    return Listed(tuple(_id(unescape(text), setting.base_url) for text in texts)), ",".join(texts)


def _id(text: str, base_url: str) -> str:
    if text.startswith("$"):
        raise NotSupported("The parameter '_list' knows no functional lists such as $current-problems.")
    target = local(text, base_url)
    if target is not None and target.type == "List" and target.version is None:
        return target.id
    if not is_valid_id(text):
        raise Refused("A value of '_list' is not the id of a List, or List/id.")
    return text
