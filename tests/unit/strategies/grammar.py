"""Random symphonies as text, and random prices for them."""

from hypothesis import strategies as st

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")
SESSIONS = 14

symbols = st.sampled_from(SYMBOLS)
windows = st.integers(1, 4)
one_window = st.sampled_from(["rsi", "cumulative-return", "moving-average-return", "stdev-return", "max-drawdown"])
price_level = st.sampled_from(["moving-average-price", "exponential-moving-average-price", "stdev-price"])
comparators = st.sampled_from([">", "<", ">=", "<=", "="])
numbers = st.decimals(-99, 120, places=2, allow_nan=False).map(lambda value: f"{value:f}")
names = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)

assets = symbols.map(lambda symbol: f'(asset "{symbol}")')


def quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


readings = st.one_of(
    st.builds(lambda name, symbol, window: f'({name} "{symbol}" {{:window {window}}})', one_window | price_level, symbols, windows),
    st.builds(lambda name, symbol, window: f'({name} "{symbol}" {window})', one_window, symbols, windows),
    symbols.map(lambda symbol: f'(current-price "{symbol}")'),
    st.builds(lambda symbol, window: f'(upper-bollinger "{symbol}" {window} 1.5)', symbols, windows),
    st.builds(lambda symbol, window: f'(macd-signal "{symbol}" {window} 3 2)', symbols, windows),
)
sides = numbers | readings
conditions = st.builds(lambda comparator, left, right: f"({comparator} {left} {right})", comparators, sides, sides)


def vector(children: st.SearchStrategy[str], most: int = 3) -> st.SearchStrategy[str]:
    return st.lists(children, min_size=1, max_size=most).map(lambda items: f"[{' '.join(items)}]")


@st.composite
def specified(draw: st.DrawFn, children: st.SearchStrategy[str]) -> str:
    parts = draw(st.sampled_from([("1",), (".5", "0.5"), ("0.2", "0", "0.8"), ("0.3333333333", "0.3333333333", "0.3333333334")]))
    return f"(weight-specified {' '.join(f'{part} {draw(children)}' for part in parts)})"


def forms(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    selections = st.builds(lambda side, count: f"(select-{side} {count})", st.sampled_from(["top", "bottom"]), st.integers(1, 3))
    rankings = st.builds(lambda name, window: f"({name} {{:window {window}}})", one_window, windows)
    return st.one_of(
        vector(children).map(lambda items: f"(weight-equal {items})"),
        specified(children),
        st.builds(lambda name, child: f"(group {quoted(name)} [{child}])", names, children),
        st.builds(lambda condition, then, other: f"(if {condition} {then} {other})", conditions, vector(children), vector(children)),
        st.builds(lambda window, items: f"(weight-inverse-volatility {window} {items})", windows, vector(children)),
        st.builds(lambda by, select, items: f"(filter {by} {select} {items})", rankings, selections, vector(children, 4)),
    )


headers = st.sampled_from(
    ["{}", "{:rebalance-frequency :monthly}", '{:asset-class "EQUITIES" :rebalance-threshold 0.05}', "{:rebalance-frequency :none}"]
)
roots = st.recursive(assets, forms, max_leaves=12)
symphonies = st.builds(lambda name, header, root: f"(defsymphony {quoted(name)} {header}\n {root})", names, headers, roots)

# Few different prices, so that ties, flat stretches and equalities happen; now and then a hole.
closes = st.lists(st.sampled_from([None, *[10.0] * 3, *[11.0] * 4, 9.5, 12.25, 8.0, 10.1]), min_size=SESSIONS, max_size=SESSIONS)
whole_closes = st.lists(st.floats(5.0, 20.0), min_size=SESSIONS, max_size=SESSIONS)
markets = st.fixed_dictionaries(dict.fromkeys(SYMBOLS, whole_closes | closes))
