"""Who is asking."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from app.errors import Malformed

_is_organization = re.compile(r"Organization/[A-Za-z0-9.-]{1,64}").fullmatch


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. `name` appears in logs and later in the audit.

    `organization` is the Organization that it acts for, as a relative reference; blank for one that acts for nobody in
    particular and so, as an operator, for anybody. `operator` is whether it may see and change everything.
    """

    name: str
    organization: str = ""
    operator: bool = False

    def acting_for(self, organization: str) -> Principal:
        """The same caller on behalf of an organization. Raises Malformed when that is no reference to one."""
        if not _is_organization(organization):
            raise Malformed("X-CareLoop-Actor must be a reference such as Organization/1.")
        return replace(self, organization=organization)


ADMINISTRATOR = Principal("administrator", operator=True)
"""Every caller, while authentication is off."""

SYSTEM = Principal("careloop", operator=True)
"""CareLoop itself: what it does when nobody asks, such as noting that a referral arrived."""
