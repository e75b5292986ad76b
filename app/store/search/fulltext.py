"""Words: of the narrative, which have the weight A in the index, or of the whole resource."""

from __future__ import annotations

from app.fhir.search.query import FullText
from app.store.search.scope import Scope


def full_text(scope: Scope, wanted: FullText) -> str:
    """The condition that a resource has all words of one of the groups, each as the start of one of its words."""
    mark = ":*" if wanted.content else ":*A"
    groups = (" & ".join(f"'{word}'{mark}" for word in group) for group in wanted.groups)
    words = scope.bind(" | ".join(f"({group})" for group in groups))
    return f"r.rid IN (SELECT x.rid FROM index_text AS x WHERE x.words @@ {words}::text::tsquery)"
