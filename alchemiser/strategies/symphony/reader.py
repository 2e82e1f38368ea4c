"""Text of a symphony file to nested forms: brackets, strings and words, each with its place in the file.

The reader knows the lexical rules and nothing of what the words mean; that is :mod:`alchemiser.strategies.symphony.check`. It never
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


class Word(msgspec.Struct, frozen=True, gc=False):
    """A bare word: an operator, a keyword with its colon, a number as it is written, or ``nil``."""

    text: str
    offset: int

    def __str__(self) -> str:
        return self.text


class Text(msgspec.Struct, frozen=True, gc=False):
    """A string in double quotes, its escapes resolved."""

    value: str
    offset: int

    def __str__(self) -> str:
        return f'"{self.value}"'


class Form(msgspec.Struct, frozen=True, eq=False):
    """A list ``(...)``, a vector ``[...]`` or a map ``{...}``; ``opening`` is its first bracket."""

    opening: str
    items: list["Word | Text | Form"]
    offset: int

    def __str__(self) -> str:
        return {"(": "a list (...)", "[": "a vector [...]", "{": "a map {...}"}[self.opening]


Item = Word | Text | Form


class Source:
    """The text of a file and where its lines begin, to say line and column of an offset."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._line_starts: list[int] | None = None

    def place(self, offset: int) -> tuple[int, int]:
        """Return the line and column, both from 1, of a character."""
        if self._line_starts is None:
            self._line_starts = [0, *(match.end() for match in re.finditer("\n", self.text))]
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def refuse(self, offset: int, message: str) -> SymphonyError:
        """Return the error that refuses this file because of what is at ``offset``."""
        line, column = self.place(offset)
        return SymphonyError(message, line=line, column=column)


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
        raise source.refuse(nul, "a NUL character; this is not a text file")
    forms, depth = _forms(source)
    if not forms:
        raise source.refuse(0, "the file holds no (defsymphony ...)")
    first = forms[0]
    if not isinstance(first, Form):
        raise source.refuse(first.offset, f"expected (defsymphony ...), found {first}")
    if len(forms) > 1:
        raise source.refuse(forms[1].offset, f"{forms[1]} after the end of the symphony; a file holds exactly one")
    return ReadSymphony(form=first, source=source, depth=depth)


_TOKEN = re.compile(
    r"""[\s,]+ | ;[^\n]*                       # white space, to which commas belong, and comments
    | (?P<open>[(\[{]) | (?P<close>[)\]}])
    | "(?P<string>[^"\\]*(?:\\.[^"\\]*)*)"
    | (?P<word>[^\s,;()\[\]{}"]+)
    | (?P<stray>")""",
    re.VERBOSE | re.DOTALL,
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "/": "/"}


def _forms(source: Source) -> tuple[list[Item], int]:
    """Return the top-level items and the deepest nesting of brackets."""
    top: list[Item] = []
    items = top
    open_forms: list[Form] = []
    deepest = 0
    for token in _TOKEN.finditer(source.text):
        kind = token.lastgroup
        if kind is None:
            continue
        offset = token.start()
        if kind == "word":
            items.append(Word(token.group(), offset))
        elif kind == "open":
            form = Form(token.group(), [], offset)
            items.append(form)
            open_forms.append(form)
            items = form.items
            if len(open_forms) > deepest:
                deepest = len(open_forms)
                if deepest > MAX_DEPTH:
                    raise source.refuse(offset, f"brackets nest deeper than {MAX_DEPTH} levels")
        elif kind == "close":
            _check_closing(source, open_forms, token.group(), offset)
            open_forms.pop()
            items = open_forms[-1].items if open_forms else top
        elif kind == "string":
            items.append(Text(_unescaped(source, token.group("string"), offset + 1), offset))
        else:
            raise source.refuse(offset, "this string is never closed")
    if open_forms:
        unclosed = open_forms[-1]
        raise source.refuse(unclosed.offset, f"{unclosed.opening!r} is never closed ({len(open_forms)} brackets are open at the end)")
    return top, deepest


def _check_closing(source: Source, open_forms: list[Form], closing: str, offset: int) -> None:
    if not open_forms:
        raise source.refuse(offset, f"{closing!r} closes nothing")
    form = open_forms[-1]
    if _CLOSING[form.opening] != closing:
        line, column = source.place(form.offset)
        raise source.refuse(offset, f"{closing!r} does not close {form.opening!r} of line {line}, column {column}")


def _unescaped(source: Source, body: str, offset: int) -> str:
    if "\\" not in body:
        return body

    def replace(match: re.Match[str]) -> str:
        letter = match.group(1)
        if letter not in _ESCAPES:
            raise source.refuse(offset + match.start(), f"unknown escape \\{letter} in a string")
        return _ESCAPES[letter]

    return _ESCAPE.sub(replace, body)
