"""Search parameters of several types at once, for searches and chains over more than one type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

from app.fhir.search.parameters import SearchParameter, parameter


@lru_cache(maxsize=4096)
def shared_parameter(types: tuple[str, ...], code: str) -> SearchParameter | None:
    """The parameter that all these types know by this code; None when one lacks it or understands it differently.

    It stands for all of them: the rows are those of every type.
    """
    found = [parameter(name, code) for name in types]
    known = [each for each in found if each is not None]
    if not known or len(known) < len(found) or len({_meaning(each) for each in known}) > 1:
        return None
    return known[0] if len(known) == 1 else _joined(known)


def by_meaning(types: Iterable[str], code: str) -> list[tuple[str, ...]]:
    """The types that have a supported parameter of that code, in groups that understand it alike."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for name in types:
        known = parameter(name, code)
        if known is not None and known.supported:
            groups.setdefault(_meaning(known), []).append(name)
    return [tuple(group) for group in groups.values()]


def _meaning(known: SearchParameter) -> tuple[object, ...]:
    components = tuple((component.code, component.kind) for component in known.components)
    return known.kind, known.column, known.supported, components


def _joined(known: Sequence[SearchParameter]) -> SearchParameter:
    # Where one is a part that points to one type only (`patient` of `subject`), the name means that type for all.
    return replace(
        known[0],
        expression=None,
        targets=_joined_targets(known),
        rows_of=_joined_ids(each.rows_of for each in known),
        logical_rows_of=_joined_ids(each.logical_rows_of for each in known),
        target_type=next((each.target_type for each in known if each.target_type), None),
        multiple=any(each.multiple for each in known),
    )


def _joined_ids(several: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sorted({number for each in several for number in each}))


def _joined_targets(known: Sequence[SearchParameter]) -> tuple[str, ...]:
    if not all(each.targets for each in known):
        return ()
    return tuple(dict.fromkeys(name for each in known for name in each.targets))
