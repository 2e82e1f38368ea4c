"""The picture of a symphony: well-formed, every node once, the path of a decision highlighted."""

from xml.etree import ElementTree

from alchemiser.strategies.symphony.check import check_text
from alchemiser.strategies.symphony.evaluate import Decision, decide
from alchemiser.strategies.symphony.graph import MAX_ROWS, draw
from tests.unit.strategies.conftest import InjectedReadings

SHARED = '(weight-equal [(asset "B") (asset "C")])'
TREE = check_text(
    f"""(defsymphony "A & <B>" {{}}
 (if (> (rsi "SPY" 10) 79) [(weight-specified 0.75 (asset "A") 0.25 (group "calm" [{SHARED}]))]
  [(if (< (rsi "QQQ" 10) 49) [{SHARED}] [(filter (rsi 9) (select-top 1) [(asset "A") (weight-inverse-volatility 5 [{SHARED}])])])]))"""
)


def texts(svg: str) -> list[tuple[str, str]]:
    """Return colour and text of each row below the title."""
    found = list(ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))  # noqa: S314 - our own text
    return [(row.get("fill", ""), row.text or "") for row in found]


def test_every_node_is_drawn_once() -> None:
    """Branches are named, shares shown, what is used again is pointed at; names are escaped."""
    title, *rows = [text for _, text in texts(draw(TREE))]

    assert title == "A & <B>"
    assert rows[:5] == ["rsi(SPY, 10) > 79?", "yes: weights", "0.75: A", '0.25: group "calm"', "equal weights"]
    assert "yes: equal weights (as above)" in rows
    assert "no: top 1 by rsi(9)" in rows
    assert "inverse volatility of 5 sessions" in rows


def test_the_path_is_highlighted() -> None:
    """The steps that were taken carry their numbers; close ones have a colour of their own; other branches stay grey."""
    decision = decide(TREE, InjectedReadings({"rsi(QQQ, 10)": 48.0}))
    assert isinstance(decision, Decision)
    _, *rows = texts(draw(TREE, decision.tree))
    colours = {text: colour for colour, text in rows}

    assert colours["rsi(SPY, 10) 50 > 79: no"] != colours["yes: weights"]
    assert colours["no: rsi(QQQ, 10) 48 < 49: yes, closely"] not in (colours["yes: weights"], colours["rsi(SPY, 10) 50 > 79: no"])
    assert ("A & <B>", "of a day") not in rows
    assert texts(draw(TREE, title="of a day"))[0][1] == "of a day"


def test_a_large_tree_shows_its_path() -> None:
    """A tree that is too large for a picture shows what was decided and what hangs on it."""
    parts = " ".join(f'(if (> (rsi "A" 10) {number}) (asset "A") (asset "B"))' for number in range(60, 60 + MAX_ROWS))
    tree = check_text(f'(defsymphony "Large" {{}} (if (> (rsi "SPY" 10) 79) [{parts}] [(asset "C")]))')
    decision = decide(tree, InjectedReadings())
    assert isinstance(decision, Decision)

    assert len(texts(draw(tree, decision.tree))) == 4
    assert len(texts(draw(tree))) == MAX_ROWS + 1
