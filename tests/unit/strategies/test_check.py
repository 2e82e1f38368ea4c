"""The checker: what every form means, both dialects, what a tree knows of itself, and what is refused."""

import time

import pytest

from alchemiser.domain.errors import SymphonyError
from alchemiser.domain.rebalancing import Frequency, Header
from alchemiser.market.indicators import Measure
from alchemiser.strategies.symphony.check import check_text
from alchemiser.strategies.symphony.tree import (
    Asset,
    Condition,
    Filter,
    Group,
    If,
    Number,
    Reading,
    Symphony,
    WeightEqual,
    WeightInverseVolatility,
    WeightSpecified,
)


def symphony(root: str, header: str = '{:asset-class "EQUITIES" :rebalance-frequency :daily}') -> Symphony:
    return check_text(f'(defsymphony "Test" {header}\n{root})')


def refusal(root: str, header: str = "{}") -> SymphonyError:
    with pytest.raises(SymphonyError) as caught:
        symphony(root, header)
    return caught.value


A, B, C = '(asset "A")', '(asset "B")', '(asset "C")'
RISING = '(> (rsi "SPY" {:window 10}) 79)'


# --- meaning ---


@pytest.mark.parametrize(
    ("written", "symbol"),
    [
        ('(asset "SPY")', "SPY"),
        ('(asset "SPY" nil)', "SPY"),
        ('(asset "SPY" "The fund" "NYSE")', "SPY"),
        ('(asset "EQUITIES::BIL//USD" "bills")', "BIL"),
        ('(asset "EQUITIES::SOXS")', "SOXS"),
        ('(asset "BRK/B")', "BRK.B"),
        ('(asset "LQQ3")', "LQQ3"),
    ],
)
def test_assets_in_every_spelling(written: str, symbol: str) -> None:
    """Display names have no effect, prefixes and currencies are stripped, share classes get the broker's spelling."""
    root = symphony(written).root

    assert isinstance(root, Asset)
    assert symbol == root.symbol


@pytest.mark.parametrize(
    ("written", "measure"),
    [
        ('(rsi "X" {:window 7})', Measure("rsi", (7,))),
        ('(rsi "X" 7)', Measure("rsi", (7,))),
        ('(relative-strength-index "X" 7)', Measure("rsi", (7,))),
        ('(standard-deviation-return "X" 20)', Measure("stdev-return", (20,))),
        ('(standard-deviation-price "X" {:window 20})', Measure("stdev-price", (20,))),
        ('(rsi "X")', Measure("rsi", (14,))),
        ('(current-price "X")', Measure("current-price")),
        ('(current-price "X" {})', Measure("current-price")),
        ('(current-price "X" {:window 10})', Measure("current-price")),
        (
            '(percentage-price-oscillator "X" {:long-window 26 :short-window 12})',
            Measure("percentage-price-oscillator", (12, 26)),
        ),
        (
            '((unimplemented :percentage-price-oscillator-signal) "X" {:short-window 12, :long-window 26, :smooth-window 9})',
            Measure("percentage-price-oscillator-signal", (12, 26, 9)),
        ),
    ],
)
def test_indicators_in_both_dialects(written: str, measure: Measure) -> None:
    """Long names, plain windows, left-out windows and unknown-to-the-exporter heads mean the same indicators."""
    root = symphony(f"(if (> {written} 1.5) [{A}] [{B}])").root

    assert isinstance(root, If)
    assert root.condition == Condition(">", Reading(measure, "X"), Number(1.5))


def test_every_node_form() -> None:
    """Each form becomes its node, with its parts in source order."""
    tree = symphony(
        f"""(weight-specified 0.25 (group "g" [(weight-equal [{A} [{B} [{C}]]])])
                             0.75 (if {RISING} [{A} {B}] (filter (rsi 10) (select-bottom 2) [(weight-inverse-volatility 14 [{A} {B}]) {C}]))
                             0 {B})"""
    )
    root = tree.root

    assert isinstance(root, WeightSpecified)
    assert root.shares == (0.25, 0.75, 0.0)
    group, branching, _ = root.children
    assert isinstance(group, Group)
    assert group.name == "g"
    assert isinstance(group.child, WeightEqual)
    assert [child.symbol for child in group.child.children if isinstance(child, Asset)] == ["A", "B", "C"]
    assert isinstance(branching, If)
    assert isinstance(branching.then, WeightEqual), "several children in a branch are an equal weight of them"
    assert isinstance(branching.otherwise, Filter), "a branch may stand without brackets"
    assert (branching.otherwise.select, branching.otherwise.count) == ("bottom", 2)
    weighed = branching.otherwise.children[0]
    assert isinstance(weighed, WeightInverseVolatility)
    assert weighed.window == 14


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("{}", Header(Frequency.NONE)),
        ("{:rebalance-frequency :quarterly}", Header(Frequency.QUARTERLY)),
        ('{:asset-class "EQUITIES", :rebalance-threshold 0.1}', Header(Frequency.NONE, 0.1)),
        ("{:rebalance-frequency :none :rebalance-threshold 0.05}", Header(Frequency.NONE, 0.05)),
    ],
)
def test_headers(header: str, expected: Header) -> None:
    """A header has a frequency or a threshold, or neither."""
    assert expected == symphony(A, header).header


def test_equal_subtrees_are_one_node() -> None:
    """A sub-tree that is written many times exists once, wherever it stands; different group names keep different groups."""
    block = f"(if {RISING} [{A}] [(weight-equal [{B} {C}])])"
    tree = symphony(f'(weight-equal [{block} {block} (group "x" [{block}]) (group "y" [{block}])])')

    assert isinstance(tree.root, WeightEqual)
    first, second, x, y = tree.root.children
    assert first is second
    assert isinstance(x, Group)
    assert isinstance(y, Group)
    assert x is not y
    assert x.child is y.child is first
    assert len(tree.nodes) == 8
    assert all(child.index < node.index for node in tree.nodes if isinstance(node, WeightEqual) for child in node.children)


def test_same_group_name_with_different_bodies() -> None:
    """Group names are not unique, and bodies of the same name stay apart."""
    root = symphony(f'(weight-equal [(group "x" [{A}]) (group "x" [{B}])])').root

    assert isinstance(root, WeightEqual)
    assert root.children[0] is not root.children[1]


# --- what a tree knows of itself ---


def test_symbols_held_and_watched() -> None:
    """What only stands in conditions is watched; what a zero weight never reaches is neither."""
    tree = symphony(f'(weight-specified 1 (if (> (rsi "SPY" 10) (rsi "A" 10)) [{A}] [{B}]) 0 {C})')

    assert (("A", "B"), ("SPY",)) == (tree.symbols_held, tree.symbols_watched)
    assert ("A", "B", "SPY") == tree.symbols


def test_history_needed_grows_through_ranked_groups() -> None:
    """A ranked group is decided on past sessions too: a window of 5 returns over groups that need 200 closes needs 205."""
    inner = f'(if (> (current-price "SPY") (moving-average-price "SPY" {{:window 200}})) [{A}] [{B}])'
    flat = symphony(inner)
    ranked = symphony(f'(filter (stdev-return {{:window 5}}) (select-top 1) [(group "x" [{inner}]) (group "y" [{C}])])')

    assert (200, 200, False) == (flat.bars_needed, flat.longest_window, flat.ranks_groups)
    assert (205, 200, True) == (ranked.bars_needed, ranked.longest_window, ranked.ranks_groups)


@pytest.mark.parametrize(
    ("root", "words"),
    [
        (f"(filter (rsi 10) (select-top 3) [{A} {B}])", "keeps everything"),
        (f"(filter (rsi 10) (select-top 1) [{A} {A}])", "listed twice"),
        (f"(weight-specified 1 {A} 0 {B})", "weight 0"),
        (f'(if (> (rsi "X" 10) 100) [{A}] [{B}])', "always false"),
        (f'(if (< (rsi "X" 10) 101) [{A}] [{B}])', "always true"),
        (f'(if (<= (rsi "X" 10) 100) [{A}] [{B}])', "always true"),
        (f'(if (>= (rsi "X" 10) 101) [{A}] [{B}])', "always false"),
        (f'(if (= (rsi "X" 10) 101) [{A}] [{B}])', "always false"),
        (f'(if (= (rsi "X" 10) (rsi "X" 10)) [{A}] [{B}])', "always true"),
        (f'(if (< (stdev-return "X" 10) 0) [{A}] [{B}])', "always false"),
        (f'(if (> (cumulative-return "X" 10) -101) [{A}] [{B}])', "always true"),
        (f"(if (>= 2 1) [{A}] [{B}])", "always true"),
        (f"(if (<= 2 1) [{A}] [{B}])", "always false"),
        (f'(if (> (rsi "X") 50) [{A}] [{B}])', "rsi without a window; 14 is used"),
        (f'(if (> (current-price "X" 3) 50) [{A}] [{B}])', "no effect"),
        (f"(weight-inverse-volatility [{A} {B}])", "without a window; 20 is used"),
    ],
)
def test_warnings(root: str, words: str) -> None:
    """What is odd but has a meaning is traded as written and remarked upon, with its place."""
    (warning,) = symphony(root).warnings

    assert words in warning.message
    assert str(warning).startswith("line 2, column ")


@pytest.mark.parametrize(
    ("asked", "then_asked", "outcome"),
    [
        ('(> (rsi "X" 10) 79)', '(> (rsi "X" 10) 75)', ("true", None)),
        ('(> (rsi "X" 10) 79)', '(> (rsi "X" 10) 81)', (None, "false")),
        ('(> 79 (rsi "X" 10))', '(>= (rsi "X" 10) 79)', ("false", "true")),
        ('(> (rsi "X" 10) 79)', '(> (rsi "X" 11) 79)', (None, None)),
        ('(> (rsi "X" 10) (rsi "Y" 10))', '(< (rsi "Y" 10) (rsi "X" 10))', ("true", "false")),
        ('(> (rsi "X" 10) (rsi "Y" 10))', '(>= (rsi "X" 10) (rsi "Y" 10))', ("true", None)),
        ('(= (rsi "X" 10) 50)', '(<= (rsi "X" 10) 50)', ("true", None)),
        ('(>= (current-price "X") 10)', '(< (current-price "X") 10)', ("false", "true")),
    ],
)
def test_what_was_asked_before_closes_branches(asked: str, then_asked: str, outcome: tuple[str | None, str | None]) -> None:
    """A condition whose outcome follows from the conditions above it is remarked upon, in either branch."""
    for place, expected in enumerate(outcome):
        inner = f"(if {then_asked} [{A}] [{B}])"
        branches = (f"[{inner}] [{C}]", f"[{C}] [{inner}]")[place]
        found = [warning.message for warning in symphony(f"(if {asked} {branches})").warnings]

        assert [expected is not None] == [bool(found)], (place, found)
        if expected is not None:
            assert f"after what was asked before it always {expected}" in found[0]


def test_a_branch_that_one_path_reaches_is_reached() -> None:
    """A sub-tree that stands in several places is dead only where every way to it says so; a ranked group knows nothing of its path."""
    inner = f'(if (> (rsi "X" 10) 75) [{A}] [{B}])'
    high = '(> (rsi "X" 10) 79)'

    assert len(symphony(f"(if {high} [{inner}] [{C}])").warnings) == 1
    assert symphony(f"(if {high} [{inner}] [{inner}])").warnings == ()
    assert symphony(f'(if {high} [(filter (rsi 5) (select-top 1) [(group "g" [{inner}]) {C}])] [{C}])').warnings == ()
    weighed = symphony(f'(if {high} [(weight-inverse-volatility 5 [(group "g" [{inner}]) {C}])] [{C}])')
    assert len(weighed.warnings) == 1, "a weighting looks at today only"


def test_unknown_header_entries_are_remarked_upon() -> None:
    """An entry nobody knows has no effect and does not stop the file."""
    assert "unknown" in symphony(A, "{:rebalance-frequency :daily :colour :green}").warnings[0].message


def test_sensible_trees_have_no_warnings() -> None:
    """Warnings are for what is odd only."""
    assert symphony(f"(if {RISING} [{A}] [(filter (rsi 10) (select-top 1) [{A} {B}])])").warnings == ()


# --- refusals ---


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ("(weight-equals [])", "unknown operator 'weight-equals'; did you mean weight-equal?"),
        ("(zzz 1)", "known are asset, group"),
        ("(weight-market-cap [])", "market capitalisations"),
        ("((a) 1)", "expected the name of an operator"),
        ("()", "expected a node"),
        ("[]", "expected a node"),
        ("SPY", "expected a node such as (asset ...)"),
        ("(asset)", "asset takes a symbol"),
        ("(asset SPY)", "expected a symbol in quotes"),
        ('(asset "spy")', "not a US equity symbol"),
        ('(asset "../etc")', "not a US equity symbol"),
        ('(asset "CRYPTO::BTC//USD")', "not a US equity"),
        ('(asset "SPY" 3)', "display name or nil"),
        ('(asset "SPY" nil nil nil)', "asset takes"),
        (f"(group {A})", "group takes a name"),
        (f'(group "g" [{A} {B}])', "exactly one child, found 2"),
        ("(weight-equal)", "weight-equal takes its children"),
        ("(weight-equal [])", "no children"),
        ("(weight-specified)", "pairs of a weight and a node"),
        (f"(weight-specified 1 {A} {B})", "pairs of a weight and a node"),
        (f"(weight-specified .5 {A} .25 {B})", "add up to 0.75, not to 1"),
        (f"(weight-specified 50 {A} 50 {B})", "fractions of 1, not percent"),
        (f"(weight-specified 1.5 {A} -0.5 {B})", "-0.5 is negative"),
        (f"(weight-specified 1e0 {A})", "expected a weight, found 1e0"),
        (f"(weight-specified NaN {A})", "expected a weight"),
        ("(weight-inverse-volatility 10)", "a window and its children"),
        (f"(weight-inverse-volatility 0 [{A}])", "positive integer, found 0"),
        (f"(weight-inverse-volatility 2.5 [{A}])", "positive integer, found 2.5"),
        (f"(if {RISING} [{A}])", "if takes a condition, a branch and an else branch; found 2"),
        (f"(if {RISING} [{A}] [])", "no children"),
        (f"(if true [{A}] [{B}])", "expected a comparison"),
        (f"(if ((a) 1 2) [{A}] [{B}])", "expected a comparison operator"),
        (f"(if (and {RISING} {RISING}) [{A}] [{B}])", "compound conditions"),
        (f"(if (=> 1 2) [{A}] [{B}])", "did you mean"),
        (f"(if (> 1) [{A}] [{B}])", "> takes two sides"),
        (f'(if (> "SPY" 1) [{A}] [{B}])', 'or an indicator such as (rsi ...), found "SPY"'),
        (f"(if (> inf 1) [{A}] [{B}])", "found inf"),
        (f'(if (> (rsj "SPY" 10) 1) [{A}] [{B}])', "unknown indicator 'rsj'; did you mean rsi?"),
        (f"(if (> (rsi 10) 1) [{A}] [{B}])", "expected a symbol in quotes"),
        (f"(if (> (rsi) 1) [{A}] [{B}])", "rsi needs a symbol"),
        (f"(if (> ([a] 1) 1) [{A}] [{B}])", "expected the name of an indicator"),
        (f'(if (> (rsi "SPY" {{:window -3}}) 1) [{A}] [{B}])', "the window is a positive integer, found -3"),
        (f'(if (> (rsi "SPY" {{:window 99999}}) 1) [{A}] [{B}])', "longer than 10000 bars"),
        (f'(if (> (rsi "SPY" {{:window 99999999999}}) 1) [{A}] [{B}])', "the window is too large, found 99999999999"),
        (f"(if (> {'9' * 5000} 1) [{A}] [{B}])", "found " + "9" * 60 + "..."),
        (f'(if (> (rsi "SPY" {{:window}}) 1) [{A}] [{B}])', "a key without a value"),
        (f'(if (> (rsi "SPY" {{"window" 3}}) 1) [{A}] [{B}])', "expected a keyword"),
        (f'(if (> (rsi "SPY" {{:window 3 :window 4}}) 1) [{A}] [{B}])', "given twice"),
        (f'(if (> (rsi "SPY" {{:days 3}}) 1) [{A}] [{B}])', "rsi takes window, not days"),
        (f'(if (> (rsi "SPY" 3 4) 1) [{A}] [{B}])', "found one more argument"),
        ("(filter (rsi 10) (select-top 1))", "filter takes a ranking"),
        (f"(filter rsi (select-top 1) [{A}])", "expected an indicator"),
        (f'(filter (rsi "SPY" 10) (select-top 1) [{A}])', "takes no symbol"),
        (f"(filter (rsi 10) (select-topp 1) [{A}])", "did you mean select-top?"),
        (f"(filter (rsi 10) 3 [{A}])", "expected (select-top N)"),
        (f"(filter (rsi 10) (select-top 0) [{A}])", "positive integer, found 0"),
        ("(filter (rsi 10) (select-top 1) [])", "no children"),
        (f'(filter (moving-average-price 10) (select-top 1) [{A} (group "g" [{B}])])', "is a price level and cannot rank"),
    ],
)
def test_refusals(root: str, words: str) -> None:
    """What has no meaning is refused whole, in words, with its place."""
    error = refusal(root)

    assert words in error.message
    assert error.line == 2


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("[]", "expected a header"),
        ("{:rebalance-frequency}", "a key without a value"),
        ("{:rebalance-frequency :hourly}", "one of :daily, :weekly"),
        ('{:rebalance-frequency "daily"}', "one of :daily"),
        ("{:rebalance-threshold 10}", "between 0 and 1"),
        ("{:rebalance-frequency :daily :rebalance-threshold 0.1}", "only one of them"),
        ("{:rebalance-frequency :daily :rebalance-frequency :weekly}", "the header has :rebalance-frequency twice"),
        ('{:asset-class "CRYPTO"}', "only the asset class"),
    ],
)
def test_wrong_headers(header: str, words: str) -> None:
    """A header that cannot hold is refused."""
    error = refusal(A, header)

    assert words in error.message
    assert error.line == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"(if {RISING} [{A}] [{B}])", "expected (defsymphony ...), found (if ...)"),
        ("()", "found ()"),
        ("[defsymphony]", "found a vector"),
        ('(defsymphony "x" {})', "found 2 arguments"),
        (f"(defsymphony x {{}} {A})", "the name of a symphony is a string"),
    ],
)
def test_files_without_a_symphony(text: str, words: str) -> None:
    """A fragment is not a symphony."""
    with pytest.raises(SymphonyError) as caught:
        check_text(text)

    assert words in caught.value.message


def test_place_of_a_mistake_deep_in_a_file() -> None:
    """Line and column are those of the word that is wrong, not of the form around it."""
    error = refusal(f"(weight-equal\n [{A}\n  (filtre (rsi 10) (select-top 1) [{B}])])")

    assert (error.line, error.column) == (4, 4)


# --- size ---


def nested_ifs(levels: int) -> str:
    opening = "".join(f'(if (> (rsi "S{level}" 10) 50) [{A}] [' for level in range(levels))
    return opening + B + "])" * levels


def test_deep_files_are_built_without_the_host_stack() -> None:
    """The deepest published file nests 289 levels; nearly 300 are read, checked and known."""
    tree = symphony(nested_ifs(148))

    assert tree.depth == 298
    assert len(tree.symbols_watched) == 148
    assert "deeper than 300" in refusal(nested_ifs(150)).message


def test_evaluations_inside_evaluations_are_bounded() -> None:
    """Ranked groups inside ranked groups are refused before they could exhaust anything."""
    root = f'(group "g" [{A}])'
    for _ in range(33):
        root = f"(filter (rsi 10) (select-top 1) [{root} {B}])"

    assert "33 deep, more than 32" in refusal(root).message


def test_large_repetitive_files_load_fast() -> None:
    """A file of two megabytes that repeats itself becomes few nodes, in time that grows with its size only (half a second of CPU)."""
    block = f"(if {RISING}\n          [{A}]\n          [(filter (rsi {{:window 10}}) (select-top 1)\n            [{A}\n{' ' * 120}{B}])])\n"
    text = f'(defsymphony "Big" {{}} (weight-equal [{block * 7_000}]))'
    began = time.process_time()
    tree = check_text(text)

    assert len(text) > 1_800_000
    assert len(tree.nodes) == 5
    assert time.process_time() - began < 6.0  # loose: coverage and a busy machine count too
