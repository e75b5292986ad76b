"""Source for `.name`, and for picking a type."""

from __future__ import annotations

from dataclasses import replace

from app.fhir.fhirpath.builder import Builder
from app.fhir.fhirpath.code import NOTHING, Items
from app.fhir.fhirpath.types import PRIMITIVES, Step, is_a, is_dynamic, is_type, steps


def type_source(type_name: str, value: str) -> str:
    return f"runtime_type({type_name!r}, {value})" if is_dynamic(type_name) else repr(type_name)


def step(builder: Builder, base: Items, name: str) -> Items:
    """`base.name`; empty when no item of base can have such an element."""
    if base.never:
        return NOTHING
    found = steps(base.type).get(name) if base.type else None
    if found is None:
        return _dynamic(builder, base, name)
    if base.type not in PRIMITIVES:
        container = f"({base.value} or E)" if base.optional else base.value
    elif base.all.extra == "None":
        return NOTHING
    else:
        base = base.all
        container = f"({base.extra} or E)"
    return take(builder, base, container, found)


def take(builder: Builder, base: Items, container: str, found: Step) -> Items:
    """The step `found` out of the object `container`, which is there for each item of `base`."""
    if found.is_choice:
        return _choice(builder, base, container, found)
    return (_several if found.is_list else _single)(builder, base, container, found.name, found.type)


def _single(_: Builder, base: Items, container: str, key: str, type_name: str) -> Items:
    value = f"{container}.get({key!r})"
    is_primitive = type_name in PRIMITIVES
    companion = "_" + key
    extra = f"{container}.get({companion!r})" if is_primitive else "None"
    test = f"({key!r} in {container} or {companion!r} in {container})" if is_primitive else f"({key!r} in {container})"
    return Items(
        base.clauses, value, type_name, type_source(type_name, value), extra,
        optional=True, single=base.single, exists="" if base.clauses else test,
    )  # fmt: skip


def _several(builder: Builder, base: Items, container: str, key: str, type_name: str) -> Items:
    name, extra, companion = builder.names("v"), builder.names("e"), "_" + key
    items = Items(
        (*base.clauses, f"for {name} in {container}.get({key!r}, ())"), name, type_name, type_source(type_name, name),
        single=False, exists="" if base.clauses else f"({key!r} in {container})",
    )  # fmt: skip
    if type_name not in PRIMITIVES:
        return items
    test = "" if base.clauses else f"({key!r} in {container} or {companion!r} in {container})"
    clauses = (*base.clauses, f"for {name}, {extra} in pairs({container}, {key!r})")
    whole = replace(items, clauses=clauses, extra=extra, optional=True, exists=test)
    return replace(items, clauses=(*items.clauses, f"if {name} is not None"), whole=whole)


def _choice(builder: Builder, base: Items, container: str, found: Step) -> Items:
    if not found.properties:
        return NOTHING
    if len(found.properties) == 1:
        (key, type_name), = found.properties.items()  # fmt: skip
        return _single(builder, base, container, key, type_name)
    key, kind, name, extra = (builder.names(letter) for letter in "ktve")
    options = builder.constant(dict(found.properties))
    names = builder.constant(frozenset(found.properties))
    either = builder.constant(frozenset(found.properties) | {"_" + n for n in found.properties})
    whole = Items(
        (*base.clauses, f"for {kind}, {name}, {extra} in choice({container}, {options})"), name, "", kind, extra,
        optional=True, single=base.single, exists="" if base.clauses else f"(not {either}.isdisjoint({container}))",
    )  # fmt: skip
    clauses = (*base.clauses, f"for {key} in {names}.intersection({container})")
    return Items(
        clauses, f"{container}[{key}]", "", f"{options}[{key}]", single=base.single, whole=whole,
        step=found, container=container, before=base.clauses,
    )  # fmt: skip


def _dynamic(builder: Builder, base: Items, name: str) -> Items:
    if base.type and not is_dynamic(base.type):
        return NOTHING
    bound = builder.names.bound(base)
    source = f"step({bound.type_source}, {bound.value}, {bound.extra}, {name!r})"
    return builder.names.from_nodes(source, "", False).under(bound.clauses, False)


def narrow(builder: Builder, base: Items, wanted: str) -> Items:
    """The items of a type, for `as` and `ofType`."""
    if base.never:
        return NOTHING
    if base.step is not None:
        options = {name: kind for name, kind in base.step.properties.items() if is_a(kind, wanted)}
        before = replace(base, clauses=base.before)
        return _choice(builder, before, base.container, replace(base.step, properties=options))
    if base.type and not is_dynamic(base.type):
        return base if is_a(base.type, wanted) else NOTHING
    source = f"of_type({builder.nodes(base)}, {wanted!r})"
    return builder.names.from_nodes(source, wanted if is_type(wanted) else "", base.single)
