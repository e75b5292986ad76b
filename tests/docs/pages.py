"""Pages of Markdown, as the blocks of code they hold and the commands and outputs of a console.

A page says in a comment at its beginning what is to run for it:

    <!-- runs: server embedded poll_interval=0.5, receiver --accept-after 1s, worker -->

`server` comes with the data of `make demo`; words with `=` are settings of it, `embedded` gives it a PostgreSQL of its
own under `data/`. `receiver` is the stand-in EHR, with any options of `careloop receiver`; `worker` delivers instead of
the server. A page without the comment gets a server.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import ROOT

EXECUTED = ("console", "python")
CHECKED = ("json",)
SHOWN = ("ini", "text", "mermaid")
PROGRAMS = ("server", "receiver", "worker")

fence = re.compile(r"( *)(`{3,}|~{3,}) *([^\s`]*).*").fullmatch
_runs = re.compile(r"\s*<!--\s*runs:\s*(.*?)\s*-->", re.DOTALL).match
_heredoc = re.compile(r"<<-?\s*(['\"]?)(\w+)\1").search
_TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)


class BadPage(Exception):
    """What is written cannot be checked."""


@dataclass(frozen=True, slots=True)
class Block:
    """`line` is where its content begins, as editors count."""

    language: str
    line: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and the lines it should answer with; none: any, if it succeeds."""

    line: int
    text: str
    expected: tuple[str, ...] = ()


def pages() -> list[Path]:
    """The pages whose blocks are run: those of the top, and the guides."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [path for path in found if path.exists()]


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page. Raises BadPage for one that does not end."""
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        opened = fence(line)
        if opened is None:
            continue
        indent, marks, language = opened.groups()
        inside: list[str] = []
        for _, inner in lines:
            if inner.strip().startswith(marks) and not inner.strip().strip(marks[0]):
                break
            inside.append(inner.removeprefix(indent))
        else:
            raise BadPage(f"line {number}: the block does not end")
        yield Block(language, number + 1, tuple(inside))


def commands(block: Block) -> list[Command]:
    """The commands of a console: `$ ` begins one; it goes on after `\\`, in a quote or here-document, and with `> `."""
    found: list[Command] = []
    lines = list(enumerate(block.lines, block.line))
    while lines:
        number, line = lines.pop(0)
        if not line.startswith("$ "):
            raise BadPage(f"line {number}: a console begins with a command, `$ …`")
        text = line[2:]
        while lines and (_goes_on(text) or lines[0][1].startswith("> ") or lines[0][1] == ">"):
            following = lines.pop(0)[1]
            text += "\n" + (following[2:] if following.startswith(">") else following)
        if _goes_on(text):
            raise BadPage(f"line {number}: the command does not end: {text}")
        answered: list[str] = []
        while lines and not lines[0][1].startswith("$ "):
            answered.append(lines.pop(0)[1].rstrip())
        while answered and not answered[-1]:
            answered.pop()
        found.append(Command(number, text, tuple(answered)))
    return found


def _goes_on(text: str) -> bool:
    if text.endswith("\\"):
        return True
    if document := _heredoc(text):
        return document[2] not in text.splitlines()[1:]
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return True
    return False


def wanted(text: str) -> dict[str, list[str]]:
    """The programs that are to run for a page, each with what it is given."""
    said = _runs(text)
    found: dict[str, list[str]] = {}
    for part in said[1].split(",") if said else ["server"]:
        name, *given = shlex.split(part) or [""]
        if name not in PROGRAMS:
            raise BadPage(f"`runs:` knows {', '.join(PROGRAMS)}, not {name!r}")
        found[name] = given
    return found


def is_for_readers(command: str) -> bool:
    """Whether a command is not run: it fetches, or does for hours what other tests do. Raises BadPage for no target."""
    first, *rest = shlex.split(command, comments=True)
    if (first, *rest[:1]) == ("git", "clone") or first == "docker":
        return True
    if first != "make":
        return False
    targets = _TARGET.findall((ROOT / "Makefile").read_text())
    if unknown := [word for word in rest if "=" not in word and word not in targets]:
        raise BadPage(f"there is no `make {unknown[0]}`")
    return True
