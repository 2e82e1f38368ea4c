"""The reader: every lexical oddity of the corpus, and refusals that name the place."""

from pathlib import Path

import pytest

from alchemiser.domain.errors import StrategyError, SymphonyError
from alchemiser.strategies.symphony.reader import MAX_DEPTH, Form, Item, Text, Word, read_bytes, read_file, read_text


def plain(item: Item) -> object:
    """Return an item as nested Python values, brackets first."""
    if isinstance(item, Form):
        return [item.opening, *(plain(inner) for inner in item.items)]
    return item.text if isinstance(item, Word) else item.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(a b)", ["(", "a", "b"]),
        ("(a, b,,c)", ["(", "a", "b", "c"]),
        ("; before\n(a ; inside (\n b) ; after", ["(", "a", "b"]),
        ('(a "b c" "")', ["(", "a", "b c", ""]),
        (r'(a "say \"hi\" \\ \n\t\r\/")', ["(", "a", 'say "hi" \\ \n\t\r/']),
        ('(a "no ; comment, here")', ["(", "a", "no ; comment, here"]),
        ('(a "two\nlines")', ["(", "a", "two\nlines"]),
        ("({:k -0.5} [x [y]])", ["(", ["{", ":k", "-0.5"], ["[", "x", ["[", "y"]]]),
        ("(a(b)c)", ["(", "a", ["(", "b"], "c"]),
        ("\ufeff(a)".removeprefix("\ufeff"), ["(", "a"]),
        ('(asset "BRK/B" nil)', ["(", "asset", "BRK/B", "nil"]),
        ('(group "\\u00e9\\u00E9")', ["(", "group", "éé"]),
    ],
)
def test_lexical_rules(text: str, expected: object) -> None:
    """Commas are white space, comments run to the end of the line, strings have escapes, brackets need no space around them."""
    assert expected == plain(read_text(text).form)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "no (defsymphony"),
        ("  ; only a comment", 1, 1, "no (defsymphony"),
        ("word", 1, 1, "expected (defsymphony ...), found word"),
        ('"text"', 1, 1, 'found "text"'),
        ("(a\n  (b", 2, 3, "never closed (2 brackets"),
        ("(a)\n)", 2, 1, "')' closes nothing"),
        ("(a\n [b)", 2, 4, "')' does not close '[' of line 2, column 2"),
        ('(a\n "b)', 2, 2, "string is never closed"),
        ("(a)\n (b)", 2, 2, "after the end"),
        ("(a)\n (a)", 2, 2, "after the end"),
        ('(a "b\\ud800")', 1, 6, "unknown escape"),
        ("(a)\nb", 2, 1, "after the end"),
        ('(a "b\\q")', 1, 6, "unknown escape \\q"),
        ("(a\n\0)", 2, 1, "NUL"),
    ],
)
def test_refusals_name_the_place(text: str, line: int, column: int, words: str) -> None:
    """What is not one balanced form is refused with its line and column."""
    with pytest.raises(SymphonyError) as caught:
        read_text(text)

    assert (line, column) == (caught.value.line, caught.value.column)
    assert words in caught.value.message


def test_depth_is_counted_and_bounded() -> None:
    """Nesting up to the limit is read without the host stack; one level more is refused at its bracket."""
    deep = read_text("(" * MAX_DEPTH + ")" * MAX_DEPTH)

    assert deep.depth == MAX_DEPTH
    with pytest.raises(SymphonyError, match=f"deeper than {MAX_DEPTH}") as caught:
        read_text("(" * 100_000)
    assert caught.value.column == MAX_DEPTH + 1


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"(a \xff)", "0xff is not UTF-8"),
        ("(a)".encode("utf-16"), "UTF-16"),
        (b"(" + b" " * 10_000_000 + b")", "larger than 10,000,000 bytes"),
    ],
)
def test_wrong_files_are_refused(raw: bytes, words: str) -> None:
    """Wrong encodings and files beyond the limit are refused politely."""
    with pytest.raises(SymphonyError, match=words):
        read_bytes(raw)


def test_place_of_a_wrong_byte() -> None:
    """A byte that is not UTF-8 is named by line and column."""
    with pytest.raises(SymphonyError) as caught:
        read_bytes(b"(a\n \xe9)")
    assert (caught.value.line, caught.value.column) == (2, 2)


def test_byte_order_mark_is_tolerated() -> None:
    """A UTF-8 byte-order mark in front is not part of the text."""
    assert read_bytes(b"\xef\xbb\xbf(a)").depth == 1


def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """A missing file and a directory are refused by name, not with a traceback."""
    for path in (tmp_path / "missing.clj", tmp_path):
        with pytest.raises(StrategyError, match=str(path)):
            read_file(path)


def test_items_print_as_people_write_them() -> None:
    """Messages quote what was found."""
    assert [str(Word("x", 0)), str(Text("x", 0)), str(Form("[", [], 0))] == ["x", '"x"', "a vector [...]"]
