"""`make chaos`: thousands of referrals while everything fails and is killed; then three truths are compared.

Exit code 1 if anything was lost, doubled, out of order or untrue. The seed is printed; the same one makes the same
choices, though processes never interleave twice in the same way.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos import report
from tests.chaos.faults import ALL
from tests.chaos.run import Result, run
from tests.chaos.world import KINDS, Conditions

REFERRALS, KILLS = 2000, 24


def main() -> int:
    options = _options()
    console = Console()
    directory = Path(tempfile.mkdtemp(prefix="careloop-chaos-"))
    kept = True
    console.print(f"seed {options.seed}")
    try:
        result = _watched(options, directory)
        report.show(result, console)
        if _is_whole(options):
            report.keep(result, options.seed)
        kept = options.keep or not result.good
    finally:
        if kept:
            console.print(f"logs and data: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return 0 if result.good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--referrals", type=int, default=REFERRALS)
    parser.add_argument("--kills", type=int, default=KILLS, help="how many times something is killed")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--only", nargs="+", choices=list(KINDS), help="these kinds of recipients")
    parser.add_argument("--fault", nargs="*", help="these faults alone, as name=share; without any: none")
    parser.add_argument("--lease", type=float, help="seconds after which a killed worker counts as gone")
    parser.add_argument("--patience", type=float, default=600, help="seconds for everything to settle in the end")
    parser.add_argument("--keep", action="store_true", help="keep logs and data")
    return parser.parse_args()


def _is_whole(options: argparse.Namespace) -> bool:
    """Whether the run is what `make chaos` promises."""
    whole = options.only is None and options.fault is None and options.lease is None
    return whole and options.referrals >= REFERRALS and options.kills >= KILLS


def _watched(options: argparse.Namespace, directory: Path) -> Result:
    faults = (
        ALL if options.fault is None else {n: float(s or 0.4) for n, _, s in (f.partition("=") for f in options.fault)}
    )
    conditions = Conditions(faults, options.seed, options.only or tuple(KINDS), options.lease)
    columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("")

        def tell(doing: str, done: int, total: int) -> None:
            progress.update(bar, description=doing, completed=done, total=total)

        return asyncio.run(
            run(
                directory,
                conditions,
                referrals=options.referrals,
                kills=options.kills,
                patience=options.patience,
                progress=tell,
            )
        )


if __name__ == "__main__":
    sys.exit(main())
