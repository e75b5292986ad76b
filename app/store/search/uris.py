"""URIs, also canonical references and references to other servers."""

from __future__ import annotations

from app.fhir.search.emit import points_to
from app.fhir.search.parameters import SearchParameter
from app.fhir.search.query import Modifier
from app.store.search.scope import Scope
from app.store.search.strings import starts_with


def canonical(scope: Scope, url: str) -> str:
    """A canonical reference without a version stands for every version (R4 references.html#canonical)."""
    plain = f"i.value = {scope.bind(url)}"
    return plain if "|" in url else f"({plain} OR {starts_with(scope, 'i.value', url + '|')})"


def versions(scope: Scope, url: str, *, below: bool) -> str:
    """A canonical by its business version: `url|1` stands above `url|1.2` (R4 search.html#versions)."""
    plain, _, version = url.partition("|")
    if not below:
        parts = version.split(".") if version else []
        above = [plain, *(f"{plain}|{'.'.join(parts[:count])}" for count in range(1, len(parts) + 1))]
        return f"i.value = ANY ({scope.bind(above)}::text[])"
    return f"(i.value = {scope.bind(url)} OR {starts_with(scope, 'i.value', url + ('.' if version else '|'))})"


def foreign(scope: Scope, parameter: SearchParameter, url: str) -> str:
    """A reference to another server; the rows of a restricted parameter also hold references to other types."""
    if parameter.target_type is not None and not points_to(url, parameter.target_type):
        return "false"
    return canonical(scope, url)


def uri(scope: Scope, parameter: SearchParameter, text: str, modifier: Modifier | None) -> str:
    if modifier is Modifier.BELOW:
        base = text.rstrip("/")
        test = f"(i.value = {scope.bind(text)} OR {starts_with(scope, 'i.value', base + '/')})"
        return f"({test} OR {versions(scope, text, below=True)})" if parameter.code == "_profile" else test
    if modifier is Modifier.ABOVE:
        return f"i.value = ANY ({scope.bind(_ancestors(text))})"
    return canonical(scope, text) if parameter.code == "_profile" else f"i.value = {scope.bind(text)}"


def _ancestors(text: str) -> list[str]:
    """The uri and every uri above it: `http://a/b/c` → `http://a/b/c`, `http://a/b`, `http://a`."""
    found = [text]
    while "/" in text.partition("://")[2] or (text.count("/") and "://" not in text):
        text = text.rpartition("/")[0]
        found.append(text)
    return found
