"""Text of a symphony file to nested forms: brackets, strings and words, each with its place in the file.

The reader knows the lexical rules and nothing of what the words mean; that is :mod:`alchemiser.strategies.symphony.check`. Exported files
repeat themselves thousands of times, so each distinct form is made once, and whoever reads on meets it once. It never
recurses, so that nesting costs no host stack, and it either returns the whole form or raises :class:`SymphonyError` with line and
column: nothing is ever half read. Files of more than 10 MB or 300 levels are refused.
"""

import re
from bisect import bisect_right
from pathlib import Path

import msgspec

from alchemiser.domain.errors import StrategyError, SymphonyError

MAX_FILE_BYTES = 10_000_000
MAX_DEPTH = 300

SHOWN_CHARACTERS = 60
"""So much of a word or a string is shown in a message."""


def shortened(text: str) -> str:
    """Return a text as a message shows it, cut when it is long."""
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


class Word(msgspec.Struct, frozen=True, gc=False):
    """A bare word: an operator, a keyword with its colon, a number as it is written, or ``nil``. ``place`` counts tokens."""

    text: str
    place: int

    def __str__(self) -> str:
        return shortened(self.text)


class Text(msgspec.Struct, frozen=True, gc=False):
    """A string in double quotes, its escapes resolved."""

    value: str
    place: int

    def __str__(self) -> str:
        return f'"{shortened(self.value)}"'


class Form(msgspec.Struct, frozen=True, eq=False):
    """A list ``(...)``, a vector ``[...]`` or a map ``{...}``; ``opening`` is its first bracket.

    A form that is written many times exists once, where it is written first: forms are equal exactly when they are the same object.
    """

    opening: str
    items: list["Word | Text | Form"]
    place: int
    tokens: int = 2

    def __str__(self) -> str:
        return {"(": "a list (...)", "[": "a vector [...]", "{": "a map {...}"}[self.opening]


Item = Word | Text | Form


class Source:
    """The text of a file: says line and column of a token. Where tokens stand is only worked out when somebody asks."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._offsets: list[int] | None = None
        self._line_starts: list[int] | None = None

    def tokens(self) -> list[str]:
        """Return the tokens; behind the last one stands an empty string."""
        return _TOKEN.findall(self.text)

    def line_and_column(self, place: int) -> tuple[int, int]:
        """Return the line and column, both from 1, of the token at a place."""
        return self._at(self._offset(place))

    def refuse(self, place: int, message: str, *, within: int = 0) -> SymphonyError:
        """Return the error that refuses this file because of the token at ``place``, or of the character ``within`` it."""
        line, column = self._at(self._offset(place) + within)
        return SymphonyError(message, line=line, column=column)

    def _offset(self, place: int) -> int:
        if self._offsets is None:
            self._offsets = [match.start(1) for match in _TOKEN.finditer(self.text)]
        return self._offsets[place]

    def _at(self, offset: int) -> tuple[int, int]:
        if self._line_starts is None:
            self._line_starts = [0, *(match.end() for match in re.finditer("\n", self.text))]
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1


class ReadSymphony(msgspec.Struct, frozen=True, eq=False):
    """A file as it was read: its one top-level form, its source, and how deep its brackets nest."""

    form: Form
    source: Source
    depth: int


def read_file(path: Path) -> ReadSymphony:
    """Read a symphony file. Raises ``StrategyError`` when it cannot be opened and ``SymphonyError`` when it is not a symphony."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise StrategyError(f"{path}: cannot be read ({error.strerror}); the strategy is not loaded") from error
    return read_bytes(raw)


def read_bytes(raw: bytes) -> ReadSymphony:
    """Read a symphony from the bytes of a file, which must be UTF-8, with or without a byte-order mark."""
    if len(raw) > MAX_FILE_BYTES:
        raise SymphonyError(f"the file is larger than {MAX_FILE_BYTES:,} bytes", line=1, column=1)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SymphonyError("the file is UTF-16; save it as UTF-8", line=1, column=1)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8-sig", errors="replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise SymphonyError(f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8", line=line, column=column) from error
    return read_text(text)


def read_text(text: str) -> ReadSymphony:
    """Read the one form of a symphony from text."""
    source = Source(text)
    if (nul := text.find("\0")) >= 0:
        line, column = text.count("\n", 0, nul) + 1, nul - text.rfind("\n", 0, nul)
        raise SymphonyError("a NUL character; this is not a text file", line=line, column=column)
    top, depth = _Reading(source).forms()
    if not top:
        raise SymphonyError("the file holds no (defsymphony ...)", line=1, column=1)
    first = top[0]
    if not isinstance(first, Form):
        raise source.refuse(first.place, f"expected (defsymphony ...), found {first}")
    if len(top) > 1:
        # Not the place of the second: a form that equals the first is the first.
        raise source.refuse(first.place + first.tokens, f"{top[1]} after the end of the symphony; a file holds exactly one")
    return ReadSymphony(form=first, source=source, depth=depth)


# White space, to which commas belong, and comments stand before a token; behind the last one there may be nothing but them.
_TOKEN = re.compile(
    r"""[\s,]*(?:;[^\n]*[\s,]*)*( [()\[\]{}] | "[^"\\]*(?:\\.[^"\\]*)*" | [^\s,;()\[\]{}"]+ | " | \Z )""",
    re.VERBOSE | re.DOTALL,
)
_CLOSED_BY = {")": "(", "]": "[", "}": "{"}
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "/": "/"}

_Raw = str | Form


class _Reading:
    """One pass over the tokens. Atoms stay plain text until the form around them turns out to be a new one."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: dict[tuple[_Raw, ...], Form] = {}

    def forms(self) -> tuple[list[Item], int]:
        """Return the top-level items and the deepest nesting of brackets."""
        tokens = self._source.tokens()
        if '"' in tokens:
            raise self._source.refuse(tokens.index('"'), "this string is never closed")
        known = self._known
        open_forms: list[tuple[list[_Raw], int]] = []
        items: list[_Raw] = []
        deepest = 0
        for place, token in enumerate(tokens):
            if token in _CLOSED_BY:
                if not open_forms or tokens[open_forms[-1][1]] != _CLOSED_BY[token]:
                    raise self._wrong_closing(tokens, token, place, open_forms[-1][1] if open_forms else None)
                key = (token, *items)
                form = known.get(key)
                inner = items
                items, began = open_forms.pop()
                if form is None:
                    form = known[key] = self._new_form(tokens, inner, began, place)
                items.append(form)
            elif token in _CLOSING:
                open_forms.append((items, place))
                items = []
                if len(open_forms) > deepest:
                    deepest = len(open_forms)
                    if deepest > MAX_DEPTH:
                        raise self._source.refuse(place, f"brackets nest deeper than {MAX_DEPTH} levels")
            else:
                items.append(token)
        if open_forms:
            began = open_forms[-1][1]
            message = f"{tokens[began]!r} is never closed ({len(open_forms)} brackets are open at the end)"
            raise self._source.refuse(began, message)
        # The empty tokens behind the last one are the end of the text.
        return self._items([item for item in items if item != ""], 0), deepest

    def _new_form(self, tokens: list[str], items: list[_Raw], began: int, ended: int) -> Form:
        return Form(tokens[began], self._items(items, began + 1), began, ended - began + 1)

    def _items(self, raw: list[_Raw], place: int) -> list[Item]:
        """Return the items that begin at a place, with the places of the atoms among them."""
        items: list[Item] = []
        for item in raw:
            if isinstance(item, Form):
                items.append(item)
                place += item.tokens
                continue
            if item.startswith('"'):
                items.append(Text(self._unescaped(item[1:-1], place), place))
            else:
                items.append(Word(item, place))
            place += 1
        return items

    def _unescaped(self, body: str, place: int) -> str:
        if "\\" not in body:
            return body

        def replace(match: re.Match[str]) -> str:
            letter = match.group(1)
            if len(letter) > 1 and not "d800" <= letter[1:].lower() <= "dfff":  # Halves of a pair are no character.
                return chr(int(letter[1:], 16))
            if letter not in _ESCAPES:
                raise self._source.refuse(place, f"unknown escape \\{letter} in a string", within=1 + match.start())
            return _ESCAPES[letter]

        return _ESCAPE.sub(replace, body)

    def _wrong_closing(self, tokens: list[str], closing: str, place: int, began: int | None) -> SymphonyError:
        if began is None:
            return self._source.refuse(place, f"{closing!r} closes nothing")
        line, column = self._source.line_and_column(began)
        return self._source.refuse(place, f"{closing!r} does not close {tokens[began]!r} of line {line}, column {column}")
