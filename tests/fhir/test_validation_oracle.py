"""A second opinion: what fhir.resources (R4B) rejects must be rejected here too, over mutations of the samples."""

import json
import os
from copy import deepcopy
from functools import cache
from importlib import import_module
from pathlib import Path
from random import Random

import pytest
from pydantic import ValidationError

from app.errors import Invalid
from app.fhir.definitions import children, is_primitive
from app.fhir.json import Number, dumps, loads
from app.fhir.validation import check

SAMPLES = os.environ.get("CARELOOP_SAMPLE_DATA")
MUTATIONS = 60

# Where R4B (4.3.0), or this implementation of it, refuses what R4 (4.0.1) allows. Part of pydantic's message and why.
DIFFERENT: dict[str, str] = {}


@cache
def examples():
    folder = Path(SAMPLES or "") / "sdohcc" / "examples"
    read = [loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    return [resource for resource in read if is_right(resource)]


def is_right(resource):
    try:
        check(resource)
    except Invalid:
        return False
    return True


def second_opinion(resource):
    """Why R4B refuses a resource, or None."""
    kind = resource["resourceType"]
    model = getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)
    try:
        model.model_validate_json(dumps(resource))
    except ValidationError as refused:
        return [f"{error['type']}: {error['msg']}" for error in refused.errors()]
    return None
