"""Sample data that nobody lived: made from a seed, the same every time, and valid R4.

`hospital_bundle` and `patient_bundle` make a clinic of any size, in the shape in which Synthea writes one;
`demo_bundle` is a small case-management story with fixed ids.
"""

from __future__ import annotations

from typing import Any

from app.services.sample.hospital import hospital_bundle
from app.services.sample.patient import patient_bundle

__all__ = ["demo_bundle", "hospital_bundle", "patient_bundle"]


def demo_bundle() -> dict[str, Any]:
    """The transaction that writes the demonstration: three clients, their referrals and agencies."""
    # Imported here: the typed models take half a second to load, and the generator does without them.
    from app.services.sample.demo import demo_bundle as build

    return build()
