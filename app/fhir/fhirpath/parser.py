"""Tokens to syntax tree: precedence climbing over the operators of http://hl7.org/fhirpath/N1, section 10.8."""

from __future__ import annotations

from functools import lru_cache

from app.fhir.fhirpath.ast import Binary, Call, Expression, Index, Literal, Member, Nothing, Unary, Variable
from app.fhir.fhirpath.errors import FhirPathError
from app.fhir.fhirpath.lexer import Token, tokens

MAX_DEPTH = 40

_LEVELS: tuple[tuple[str, ...], ...] = (
    ("implies",),
    ("or", "xor"),
    ("and",),
    ("in", "contains"),
    ("=", "~", "!=", "!~"),
    (">", "<", ">=", "<="),
    ("|",),
    ("is", "as"),
    ("+", "-", "&"),
    ("*", "/", "div", "mod"),
)
_PRECEDENCE = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators}
_NAMES_TOO = frozenset(("as", "is", "in", "contains"))
_LITERALS = {"string": "string", "date": "date", "dateTime": "dateTime", "time": "time"}
_CALENDAR_UNITS = frozenset(
    unit + plural
    for unit in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for plural in ("", "s")
)


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """The syntax tree of `text`. Raises FhirPathError."""
    parser = _Parser(tokens(text))
    tree = parser.expression()
    parser.expect("")
    return tree


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0
        self._depth = 0

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _advance(self) -> Token:
        token = self._now
        self._at += 1
        return token

    def _is(self, symbol: str) -> bool:
        return self._now.kind == "symbol" and self._now.text == symbol

    def _take(self, symbol: str) -> bool:
        found = self._is(symbol)
        self._at += found
        return found

    def _fail(self) -> FhirPathError:
        return FhirPathError(f"The expression makes no sense at character {self._now.position}.")

    def expect(self, symbol: str) -> None:
        """Consume `symbol`; the empty one stands for the end."""
        if (self._now.kind not in ("symbol", "end")) or self._now.text != symbol:
            raise self._fail()
        self._at += self._now.kind != "end"

    def expression(self, level: int = 0) -> Expression:
        """A chain of operators that bind at least as tightly as `level`; equal ones group to the left."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FhirPathError(f"The expression is nested deeper than {MAX_DEPTH}.")
        left = self._unary()
        while (found := self._operator()) is not None and _PRECEDENCE[found] >= level:
            self._at += 1
            right = self._type() if found in ("is", "as") else self.expression(_PRECEDENCE[found] + 1)
            left = Binary(found, left, right)
        self._depth -= 1
        return left

    def _operator(self) -> str | None:
        token = self._now
        return token.text if token.kind in ("symbol", "name") and token.text in _PRECEDENCE else None

    def _unary(self) -> Expression:
        signs = []
        while self._is("-") or self._is("+"):
            signs.append(self._advance().text)
        tree = self._postfix()
        return Unary("-", tree) if signs.count("-") % 2 else tree

    def _postfix(self) -> Expression:
        tree = self._term()
        while True:
            if self._take("."):
                tree = self._invocation(tree)
            elif self._take("["):
                tree = Index(tree, self.expression())
                self.expect("]")
            else:
                return tree

    def _term(self) -> Expression:
        token = self._now
        if token.kind in _LITERALS:
            self._at += 1
            return Literal(_LITERALS[token.kind], token.text)
        if token.kind == "number":
            return self._number()
        if token.kind == "variable":
            self._at += 1
            return Variable(token.text)
        if self._take("("):
            tree = self.expression()
            self.expect(")")
            return tree
        if self._take("{"):
            self.expect("}")
            return Nothing()
        return self._invocation(None)

    def _number(self) -> Expression:
        text = self._advance().text
        unit = self._now
        if unit.kind == "string" or (unit.kind == "name" and unit.text in _CALENDAR_UNITS):
            self._at += 1
            return Literal("Quantity", text, unit.text)
        return Literal("decimal" if "." in text else "integer", text)

    def _invocation(self, base: Expression | None) -> Expression:
        token = self._now
        if token.kind == "variable" and token.text.startswith("$") and base is not None:
            raise self._fail()
        if token.kind not in ("name", "quoted") or (base is None and self._is_reserved(token)):
            raise self._fail()
        self._at += 1
        if self._take("("):
            return Call(base, token.text, self._arguments())
        if base is None and token.kind == "name" and token.text in ("true", "false"):
            return Literal("boolean", token.text)
        return Member(base, token.text)

    @staticmethod
    def _is_reserved(token: Token) -> bool:
        return token.kind == "name" and token.text in _PRECEDENCE and token.text not in _NAMES_TOO

    def _arguments(self) -> tuple[Expression, ...]:
        if self._take(")"):
            return ()
        found = [self.expression()]
        while self._take(","):
            found.append(self.expression())
        self.expect(")")
        return tuple(found)

    def _type(self) -> Expression:
        tree = self._invocation(None)
        while self._take("."):
            tree = self._invocation(tree)
        return tree
