"""Train the zstd dictionary with which bodies are stored, and measure it.

    python tools/train_dictionary.py                    # write app/store/dictionaries/1.zstd-dict
    python tools/train_dictionary.py --measure [FILE…]  # ratios and times; FILEs are bundles as .json or .json.bz2

A dictionary that has been released may never change, since stored bodies need it: a better one gets the next number.
The training set is generated from fixed seeds, so the same program and the same zstd make the same bytes again.
"""

from __future__ import annotations

import argparse
import bz2
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import zstandard

from app.fhir.json import loads
from app.services.sample import demo_bundle, hospital_bundle, patient_bundle
from app.services.sample.shapes import FACILITIES, RECORDS
from app.store.codec import template

HERE = Path(__file__).parent.parent / "app" / "store" / "dictionaries"
SEEDS = range(100, 103)
OTHER_SEED = 9
PATIENTS = 60
SIZE = 112 * 1024
REPEAT_DEMO = 12  # case management is a small part of a clinic, and most of what this server is for
SYNTHEA_SYSTEMS = {
    RECORDS: "https://github.com/synthetichealth/synthea",
    FACILITIES: "https://github.com/synthetichealth/synthea",
    "https://hospital.careloop.example/fhir/sid/mrn": "http://hospital.smarthealthit.org",
}

_CONDITIONAL = re.compile(r"(\w+)\?identifier=.*")


def stored(bundle: dict[str, Any], chance: Random) -> Iterator[bytes]:
    """The bundle's resources as the store keeps them: with ids of the server and resolved references."""
    fresh = Fresh(chance)
    for entry in bundle["entry"]:
        fresh[entry.get("fullUrl")] = f"{entry['resource']['resourceType']}/{_id(chance)}"
    for entry in bundle["entry"]:
        resource = _resolved(entry["resource"], fresh)
        url = fresh[entry.get("fullUrl")] if entry["request"]["method"] == "POST" else entry["request"]["url"]
        yield template(resource, url.rpartition("/")[2])


def _id(chance: Random) -> str:
    digits = f"{chance.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class Fresh(dict[str, str]):
    """The server's reference for each full URL and each conditional reference."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._chance = chance

    def __missing__(self, url: str) -> str:
        conditional = _CONDITIONAL.fullmatch(url)
        self[url] = f"{conditional[1]}/{_id(self._chance)}" if conditional else url
        return self[url]


def _resolved(value: Any, fresh: Fresh) -> Any:
    if isinstance(value, list):
        return [_resolved(item, fresh) for item in value]
    if not isinstance(value, dict):
        return value
    target = value.get("reference")
    resolved = {"reference": fresh[target]} if isinstance(target, str) else {}
    return {key: _resolved(item, fresh) for key, item in value.items()} | resolved


def training_set() -> list[bytes]:
    chance = Random(1)
    bundles = [patient_bundle(seed, n) for seed in SEEDS for n in range(PATIENTS)]
    bundles += [hospital_bundle(seed) for seed in SEEDS] + [demo_bundle()] * REPEAT_DEMO
    bodies = [body for bundle in bundles for body in stored(bundle, chance)]
    return [_as_synthea(body) if number % 3 == 0 else body for number, body in enumerate(bodies)]


def _as_synthea(body: bytes) -> bytes:
    """The body with the identifier systems of Synthea, whose files many people load first."""
    for ours, theirs in SYNTHEA_SYSTEMS.items():
        body = body.replace(ours.encode(), theirs.encode())
    return body


def train(samples: list[bytes], size: int) -> zstandard.ZstdCompressionDict:
    return zstandard.train_dictionary(size, list(samples), dict_id=1, level=3)


def _timed(work: Callable[[bytes], bytes], items: list[bytes]) -> tuple[list[bytes], float]:
    """The results and the µs per item, the better of two runs."""
    best = float("inf")
    for _ in range(2):
        start = time.perf_counter()
        results = [work(item) for item in items]
        best = min(best, time.perf_counter() - start)
    return results, best / len(items) * 1e6


def measure(raw: bytes, level: int, bodies: list[bytes]) -> str:
    dictionary = zstandard.ZstdCompressionDict(raw)
    dictionary.precompute_compress(level=level)
    pack = zstandard.ZstdCompressor(dict_data=dictionary, write_content_size=True)
    frames, packing = _timed(pack.compress, bodies)
    unpack = zstandard.ZstdDecompressor(dict_data=dictionary)
    opened, unpacking = _timed(unpack.decompress, frames)
    assert opened == bodies
    plain, small = sum(map(len, bodies)), sum(map(len, frames))
    return f"{plain / small:6.2f} x {small / len(bodies):7.1f} bytes {packing:7.2f} µs {unpacking:6.2f} µs"


def bodies_of(paths: list[str]) -> list[bytes]:
    chance = Random(2)
    if not paths:
        return [body for n in range(20) for body in stored(patient_bundle(OTHER_SEED, n), chance)]
    texts = (bz2.decompress(Path(p).read_bytes()) if p.endswith(".bz2") else Path(p).read_bytes() for p in paths)
    return [body for text in texts for body in stored(loads(text), chance)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--measure", nargs="*", metavar="FILE")
    options.add_argument("--sizes", action="store_true", help="also train and measure 32 and 64 KiB")
    chosen = options.parse_args()
    target = HERE / "1.zstd-dict"
    if chosen.measure is None:
        target.write_bytes(train(training_set(), SIZE).as_bytes())
        return
    bodies = bodies_of(chosen.measure)
    samples = training_set() if chosen.sizes else []
    smaller = {kib: train(samples, kib * 1024).as_bytes() for kib in (32, 64) if chosen.sizes}
    for kib, raw in {**smaller, 112: target.read_bytes()}.items():
        for level in (1, 3, 6, 9):
            sys.stdout.write(f"{kib:4} KiB, level {level}: {measure(raw, level, bodies)}\n")


if __name__ == "__main__":
    main()
