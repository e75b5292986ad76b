"""What a principal may do and see: the one rule source.

Visibility is a SQL condition that every statement carries, so that what a caller may not see does not exist for it.
"""

from __future__ import annotations

from app.errors import Forbidden
from app.fhir.types import Interaction
from app.security.principal import Principal
from app.store.predicate import EVERYTHING, Predicate


def authorize(principal: Principal, interaction: Interaction, type_name: str) -> None:
    """Raises Forbidden unless the principal may use this interaction on this type at all."""
    if not principal.operator:
        raise Forbidden(f"The caller may not use {interaction} on {type_name or 'this server'}.")


def authorize_explanation(principal: Principal) -> None:
    """Raises Forbidden unless the principal may see how a search is performed, and so how much is stored."""
    if not principal.operator:
        raise Forbidden("Only operators may use '_explain'.")


def visible(principal: Principal) -> Predicate:
    """The condition on a resource row under which it exists for the principal."""
    return EVERYTHING if principal.operator else Predicate("false")
