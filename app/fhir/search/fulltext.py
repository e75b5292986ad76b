"""`_text` and `_content`: words of the narrative, or of the whole resource.

https://hl7.org/fhir/R4/search.html#content. A word is found by its start; words joined by blanks must all be there.
"""

from __future__ import annotations

from app.fhir.search.clauses import Setting
from app.fhir.search.query import Condition, FullText
from app.fhir.search.refusals import Refused, UnknownParameter
from app.fhir.search.shared import shared_parameter
from app.fhir.search.words import words


def read_full_text(name: str, texts: list[str], setting: Setting) -> tuple[Condition, str]:
    """The condition, and the value for the self link. Raises Refused when there is no such condition."""
    code, colon, _ = name.partition(":")
    if shared_parameter(setting.types, code) is None:
        raise UnknownParameter(f"Resources that are searched have no narrative, so '{code}' cannot be used.")
    if code == "_content" and not setting.content:
        raise UnknownParameter(
            "The parameter '_content' needs the setting CARELOOP_INDEX_CONTENT=yes, "
            "and 'careloop reindex' once for what is stored already."
        )
    if colon:
        raise Refused(f"The parameter '{code}' takes no modifier.")
    groups = tuple(tuple(words(text)) for text in texts)
    if not all(groups):
        raise Refused(f"A value of '{code}' has no word.")
    return FullText(groups, code == "_content"), ",".join(texts)
