"""Expressions: 64-bit integers as in C, no short circuit, and pMARS's own idea of precedence.

From loosest to tightest: ``||``, ``&&``, comparisons (all of one level), ``+ -``, ``* / %``, the
signs ``- + !``. Operators of one level go from left to right. What follows a tighter operator is
pMARS's own way, which published warriors rely on (`_Reader._run` has the rule): ``10-2*3+1`` is
``10-(2*3+1)``, ``10-2*3<1`` is ``(10-2*3)<1``. Parentheses make all of it plain.

``r=e`` stores in register r (a letter, its case does not count) and is worth e, where e reaches as
far right as it can. A label is worth its distance from the current instruction.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType

from deid_corewar.redcode.errors import NESTING_MAX, NUMBER_MAX, AssemblyError
from deid_corewar.redcode.lexer import Span, shown
from deid_corewar.redcode.symbols import Symbols, is_name, likely

__all__ = ["evaluate"]

DIGITS_MAX = 19
"""Digits of a number: 2^63 has 19; longer ones are not even converted."""

PRECEDENCE: Mapping[str, int] = MappingProxyType(
    {
        "||": 1,
        "&&": 2,
        **dict.fromkeys(("==", "!=", "<", ">", "<=", ">=", "=<", "=>"), 3),
        **dict.fromkeys("+-", 4),
        **dict.fromkeys("*/%", 5),
    }
)


def evaluate(span: Span, start: int, stop: int, address: int, symbols: Symbols) -> int:
    """The value of tokens `start` … `stop` at instruction `address`; EQU names are gone by now.

    Raises `AssemblyError` for a text that is no expression, an unknown name, a division by zero
    and numbers beyond 64 bits.
    """
    tokens = span.tokens
    if stop - start == 1:
        token = tokens[start]
        label = symbols.labels.get(token)
        if label is not None:
            return label - address
        if token.isdecimal() and len(token) < DIGITS_MAX:
            return int(token)
    elif stop - start == 2 and tokens[start] == "-":
        token = tokens[start + 1]
        if token.isdecimal() and len(token) < DIGITS_MAX:
            return -int(token)
    return _Reader(span, start, stop, address, symbols).whole()


class _Reader:
    """One walk over the tokens of an expression."""

    __slots__ = ("address", "at", "depth", "span", "stop", "symbols", "tokens")

    def __init__(self, span: Span, start: int, stop: int, address: int, symbols: Symbols) -> None:
        self.span = span
        self.tokens = span.tokens
        self.at = start
        self.stop = stop
        self.address = address
        self.symbols = symbols
        self.depth = 0

    def whole(self) -> int:
        value = self._expression()
        if self.at < self.stop:
            raise self._unexpected("an operator, a comma or the end of the expression")
        return value

    def _expression(self) -> int:
        value = self._signed()
        while self._precedence():
            value = self._run(value, 0)
        return value

    def _run(self, left: int, floor: int) -> int:
        """Apply operators to `left`, one after the other, until the run ends.

        An operator whose right side meets a tighter one leaves that side to a run of its own,
        whose `floor` is the operator's level. Such a run ends where its first step is followed by
        an operator below the floor; later steps know no floor. A run without a floor ends behind
        a step that needed a run.
        """
        precedence = self._precedence()
        while precedence:
            sign, place = self.tokens[self.at], self.at
            self.at += 1
            right = self._signed()
            tighter = self._precedence() > precedence
            if tighter:
                right = self._run(right, precedence)
            left = self._applied(sign, left, right, place)
            following = self._precedence()
            if following < floor or (tighter and floor == 0):
                break
            floor, precedence = 0, following
        return left

    def _precedence(self) -> int:
        """How tight the operator ahead binds; 0 where no operator is ahead."""
        return PRECEDENCE.get(self.tokens[self.at], 0) if self.at < self.stop else 0

    def _signed(self) -> int:
        first = self.at
        while self.at < self.stop and self.tokens[self.at] in ("-", "+", "!"):
            self.at += 1
        signs = self.tokens[first : self.at]
        value = self._primary()
        for sign in reversed(signs):
            value = -value if sign == "-" else int(value == 0) if sign == "!" else value
        return value

    def _primary(self) -> int:
        if self.at >= self.stop:
            raise self._unexpected("a number, a label or '('")
        token = self.tokens[self.at]
        if token == "(":
            return self._nested("(")
        if token.isdecimal() and token.isascii():
            return self._number()
        if is_name(token):
            return self._named(token)
        raise self._unexpected("a number, a label or '('")

    def _number(self) -> int:
        digits = self.tokens[self.at]
        if len(digits) > DIGITS_MAX or int(digits) > NUMBER_MAX:
            raise self._too_large(self.at, digits)
        self.at += 1
        return int(digits)

    def _nested(self, opening: str) -> int:
        """What follows `(` up to its `)`, or what follows `r=`."""
        place = self.at
        self.depth += 1
        if self.depth > NESTING_MAX:
            raise self.span.error(
                place, f"expected at most {NESTING_MAX} parentheses or assignments nested, got more"
            )
        self.at += 1 if opening == "(" else 2
        value = self._expression()
        self.depth -= 1
        if opening == "(":
            if self.at >= self.stop or self.tokens[self.at] != ")":
                raise self._unexpected("an operator or ')'")
            self.at += 1
        return value

    def _named(self, name: str) -> int:
        symbols = self.symbols
        if name in symbols.labels:
            value = symbols.labels[name] - self.address
        elif name in symbols.predefined:
            value = symbols.predefined[name]
        elif name == "CURLINE":
            value = self.address
        elif len(name) == 1 and name != "_":
            register = name.lower()
            if self.at + 1 < self.stop and self.tokens[self.at + 1] == "=":
                symbols.registers[register] = self._nested("=")
                return symbols.registers[register]
            value = symbols.registers.get(register, 0)
        else:
            raise self._unknown(name)
        self.at += 1
        return value

    def _applied(self, sign: str, left: int, right: int, place: int) -> int:
        match sign:
            case "/" | "%":
                if right == 0:
                    raise self.span.error(place, f"expected a divisor other than 0 after {sign!r}")
                value = abs(left) // abs(right)
                value = -value if (left < 0) != (right < 0) else value
                return value if sign == "/" else left - right * value
            case "&&":
                return int(left != 0 and right != 0)
            case "||":
                return int(left != 0 or right != 0)
            case _:
                return self._bounded(int(OPERATORS[sign](left, right)), place)

    def _bounded(self, value: int, place: int) -> int:
        if -NUMBER_MAX <= value <= NUMBER_MAX:
            return value
        raise self._too_large(place, str(value))

    def _too_large(self, place: int, text: str) -> AssemblyError:
        return self.span.error(
            place,
            f"expected numbers within ±(2^63 - 1), got {shown(text)}",
        )

    def _unexpected(self, expected: str) -> AssemblyError:
        place = min(self.at, self.stop)
        return self.span.error(place, f"expected {expected}, got {self.span.got(place)}")

    def _unknown(self, name: str) -> AssemblyError:
        symbols = self.symbols
        known = {*symbols.labels, *symbols.macros, *symbols.predefined, "CURLINE"}
        if name.upper() in known:
            hint = f"; did you mean {shown(name.upper())}? Upper and lower case differ"
        else:
            hint = likely(name, known)
        return self.span.error(
            self.at, f"expected a label, an EQU name or a number, got unknown {shown(name)}{hint}"
        )


OPERATORS: Mapping[str, Callable[[int, int], int]] = MappingProxyType(
    {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "==": operator.eq,
        "!=": operator.ne,
        "<": operator.lt,
        ">": operator.gt,
        "<=": operator.le,
        "=<": operator.le,
        ">=": operator.ge,
        "=>": operator.ge,
    }
)
