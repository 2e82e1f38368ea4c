"""KLM against its decision tables, transcribed a second time and apart from the symphony: every variant, and the choice among them.

Thousands of random settings, many on or beside a threshold; ties are broken by the order of the table.
"""

import random
from collections.abc import Callable, Mapping, Sequence

import pytest

from alchemiser.strategies.catalog import shipped_symphony
from alchemiser.strategies.symphony.check import check_bytes
from alchemiser.strategies.symphony.evaluate import Decision, decide, portfolio_of
from alchemiser.strategies.symphony.tree import Group
from tests.unit.strategies.conftest import InjectedReadings
from tests.unit.strategies.test_catalog import VARIANTS, Read, _Drawing, _drawn, thresholds_of

Weights = dict[str, float]
SYMPHONY = check_bytes(shipped_symphony("klm"))
G = "Half FNGU, half the strongest trend"

LADDER = [("QQQE", 79), ("VTV", 79), ("VOX", 79), ("TECL", 79), ("VOOG", 79), ("VOOV", 79), ("XLP", 75), ("TQQQ", 79), ("XLY", 80)]
LADDER += [("FAS", 80), ("SPY", 80)]
B_PLUS_PLUS = {"UVXY": 2 / 3, "VIXM": 1 / 3}
B_PLUS = dict.fromkeys(("UVXY", "VXX", "VIXM"), 1 / 3)
B = dict.fromkeys(("VIXY", "VXX", "VIXM"), 1 / 3)
COMMODITIES = {"GLD": 0.5, "SLV": 0.25, "PDBC": 0.25}


class Table:
    """The tables over one set of readings."""

    def __init__(self, read: Read) -> None:
        self.read = read

    def rsi(self, symbol: str, window: int = 10) -> float:
        return self.read(f"rsi({symbol}, {window})")

    def kept(self, count: int, names: Sequence[str], score: Callable[[str], float], *, top: bool) -> Weights:
        ranked = sorted(names, key=lambda name: -score(name) if top else score(name))
        return dict.fromkeys(ranked[:count], 1 / min(count, len(names)))

    def calmest(self, count: int, *names: str) -> Weights:
        return self.kept(count, names, lambda name: self.read(f"stdev-return({name}, 6)"), top=False)

    def weakest(self, count: int, *names: str) -> Weights:
        return self.kept(count, names, self.rsi, top=False)

    def strongest(self, count: int, *names: str) -> Weights:
        return self.kept(count, names, self.rsi, top=True)

    def is_above_kmlm(self) -> bool:
        return self.rsi("XLK") > self.rsi("KMLM")

    # --- the variants with the ladder ---

    def laddered(self, spike: str | None, yes: Callable[[], Weights], no: Callable[[], Weights], *, has_labu: bool = False) -> Weights:
        if any(self.rsi(symbol) > threshold for symbol, threshold in LADDER):
            return {"UVXY": 1.0}
        if spike is not None and self.rsi(spike, 21) > 65:
            return {"VIXM": 1.0} if self.rsi("SPY", 21) > 30 else {"SPXL": 1.0}
        for symbol, bought in (("TQQQ", "TECL"), ("SOXL", "SOXL"), ("SPXL", "SPXL")):
            if self.rsi(symbol) < 30:
                return {bought: 1.0}
        if has_labu and self.rsi("LABU") < 25:
            return {"LABU": 1.0}
        return yes() if self.is_above_kmlm() else no()

    def v506(self) -> Weights:
        return self.laddered("UVXY", lambda: {"FNGU": 1.0}, lambda: self.calmest(1, "UUP", "FTLS", "KMLM"))

    def v1280(self) -> Weights:
        return self.laddered(None, lambda: self.weakest(2, "TECL", "SOXL", "SVIX"), lambda: self.strongest(1, "SQQQ", "TLT"), has_labu=True)

    def v1200(self) -> Weights:
        return self.laddered("UVXY", lambda: self.weakest(1, "TECL", "SOXL", "SVIX"), lambda: self.strongest(1, "SQQQ", "TLT"))

    def v520(self) -> Weights:
        return self.laddered(
            "UVXY",
            lambda: self.weakest(1, "TECL", "SVIX"),
            lambda: self.calmest(3, "TMV", "TMF", "SVXY", "VIXM", "FTLS", "KMLM", "UUP"),
        )

    def nova(self) -> Weights:
        names = ("FNGO", "TSLA", "MSFT", "AAPL", "NVDA", "GOOGL", "AMZN")
        return self.laddered(
            "UVIX", lambda: self.kept(1, names, lambda name: self.rsi(name, 11), top=True), lambda: self.calmest(1, "UUP", "FTLS", "KMLM")
        )

    def v830(self) -> Weights:
        def no() -> Weights:
            rising = self.read("moving-average-return(BND, 20)") > 0
            return self.weakest(1, "KMLM", "SPLV") if rising else self.strongest(1, "TLT", "LABD", "TZA")

        return self.laddered("UVXY", lambda: self.strongest(1, "TECL", "SOXL", "SVIX"), no)

    # --- 530/18 ---

    def v530(self) -> Weights:
        for symbol, enter, stronger, strong, otherwise in (
            ("SPY", 80, 82.5, B_PLUS_PLUS, B_PLUS),
            ("IOO", 80, 82.5, B_PLUS_PLUS, B_PLUS),
            ("QQQ", 79, 82.5, B_PLUS_PLUS, B_PLUS),
            ("VTV", 79, 85, B_PLUS, B),
            ("XLP", 77, 85, B_PLUS, B),
            ("XLF", 81, 85, B_PLUS, B),
            ("RETL", 82, 85, B, {"BTAL": 0.5, "BIL": 0.5}),
        ):
            if self.rsi(symbol) > enter:
                return strong if self.rsi(symbol) > stronger else otherwise
        if self.rsi("SPY", 70) > 63:
            return mixed((0.5, self.h1()), (0.5, self.h2()))
        if self.rsi("VOX") > 79 or self.rsi("XLP") > 75:
            return B
        if self.read("cumulative-return(TQQQ, 6)") < -12:
            return self.crash()
        price, slow = self.read("current-price(SPY)"), self.read("moving-average-price(SPY, 200)")
        fast = self.read("moving-average-price(SPY, 3)")
        if price > slow:
            return self.strongest(2, "TQQQ", "SPXL", "TMF") if fast < slow else self.switcher()
        return self.strongest(2, "SQQQ", "SPXU", "TMF", "TMV") if fast > slow else self.holy_grail_below()

    def h1(self) -> Weights:
        if self.rsi("AGG", 15) > self.rsi("QQQ", 15):
            return dict.fromkeys(("TQQQ", "SPXL", "SOXL", "FNGU", "ERX"), 0.2)
        return COMMODITIES

    def h2(self) -> Weights:
        hot = self.rsi("QQQ", 90) > 60 or self.rsi("QQQ", 14) > 80 or self.rsi("QQQ", 5) > 90 or self.rsi("QQQ", 3) > 95
        return {"VIXY": 1.0} if hot else COMMODITIES

    def crash(self) -> Weights:
        if self.read("cumulative-return(TQQQ, 1)") > 5.5:
            return B_PLUS
        for symbol, threshold, bought in (("TQQQ", 31, "TECL"), ("SOXL", 30, "SOXL"), ("SPXL", 30, "SPXL")):
            if self.rsi(symbol) < threshold:
                return {bought: 1.0}
        return self.switcher()

    def switcher(self) -> Weights:
        if not self.is_above_kmlm():
            return self.calmest(3, "SVXY", "VIXM", "FTLS", "KMLM", "UUP")
        ((kept, _),) = self.weakest(1, "TECL", "SVXY", G).items()
        if kept != G:
            return {kept: 1.0}
        names = ("FNGU", "SPXL", "XLE", "XLK", "AGG")
        trend = self.kept(1, names, lambda name: self.read(f"moving-average-return({name}, 20)"), top=True)
        return mixed((0.5, {"FNGU": 1.0}), (0.5, trend))

    def holy_grail_below(self) -> Weights:
        if self.rsi("QQQ") < 31:
            return {"TECL": 1.0}
        if self.rsi("SPY") < 30:
            return {"UPRO": 1.0}
        if self.read("cumulative-return(QQQ, 60)") < -12:
            return {"BIL": 1.0}
        if self.read("current-price(TQQQ)") > self.read("moving-average-price(TQQQ, 20)"):
            return {"PSQ": 1.0} if self.rsi("PSQ") < 32.5 else self.switcher()
        return {"PSQ": 1.0} if self.rsi("IEF") > self.rsi("PSQ", 20) else {"QID": 1.0}

    def variants(self) -> list[Callable[[], Weights]]:
        return [self.v506, self.v1280, self.v1200, self.v520, self.v530, self.v506, self.nova, self.v830]

    def ensemble(self) -> Weights:
        scores = [self.read(f"stdev-return({name}, 5)") for name in VARIANTS]
        return self.variants()[scores.index(max(scores))]()


def mixed(*parts: tuple[float, Weights]) -> Weights:
    total: Weights = {}
    for share, weights in parts:
        for symbol, weight in weights.items():
            total[symbol] = total.get(symbol, 0.0) + share * weight
    return total


def near() -> Mapping[str, list[float]]:
    found: dict[str, list[float]] = {}
    for reading, value in thresholds_of(SYMPHONY):
        found.setdefault(reading, []).append(value)
    return found


def compared(seed: int, rounds: int, expected: Callable[[Table], Weights], actual: Callable[[InjectedReadings], Weights]) -> int:
    """Compare both under random settings; return how many different sets of symbols were held."""
    dice, thresholds, held = random.Random(seed), near(), set()
    for _ in range(rounds):
        values: dict[str, float] = {}
        calm = dice.random() < 0.85

        def read(text: str, values: dict[str, float] = values, calm: bool = calm) -> float:
            if text not in values:
                # Near a threshold only now and then: there are so many that something would always be hot.
                close = thresholds.get(text, []) if dice.random() < 0.15 else []
                values[text] = _drawn(dice, text, close, calm=calm)
            return values[text]

        wanted = expected(Table(read))
        assert wanted == pytest.approx(actual(InjectedReadings(_Drawing(values, read))), abs=1e-9), values
        held.add(tuple(sorted(wanted)))
    return len(held)


@pytest.mark.parametrize(("variant", "outcomes"), list(zip(VARIANTS, (9, 8, 8, 20, 30, 9, 14, 11), strict=True)))
def test_random_walk_of_a_variant(variant: str, outcomes: int) -> None:
    """Each variant does what its table says, whatever the numbers."""
    (group,) = [node for node in SYMPHONY.nodes if isinstance(node, Group) and node.name == variant]
    place = VARIANTS.index(variant)

    def actual(readings: InjectedReadings) -> Weights:
        found = portfolio_of(SYMPHONY, group, readings)
        assert isinstance(found, dict), found
        return found

    assert compared(place, 3_000, lambda table: table.variants()[place](), actual) >= outcomes


def test_random_walk_of_the_ensemble() -> None:
    """The liveliest variant is followed, whichever it is."""

    def actual(readings: InjectedReadings) -> Weights:
        found = decide(SYMPHONY, readings)
        assert isinstance(found, Decision), found
        return dict(found.weights)

    assert compared(99, 3_000, Table.ensemble, actual) >= 40
