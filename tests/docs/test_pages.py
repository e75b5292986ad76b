"""Every block of code of the guides is run, or checked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.errors import Invalid
from app.fhir.json import loads
from app.fhir.validation import check
from tests.docs.outputs import first_difference, is_as_shown
from tests.docs.pages import CHECKED, EXECUTED, SHOWN, BadPage, Block, Command, blocks, commands, is_for_readers, pages
from tests.docs.shell import LIMIT, Said
from tests.docs.world import World
from tests.support.servers import ROOT

NewDatabase = Callable[[], str]


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_page_shows_is_so(page: Path, new_database: NewDatabase) -> None:
    problem = problem_of(page.read_text(), new_database)
    assert problem is None, f"{page.relative_to(ROOT)}, {problem}"


def problem_of(text: str, new_database: NewDatabase) -> str | None:
    """The first thing that is not as a page says, and where."""
    try:
        found = list(blocks(text))
        for block in found:
            if problem := _checked(block):
                return problem
        if not any(_runs(block) for block in found):
            return None
        with ExitStack() as left:
            world = World(text, new_database, left)
            return next((problem for block in found if (problem := _run(block, world))), None)
    except BadPage as bad:
        return str(bad)


def _checked(block: Block) -> str | None:
    """What is wrong with a block that can be told without running it."""
    if block.language not in (*EXECUTED, *CHECKED, *SHOWN):
        known = ", ".join((*EXECUTED, *CHECKED, *SHOWN))
        return f"line {block.line}: the language of a block must be one of {known}, not {block.language!r}"
    if block.language == "json":
        try:
            check(loads(block.text.encode()))
        except Invalid as invalid:
            return f"line {block.line}: this is not valid R4:\n{_told(invalid)}"
    return None


def _told(invalid: Invalid) -> str:
    return "\n".join(f"  {issue.expression or ''} {issue.diagnostics}" for issue in invalid.issues)


def _runs(block: Block) -> bool:
    return block.language == "python" or (
        block.language == "console" and not all(is_for_readers(command.text) for command in commands(block))
    )


def _run(block: Block, world: World) -> str | None:
    if block.language == "python":
        script = world.directory.parent / f"line-{block.line}.py"
        script.write_text(world.here(block.text))
        said = world.shell.run(f"'{sys.executable}' '{script}'")
        return None if said.status == 0 else _report(Command(block.line, f"python: {block.lines[0]} …"), said)
    if block.language != "console":
        return None
    for command in commands(block):
        if is_for_readers(command.text):
            continue
        said = world.shell.run(world.here(command.text))
        expected = tuple(map(world.here, command.expected))
        good = said.status is not None and (is_as_shown(expected, said.lines) if expected else said.status == 0)
        if not good:
            return _report(Command(command.line, command.text, expected), said)
    return None


def _report(command: Command, said: Said) -> str:
    end = f"exit status {said.status}" if said.status is not None else f"no end within {LIMIT:.0f} s, or of the shell"
    lines = [f"line {command.line}: $ {command.text}", f"came ({end}):", *(f"  {line}" for line in said.lines[-60:])]
    if command.expected:
        lines += ["expected:", *(f"  {line}" for line in command.expected)]
        lines += [f"the first that does not come: {first_difference(command.expected, said.lines)}"]
    return "\n".join(lines)


# The tests of the tests: what is wrong is seen.


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```\nls\n```\n", "line 2: the language of a block"),
        ("```bash\nls\n```\n", "not 'bash'"),
        ("```console\n$ ls\n", "line 1: the block does not end"),
        ("```console\nls\n```\n", "line 2: a console begins with a command"),
        ("```console\n$ make nonsense\n```\n", "there is no `make nonsense`"),
        ('```json\n{"resourceType": "Patient", "gender": "unheard"}\n```\n', "line 2: this is not valid R4"),
        ("<!-- runs: rocket -->\n```console\n$ true\n```\n", "not 'rocket'"),
    ],
)
def test_a_block_that_cannot_be_right_is_reported(text: str, told: str, new_database: NewDatabase) -> None:
    assert told in (problem_of(text, new_database) or "")


RIGHT = """
```console
$ curl -s http://127.0.0.1:8000/livez
{"status":"live"}
$ NAME=somebody
$ echo "$NAME" \\
    is here
somebody …
$ echo one; echo two; echo three
…
three
```
"""
WRONG = [
    ("```console\n$ curl -s http://127.0.0.1:8000/livez\n{}\n```", ["line 2:", "does not come: {}", '"live"']),
    ("```console\n$ true\n$ false  # is not true\n```", ["line 3: $ false", "exit status 1"]),
    ("```console\n$ echo one; echo two\none\n```", ["line 2: $ echo", "does not come: nothing more"]),
    ("```python\nassert 1 == 2\n```", ["line 2: $ python: assert 1 == 2", "AssertionError"]),
    ("```console\n$ echo $NOTHING\n```", ["line 2: $ echo", "NOTHING: unbound variable"]),
]


def test_a_command_that_does_something_else_is_reported(new_database: NewDatabase) -> None:
    with ExitStack() as left:
        world = World(RIGHT, new_database, left)
        assert all(_run(block, world) is None for block in blocks(RIGHT))
        for text, told in WRONG:
            problem = _run(next(blocks(text)), world) or ""
            assert all(words in problem for words in told), problem


def test_what_a_page_starts_ends_with_it(new_database: NewDatabase) -> None:
    body = json.dumps({"resourceType": "Patient", "id": "kept"})
    text = f"""<!-- runs: server, receiver -->
```console
$ .venv/bin/careloop receiver --port 9111 > receiver.log &
$ until curl -sf http://127.0.0.1:9111/control > /dev/null; do sleep 0.1; done
$ cat > patient.json <<'END'
{body}
END
$ curl -s http://127.0.0.1:8000/fhir/Endpoint/stand-in-ehr
{{…"address":"http://127.0.0.1:9000/fhir"…}}
```
"""
    assert problem_of(text, new_database) is None
