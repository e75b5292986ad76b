"""`python -m bench`: measure, print a table, write `bench/results/latest.json` and the table of the README."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench import deliver_workloads, elsewhere, report, search_workloads, servers, workloads, wrk
from bench.data import Dataset, generated, synthea
from bench.report import Row

SEARCHES = ("search-patient", "search-mix", "revinclude")
DELIVERY_WORKLOADS = {"deliver": deliver_workloads.deliver, "deliver-p99": deliver_workloads.latency}
DELIVERIES = tuple(DELIVERY_WORKLOADS)
WORKLOADS = ("read", "create", "import", "validate", "storage", *SEARCHES, "search-flat", "search-deep", *DELIVERIES)


GENERATED_ONLY = frozenset({"create", *SEARCHES, "search-flat", "search-deep", *DELIVERIES})


def main() -> int:
    options = arguments()
    console = Console()
    try:
        wrk.require()
        if options.base:
            report.show(elsewhere.measure(options.base, options.token, options.seconds), console, options.base)
            return 0
        rows = here(options, console)
    except wrk.InvalidRun as problem:
        console.print(f"[red]Not valid:[/red] {problem}")
        return 1
    report.show(rows, console)
    if not options.only:
        report.write(rows, conditions(options))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, help="these workloads; nothing is written then")
    parser.add_argument("--pairs", type=int, default=7, help="pairs of ours and limit for each workload")
    parser.add_argument("--seconds", type=int, default=3, help="seconds of load in each half of a pair")
    parser.add_argument("--base", help="measure another FHIR server at this base instead; it keeps the data")
    parser.add_argument("--token", default=os.environ.get("CARELOOP_TOKEN"), help="bearer token for --base")
    return parser.parse_args()


def here(options: argparse.Namespace, console: Console) -> list[Row]:
    """Every workload, on generated data and, where it is, on Synthea's."""
    datasets = [data for data in (generated(), synthea()) if data]
    with ExitStack() as stack:
        step = stack.enter_context(progress(console, steps(options, len(datasets))))
        postgres = stack.enter_context(servers.postgres())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="careloop-bench-files-")))
        run = workloads.Run(postgres, folder, options.pairs, options.seconds, step)
        wanted = options.only or list(WORKLOADS)
        found = [row for data in datasets for row in measure(run, data, wanted)]
        found += [work(run) for name, work in DELIVERY_WORKLOADS.items() if name in wanted]
    order = {name: number for number, name in enumerate(WORKLOADS)}
    return sorted(found, key=lambda row: (row.name.endswith("-synthea"), order[row.name.removesuffix("-synthea")]))


def measure(run: workloads.Run, data: Dataset, wanted: list[str]) -> Iterator[Row]:
    """The rows of one dataset. What changes the tables comes after what counts them."""
    if wanted == ["validate"]:
        yield workloads.validate(run, data)
        return
    if set(wanted) <= set(DELIVERIES):
        return
    with ExitStack() as stack:
        loaded = workloads.load(run, data, stack)
        measures: dict[str, Callable[[], Row]] = {
            "storage": lambda: workloads.storage(loaded),
            "read": lambda: workloads.read(run, loaded),
            **{name: partial(search_workloads.throughput, run, loaded, name) for name in SEARCHES},
            "search-flat": lambda: search_workloads.flat(run, loaded),
            "search-deep": lambda: search_workloads.deep(run, loaded),
            "import": lambda: workloads.importing(run, loaded),
            "create": lambda: workloads.create(run, loaded),
            "validate": lambda: workloads.validate(run, data),
        }
        for name, work in measures.items():
            if name in wanted and not (data.suffix and name in GENERATED_ONLY):
                yield work()


def steps(options: argparse.Namespace, datasets: int) -> int:
    """How many times the progress bar moves: once for a load and once for each pair."""
    timed = set(options.only or WORKLOADS) - {"storage"}
    pairs = datasets * len(timed) - (datasets - 1) * len(timed & GENERATED_ONLY)
    return datasets + int(options.pairs) * pairs


@contextmanager
def progress(console: Console, total: int) -> Iterator[Callable[[str], None]]:
    share = TextColumn("{task.percentage:3.0f} %")
    columns = (TextColumn("{task.description:16}"), BarColumn(), share, TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        task = shown.add_task("start", total=total)
        yield lambda name: shown.update(task, advance=1, description=name)


def conditions(options: argparse.Namespace) -> str:
    """Where and how the run was made, for the README."""
    versions = f"Python {platform.python_version()}, {platform.system()} on {os.cpu_count()} processors"
    pairs = f"{options.pairs} pairs of {options.seconds} seconds"
    return f"{datetime.now(UTC):%Y-%m-%d}, {versions}, {pairs}."


if __name__ == "__main__":
    sys.exit(main())
