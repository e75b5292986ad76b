"""The parameters of this server's own operations: read by their table, and every problem told at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.errors import Invalid, Issue, Malformed
from app.fhir.own.operations import Operation, Parameter
from app.fhir.types import FhirRequest, Json
from app.fhir.validation import check

_FORMATS = frozenset({"_format", "_pretty"})
_NUMBERS = frozenset({"integer", "unsignedInt", "positiveInt"})
_RESOURCES = frozenset({"ServiceRequest"})
_PRIMITIVES = frozenset({"boolean", "code", "string", "instant", "uri", "url"}) | _NUMBERS


class Value(NamedTuple):
    """One value as it was sent, and where: `Parameters.parameter[2]`."""

    value: Any
    place: str


@dataclass(slots=True)
class Given:
    """The values that a request gives, by the names of the parameters. `issues` is what is wrong with it so far."""

    values: dict[str, list[Value]] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)

    def all(self, name: str) -> list[Value]:
        return self.values.get(name, [])

    def first(self, name: str) -> Value | None:
        return next(iter(self.all(name)), None)

    def value(self, name: str, default: Any = None) -> Any:
        found = self.first(name)
        return default if found is None else found.value

    def refuse(self, text: str, name: str, code: str = "invalid") -> None:
        """Note a problem with a parameter, at its place if it has one."""
        found = self.first(name)
        self.issues.append(Issue(code, text, found.place if found else "Parameters.parameter"))

    def finish(self) -> Given:
        """The same, when nothing is wrong with it. Raises Malformed with every problem."""
        if self.issues:
            raise Malformed(issues=self.issues)
        return self


def read_parameters(request: FhirRequest, operation: Operation) -> Given:
    """What the request gives, by the operation's table; the problems are in `issues`, for `finish` to raise.

    An operation that changes nothing takes primitive values in the URL too; a body may also be its one parameter that
    is a resource (R4 operations.html#request). Raises Invalid when the body is no JSON.
    """
    table = {parameter.name: parameter for parameter in operation.inputs}
    given = Given()
    listed = list(_of_url(request, operation, table, given))
    listed += _of_body(request, table, given)
    for place, parameter in listed:
        _note(place, parameter, table, given)
    _count(operation, given)
    return given


def _of_url(
    request: FhirRequest, operation: Operation, table: Mapping[str, Parameter], given: Given
) -> Iterator[tuple[str, Any]]:
    for name, text in request.query:
        if name in _FORMATS:
            continue
        parameter = table.get(name)
        if operation.affects_state or (parameter is not None and parameter.type not in _PRIMITIVES):
            given.issues.append(Issue("not-supported", "This operation takes its parameters from the body only."))
        elif parameter is None:
            given.issues.append(Issue("not-supported", _unknown(table)))
        else:
            made = {"name": name, _key(parameter): _typed(text, parameter.type)}
            given.issues += _invalid({"resourceType": "Parameters", "parameter": [made]}, f"?{name}")
            yield f"?{name}", made


def _typed(text: str, kind: str) -> Any:
    if kind in _NUMBERS and text.isascii() and text.removeprefix("-").isdigit() and len(text) < 12:
        return int(text)
    return {"true": True, "false": False}.get(text, text) if kind == "boolean" else text


def _of_body(request: FhirRequest, table: Mapping[str, Parameter], given: Given) -> list[tuple[str, Any]]:
    if request.method != "POST" or not (request.raw or request.body is not None):
        return []
    body = request.content()
    kind = body.get("resourceType") if isinstance(body, dict) else None
    whole = next((each for each in table.values() if each.type in _RESOURCES and each.type == kind), None)
    if whole is not None:
        body = {"resourceType": "Parameters", "parameter": [{"name": whole.name, "resource": body}]}
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        given.issues.append(Issue("structure", "The body must be a Parameters resource."))
        return []
    given.issues += _invalid(body)
    listed = body.get("parameter")
    return [(f"Parameters.parameter[{n}]", each) for n, each in enumerate(listed if isinstance(listed, list) else ())]


def _invalid(body: Json, place: str | None = None) -> list[Issue]:
    """What is wrong with the Parameters as R4; `place` is where the caller finds it, when that is not the body."""
    try:
        check(body, "Parameters")
    except Invalid as error:
        return [Issue(each.code, each.diagnostics, place or each.expression) for each in error.issues]
    return []


def _note(place: str, parameter: Any, table: Mapping[str, Parameter], given: Given) -> None:
    """Keep the value of one parameter, or what is wrong with it."""
    if not isinstance(parameter, dict) or not isinstance(parameter.get("name"), str):
        return  # R4 has told that already
    declared = table.get(parameter["name"])
    if declared is None:
        given.issues.append(Issue("not-supported", _unknown(table), f"{place}.name"))
        return
    held = [name for name in parameter if name == "resource" or name == "part" or name.startswith("value")]
    if held != [_key(declared)]:
        given.issues.append(Issue("value", f"The parameter {declared.name!r} needs a {_key(declared)}.", place))
        return
    value = parameter[_key(declared)]
    if text := _fault(declared, value):
        given.issues.append(Issue("value", f"The parameter {declared.name!r} {text}", f"{place}.{_key(declared)}"))
    given.values.setdefault(declared.name, []).append(Value(value, place))


def _unknown(table: Mapping[str, Parameter]) -> str:
    names = ", ".join(table)
    return f"This operation has these parameters: {names}." if names else "This operation has no parameters."


def _key(parameter: Parameter) -> str:
    """The element of Parameters that holds the value."""
    kind = parameter.type
    return "resource" if kind in _RESOURCES else f"value{kind[0].upper()}{kind[1:]}"


def _fault(parameter: Parameter, value: Any) -> str | None:
    """What is wrong with a value beyond R4, as the rest of a sentence."""
    if parameter.codes and value not in parameter.codes:
        return f"must be one of {', '.join(parameter.codes)}."
    if parameter.type == "Reference":
        return _reference_fault(parameter, value)
    if parameter.type in _RESOURCES:
        is_one = isinstance(value, dict) and value.get("resourceType") == parameter.type
        return None if is_one else f"must be a {parameter.type}."
    return None


def _reference_fault(parameter: Parameter, value: Any) -> str | None:
    reference = value.get("reference") if isinstance(value, dict) else None
    if not isinstance(reference, str) or reference.startswith("#"):
        return "must have a literal reference, such as Type/id."
    types = set(parameter.targets)
    if types and types.isdisjoint(reference.partition("/_history/")[0].split("/")[-2:-1]):
        return f"must refer to {' or '.join(parameter.targets)}."
    return None


def _count(operation: Operation, given: Given) -> None:
    for parameter in operation.inputs:
        count = len(given.all(parameter.name))
        named = any(f"{parameter.name!r}" in issue.diagnostics for issue in given.issues)
        if count < parameter.min and not named:
            text = f"The parameter {parameter.name!r} is missing."
            given.issues.append(Issue("required", text, "Parameters.parameter"))
        if count > 1 and not parameter.repeats:
            text = f"The parameter {parameter.name!r} can be given once only."
            given.issues.append(Issue("invalid", text, given.all(parameter.name)[1].place))
