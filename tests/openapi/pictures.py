"""Take the pictures of /docs that the README shows: `python -m tests.openapi.pictures ORIGIN`, beside `make demo`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.support.browser import browsing
from tests.support.servers import ROOT

PICTURES = {
    "docs": ("docs", 1000, ".opblock-tag"),
    "docs-refer": ("docs#/refer/referServiceRequest", 1500, ".opblock-body .execute"),
}
"""Name: address, height, and what is there once it can be taken."""


def main(origin: str) -> None:
    for name, (place, height, sign) in PICTURES.items():
        with tempfile.TemporaryDirectory() as home, browsing(Path(home)) as page:
            page.open(f"{origin}/{place}", 1200, height)
            page.wait(f"document.querySelector('{sign}') !== null")
            time.sleep(3)  # it scrolls to the operation when all is laid out
            (ROOT / "docs" / "images" / f"{name}.png").write_bytes(page.picture())


if __name__ == "__main__":
    main(sys.argv[1])
