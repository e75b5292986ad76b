"""The definitions of this server's own, read under its base URL: OperationDefinitions, CodeSystems, extensions.

They are made from the tables that also drive the code: `operations.py`, `codes.py`, `extensions.py`, and the
table of search parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

from app.fhir.definitions import is_resource_type
from app.fhir.own import codes, dialects
from app.fhir.own import extensions as own_extensions
from app.fhir.own.extensions import EXTENSIONS
from app.fhir.own.operations import OPERATIONS, Operation, Parameter
from app.fhir.search.parameters import SearchParameter, parameter
from app.fhir.types import Json

_R4 = "http://hl7.org/fhir/OperationDefinition"
_OF_ALL_TYPES = frozenset({"validate", "meta"})
_DIALECTS = "delivery-dialect"

_CODES: Mapping[type[StrEnum], str] = {
    codes.StatusReason: "Why a Task was rejected, cancelled, put on hold or failed.",
    codes.BusinessStatus: "What the business status of a referral's Task says beyond its status.",
    codes.TaskCode: "What Tasks are for, where R4 has no code.",
    codes.Reason: "Why a Task is on the work-list.",
    codes.Refusal: "Why an operation was refused, or what it warns of.",
    codes.DuplicateReason: "What two orders have in common that makes one a duplicate of the other.",
}


def definition_url(name: str, type_name: str, base_url: str) -> str:
    """The canonical URL of the definition of an operation: of R4, or of this server, where it can be read."""
    id_ = f"{'Resource' if name in _OF_ALL_TYPES else type_name}-{name}"
    return f"{base_url}/OperationDefinition/{id_}" if id_ in OPERATIONS else f"{_R4}/{id_}"


def own_definition(type_name: str, id_: str, base_url: str) -> Json | None:
    """The resource of that type and id, when it is a definition of this server's own."""
    maker = _MAKERS.get(type_name)
    return maker(id_, base_url) if maker else None


# Operations


def _operation(id_: str, base_url: str) -> Json | None:
    operation = OPERATIONS.get(id_)
    if operation is None:
        return None
    return {
        "resourceType": "OperationDefinition",
        "id": id_,
        "url": f"{base_url}/OperationDefinition/{id_}",
        "name": operation.name,
        "title": operation.title,
        "status": "active",
        "kind": "operation",
        "description": operation.text,
        "affectsState": operation.affects_state,
        "code": operation.code,
        "resource": [operation.resource],
        "system": False,
        "type": operation.type_level,
        "instance": True,
        "parameter": _parameters(operation),
    }


def _parameters(operation: Operation) -> list[Json]:
    return [
        *(_parameter(parameter, "in") for parameter in operation.inputs),
        *(_parameter(parameter, "out") for parameter in operation.outputs),
    ]


def _parameter(parameter: Parameter, use: str) -> Json:
    made: Json = {"name": parameter.name, "use": use, "min": parameter.min, "max": parameter.max}
    made["documentation"] = _documentation(parameter)
    if parameter.parts:
        return made | {"part": [_parameter(part, use) for part in parameter.parts]}
    made["type"] = parameter.type
    if parameter.targets:
        made["targetProfile"] = [f"http://hl7.org/fhir/StructureDefinition/{name}" for name in parameter.targets]
    return made


def _documentation(parameter: Parameter) -> str:
    return f"{parameter.text} One of: {', '.join(parameter.codes)}." if parameter.codes else parameter.text


# Search parameters


def parameter_url(parameter: SearchParameter, base_url: str) -> str:
    """The canonical URL of a search parameter. Those of this server's own are known by a URL below its base."""
    return parameter.url if ":" in parameter.url else f"{base_url}/{parameter.url}"


def _search_parameter(id_: str, base_url: str) -> Json | None:
    type_name, _, code = id_.partition("-")
    found = parameter(type_name, code) if is_resource_type(type_name) else None
    if found is None or found.url != f"SearchParameter/{id_}":
        return None
    return {
        "resourceType": "SearchParameter",
        "id": id_,
        "url": parameter_url(found, base_url),
        "name": "".join(word.capitalize() for word in id_.split("-")),
        "status": "active",
        "description": f"{type_name} resources by {found.expression}.",
        "code": code,
        "base": [type_name],
        "type": found.kind.value,
        "expression": found.expression,
    }


# Codes


def _code_system(id_: str, base_url: str) -> Json | None:
    if id_ == _DIALECTS:
        return _codes(id_, base_url, "The shapes in which referrals are delivered.", dialects.DIALECTS)
    kinds = {codes.system(base_url, kind): kind for kind in _CODES}
    kind = kinds.get(f"{base_url}/CodeSystem/{id_}")
    return _codes(id_, base_url, _CODES[kind], (code.value for code in kind)) if kind else None


def _codes(id_: str, base_url: str, text: str, listed: Iterable[str]) -> Json:
    concepts = [{"code": code, "display": code.replace("-", " ").capitalize()} for code in listed]
    return {
        "resourceType": "CodeSystem",
        "id": id_,
        "url": f"{base_url}/CodeSystem/{id_}",
        "name": "".join(word.capitalize() for word in id_.split("-")),
        "title": id_.replace("-", " ").capitalize(),
        "status": "active",
        "description": text,
        "caseSensitive": True,
        "content": "complete",
        "count": len(concepts),
        "concept": concepts,
    }


# Extensions


def _extension(id_: str, base_url: str) -> Json | None:
    extension = EXTENSIONS.get(id_)
    return own_extensions.definition(extension, codes.extension(base_url, id_)) if extension else None


_MAKERS: Mapping[str, Callable[[str, str], Json | None]] = {
    "OperationDefinition": _operation,
    "CodeSystem": _code_system,
    "StructureDefinition": _extension,
    "SearchParameter": _search_parameter,
}
