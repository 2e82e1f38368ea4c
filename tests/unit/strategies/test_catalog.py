"""The shipped symphonies: the acceptance vectors of their decision tables, and a random walk against a transcription of each table."""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import pytest

from alchemiser.domain.errors import StrategyError
from alchemiser.domain.rebalancing import Frequency, Header
from alchemiser.strategies.catalog import SHIPPED, shipped_symphony
from alchemiser.strategies.symphony.check import check_bytes
from alchemiser.strategies.symphony.evaluate import Decision, decide, portfolio_of
from alchemiser.strategies.symphony.tree import Group, If, Reading, Symphony
from tests.unit.strategies.conftest import DEFAULTS, InjectedReadings

BEAR = {"moving-average-price(SPY, 200)": 105.0}


def inputs(text: str) -> dict[str, float]:
    """Return readings from the shorthand of the tables: ``R10(SPY) 79.5, M90(SMR) .1``."""
    names = {
        "R": "rsi",
        "SMA": "moving-average-price",
        "C": "cumulative-return",
        "M": "moving-average-return",
        "V": "stdev-return",
    }
    found = re.findall(r"([A-Z]+)(\d+)\(([A-Z0-9 ,/]+?)\) (-?[\d.]+)", text, re.IGNORECASE)
    assert len(found) == text.count("("), text
    return {f"{names[name]}({symbol}, {window})": float(value) for name, window, symbol, value in found}


N1 = "M90(SMR) .1, M90(BWXT) .2, M90(LEU) .3, M90(EXC) .4, M90(NLR) .5, M90(OKLO) .6"
N15 = "R20(TLT) 60, R20(PSQ) 55, R10(IEF) 56, SMA20(TQQQ) 101, V14(Bear 1) 1, V14(Bear 2) 3"
THIRDS = {"EXC": 1 / 3, "NLR": 1 / 3, "OKLO": 1 / 3}
HEDGE = {"UVXY": 0.75, "BTAL": 0.25}

NUCLEAR = [
    ("N1", "bull", N1, THIRDS),
    ("N2", "bull", "R10(SPY) 79.5", HEDGE),
    ("N3", "bull", "R10(SPY) 79.5, R10(IOO) 81.5", {"UVXY": 1.0}),
    ("N4", "bull", f"R10(SPY) 79, {N1}", THIRDS),
    ("N5", "bull", "R10(SPY) 78, R10(IOO) 80, R10(TQQQ) 82", {"UVXY": 1.0}),
    ("N6", "bull", "R10(TQQQ) 80, R10(VTV) 80.5, R10(XLF) 80.9", HEDGE),
    ("N7", "bull", "R10(VTV) 79.5, R10(XLF) 81.1", {"UVXY": 1.0}),
    ("N8", "bull", "R10(XLF) 81.1", {"UVXY": 1.0}),
    ("N9", "bull", "R10(VOX) 95", HEDGE),
    ("N10", "bull", "R10(TQQQ) 29.9, R10(SPY) 25", {"TQQQ": 1.0}),
    ("N11", "bull", "R10(TQQQ) 30, R10(SPY) 25", {"UPRO": 1.0}),
    ("N12", "bear", "R20(TLT) 60, R20(PSQ) 50, V14(Bear 1) 2, V14(Bear 2) 4", {"TQQQ": 1.0}),
    ("N13", "bear", "R10(PSQ) 34, V14(Bear 1) 2, V14(Bear 2) 4", {"SQQQ": 1.0}),
    ("N14", "bear", "R20(TLT) 40, C60(QQQ) -11, V14(Bear 1) 3, V14(Bear 2) 1", {"PSQ": 0.25, "SQQQ": 0.75}),
    ("N15", "bear", N15, {"SQQQ": 0.75, "QQQ": 0.25}),
    ("N16", "bear", N15.replace("R10(IEF) 56", "R10(IEF) 54"), {"QQQ": 1.0}),
]

TECL = [
    ("T1", "bull", "R10(TQQQ) 79.1", {"UVXY": 0.25, "BIL": 0.75}),
    ("T2", "bull", "R10(SPY) 80.5", {"UVXY": 0.25, "BIL": 0.75}),
    ("T3", "bull", "R10(XLK) 60", {"TECL": 1.0}),
    ("T4", "bull", "R10(XLK) 82", {"BIL": 1.0}),
    ("T5", "bull", "R10(XLK) 28, R10(KMLM) 40", {"TECL": 1.0}),
    ("T6", "bull", "R10(XLK) 50, R10(KMLM) 50", {"BIL": 1.0}),
    ("T7", "bull", "R10(TQQQ) 79, R10(SPY) 80, R10(XLK) 81, R10(KMLM) 80.9", {"TECL": 1.0}),
    ("T8", "bear", "R10(TQQQ) 30.9", {"TECL": 1.0}),
    ("T9", "bear", "R10(SPXL) 28", {"SPXL": 1.0}),
    ("T10", "bear", "R10(UVXY) 75", {"BIL": 1.0}),
    ("T11", "bear", "R10(UVXY) 85", {"UVXY": 0.15, "BIL": 0.85}),
    ("T12", "bear", "R10(XLK) 51", {"TECL": 1.0}),
    ("T13", "bear", "R10(XLK) 28, R10(KMLM) 29", {"TECL": 1.0}),
    ("T14", "bear", "R9(SQQQ) 55, R9(BSV) 54", {"SQQQ": 1.0}),
    ("T15", "bear", "R9(SQQQ) 45, R9(BSV) 54", {"BSV": 1.0}),
]

VECTORS = [("nuclear", *row) for row in NUCLEAR] + [("tecl", *row) for row in TECL]

B_PLUS = {"UVXY": 1 / 3, "VXX": 1 / 3, "VIXM": 1 / 3}
B = {"VIXY": 1 / 3, "VXX": 1 / 3, "VIXM": 1 / 3}
COMMODITIES = {"GLD": 0.25, "SLV": 0.125, "PDBC": 0.125}
K28 = (
    "R10(XLK) 55, R10(TECL) 60, R10(SVXY) 58, R10(Half FNGU, half the strongest trend) 57,"
    " M20(FNGU) .1, M20(SPXL) .2, M20(XLE) .05, M20(XLK) .1, M20(AGG) 0"
)
K36 = "SMA3(SPY) 100, SMA20(TQQQ) 101, R10(IEF) 55, R20(PSQ) 54"
V506, V1280, V1200, V520, V530, NOVA, V830 = "506/38", "1280/26", "1200/28", "520/22", "530/18", "2900/8 Nova", "830/21"
VARIANTS = (V506, V1280, V1200, V520, V530, "410/38", NOVA, V830)

KLM = [
    ("K1", V506, "bull", "R10(XLP) 76", {"UVXY": 1.0}),
    ("K2", V506, "bull", "R21(UVXY) 66, R21(SPY) 31", {"VIXM": 1.0}),
    ("K3", V506, "bull", "R21(UVXY) 66, R21(SPY) 30", {"SPXL": 1.0}),
    ("K4", V506, "bull", "R10(SOXL) 29, R10(SPXL) 20", {"SOXL": 1.0}),
    ("K5", V506, "bull", "R10(XLK) 55", {"FNGU": 1.0}),
    ("K6", V506, "bull", "V6(UUP) .5, V6(FTLS) .4, V6(KMLM) .7", {"FTLS": 1.0}),
    ("K7", V1280, "bull", "R10(LABU) 24", {"LABU": 1.0}),
    ("K8", V1280, "bull", "R10(XLK) 55, R10(TECL) 60, R10(SOXL) 70, R10(SVIX) 65", {"TECL": 0.5, "SVIX": 0.5}),
    ("K9", V1280, "bull", "R10(SQQQ) 52, R10(TLT) 51", {"SQQQ": 1.0}),
    ("K10", V1200, "bull", "R10(XLK) 55, R10(TECL) 60, R10(SOXL) 58, R10(SVIX) 65", {"SOXL": 1.0}),
    (
        "K11",
        V520,
        "bull",
        "V6(TMV) 3, V6(TMF) 3.1, V6(SVXY) 1.5, V6(VIXM) 2, V6(FTLS) .4, V6(KMLM) .7, V6(UUP) .3",
        {"FTLS": 1 / 3, "KMLM": 1 / 3, "UUP": 1 / 3},
    ),
    ("K12", V520, "bull", "R10(XLK) 55, R10(TECL) 60, R10(SVIX) 59", {"SVIX": 1.0}),
    ("K13", NOVA, "bull", "R21(UVIX) 66, R21(SPY) 40", {"VIXM": 1.0}),
    ("K14", NOVA, "bull", "R10(XLK) 55, R11(NVDA) 71, R11(FNGO) 70", {"NVDA": 1.0}),
    ("K15", V830, "bull", "R10(XLK) 55, R10(TECL) 60, R10(SOXL) 70, R10(SVIX) 65", {"SOXL": 1.0}),
    ("K16", V830, "bull", "M20(BND) .01, R10(SPLV) 49, R10(KMLM) 50", {"SPLV": 1.0}),
    ("K17", V830, "bull", "M20(BND) 0, R10(TLT) 49, R10(LABD) 52, R10(TZA) 51", {"LABD": 1.0}),
    ("K18", V530, "bull", "R10(SPY) 83", {"UVXY": 2 / 3, "VIXM": 1 / 3}),
    ("K19", V530, "bull", "R10(SPY) 81", B_PLUS),
    ("K20", V530, "bull", "R10(VTV) 80", B),
    ("K21", V530, "bull", "R10(RETL) 83", {"BTAL": 0.5, "BIL": 0.5}),
    ("K22", V530, "bull", "R10(RETL) 86", B),
    (
        "K23",
        V530,
        "bull",
        "R70(SPY) 64, R15(AGG) 60",
        {"TQQQ": 0.1, "SPXL": 0.1, "SOXL": 0.1, "FNGU": 0.1, "ERX": 0.1} | COMMODITIES,
    ),
    ("K24", V530, "bull", "R70(SPY) 64, R14(QQQ) 81", {"VIXY": 0.5} | COMMODITIES),
    ("K25", V530, "bull", "R10(VOX) 80", B),
    ("K26", V530, "bull", "C6(TQQQ) -13, C1(TQQQ) 6", B_PLUS),
    ("K27", V530, "bull", "C6(TQQQ) -13, R10(TQQQ) 30.5", {"TECL": 1.0}),
    ("K28", V530, "bull", K28, {"FNGU": 0.5, "SPXL": 0.5}),
    ("K29", V530, "bull", K28.replace("M20(FNGU) .1", "M20(FNGU) .3"), {"FNGU": 1.0}),
    (
        "K30",
        V530,
        "bull",
        "V6(SVXY) 2, V6(VIXM) 1.5, V6(FTLS) .4, V6(KMLM) .5, V6(UUP) .3",
        {"FTLS": 1 / 3, "KMLM": 1 / 3, "UUP": 1 / 3},
    ),
    ("K31", V530, "bull", "SMA3(SPY) 94, R10(TQQQ) 60, R10(SPXL) 61, R10(TMF) 59", {"SPXL": 0.5, "TQQQ": 0.5}),
    ("K32", V530, "bear", "SMA3(SPY) 106, R10(SQQQ) 60, R10(SPXU) 59, R10(TMF) 61, R10(TMV) 40", {"SQQQ": 0.5, "TMF": 0.5}),
    ("K33", V530, "bear", "SMA3(SPY) 100, R10(QQQ) 30.5", {"TECL": 1.0}),
    ("K34", V530, "bear", "SMA3(SPY) 100, C60(QQQ) -12.5", {"BIL": 1.0}),
    ("K35", V530, "bear", "SMA3(SPY) 100, R10(PSQ) 32", {"PSQ": 1.0}),
    ("K36", V530, "bear", K36, {"PSQ": 1.0}),
    ("K37", V530, "bear", K36.replace("R10(IEF) 55", "R10(IEF) 53"), {"QID": 1.0}),
]


def shipped(name: str) -> Symphony:
    return check_bytes(shipped_symphony(name))


def weights_of(symphony: Symphony, values: Mapping[str, float]) -> Mapping[str, float]:
    outcome = decide(symphony, InjectedReadings(values))
    assert isinstance(outcome, Decision), outcome
    return outcome.weights


@pytest.mark.parametrize(("name", "row", "market", "given", "expected"), VECTORS, ids=[row[1] for row in VECTORS])
def test_acceptance_vectors(name: str, row: str, market: str, given: str, expected: dict[str, float]) -> None:
    """Each row of the acceptance table gives its weights, everything not listed at its default."""
    values = (BEAR if market == "bear" else {}) | inputs(given)

    assert weights_of(shipped(name), values) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("row", "variant", "market", "given", "expected"), KLM, ids=[row[0] for row in KLM])
def test_acceptance_vectors_of_variants(row: str, variant: str, market: str, given: str, expected: dict[str, float]) -> None:
    """Each row for one variant of the ensemble gives its weights, everything not listed at its default."""
    symphony = shipped("klm")
    (group,) = [node for node in symphony.nodes if isinstance(node, Group) and node.name == variant]
    values = (BEAR if market == "bear" else {}) | inputs(given)

    assert portfolio_of(symphony, group, InjectedReadings(values)) == pytest.approx(expected, abs=1e-9)


def test_the_ensemble_follows_its_liveliest_variant() -> None:
    """Row K38: the variant with the largest deviation is followed."""
    scores = {f"stdev-return({name}, 5)": value for name, value in zip(VARIANTS, (1, 2, 3, 4, 5, 1, 2, 6), strict=True)}

    assert weights_of(shipped("klm"), scores | inputs("R10(XLK) 55, R10(SVIX) 70")) == {"SVIX": 1.0}


def test_a_tie_of_variants_is_broken_by_their_order() -> None:
    """The first and the sixth variant have the same rules and always tie: the first listed is followed, and the explanation says so."""
    outcome = decide(shipped("klm"), InjectedReadings(inputs("V5(506/38) 3, V5(410/38) 3, R10(XLK) 55")))

    assert isinstance(outcome, Decision)
    assert outcome.weights == {"FNGU": 1.0}
    assert 'group "506/38" (a tie, broken by the order in the file)' in str(outcome.steps[0])


# --- the tables once more, as programs ---

Read = Callable[[str], float]


def tecl_table(read: Read) -> dict[str, float]:
    """The decision table of TECL, transcribed apart from the symphony."""

    def r10(symbol: str) -> float:
        return read(f"rsi({symbol}, 10)")

    def switch(last: str) -> dict[str, float]:
        if r10("XLK") > r10("KMLM"):
            return {"BIL": 1.0} if r10("XLK") > 81 else {"TECL": 1.0}
        return {"TECL": 1.0} if r10("XLK") < 29 else {last: 1.0}

    if read("current-price(SPY)") > read("moving-average-price(SPY, 200)"):
        if r10("TQQQ") > 79 or r10("SPY") > 80:
            return {"UVXY": 0.25, "BIL": 0.75}
        return switch("BIL")
    if r10("TQQQ") < 31:
        return {"TECL": 1.0}
    if r10("SPXL") < 29:
        return {"SPXL": 1.0}
    if r10("UVXY") > 74:
        return {"UVXY": 0.15, "BIL": 0.85} if r10("UVXY") > 84 else {"BIL": 1.0}
    return switch("SQQQ" if read("rsi(SQQQ, 9)") >= read("rsi(BSV, 9)") else "BSV")


def nuclear_table(read: Read) -> dict[str, float]:
    """The decision table of Nuclear, transcribed apart from the symphony."""

    def r10(symbol: str) -> float:
        return read(f"rsi({symbol}, 10)")

    chain = ["SPY", "IOO", "TQQQ", "VTV", "XLF"]
    hot = [symbol for symbol in chain if r10(symbol) > 79]
    if hot:
        return {"UVXY": 1.0} if any(r10(other) > 81 for other in chain[chain.index(hot[0]) :]) else HEDGE
    if r10("VOX") > 79:
        return HEDGE
    if r10("TQQQ") < 30:
        return {"TQQQ": 1.0}
    if r10("SPY") < 30:
        return {"UPRO": 1.0}
    if read("current-price(SPY)") > read("moving-average-price(SPY, 200)"):
        names = ["SMR", "BWXT", "LEU", "EXC", "NLR", "OKLO"]
        best = sorted(names, key=lambda name: -read(f"moving-average-return({name}, 90)"))[:3]
        return dict.fromkeys(best, 1 / 3)
    return nuclear_bear(read)


def nuclear_bear(read: Read) -> dict[str, float]:
    """The bear side of Nuclear: two picks weighed by their volatilities."""

    def bond(yes: str, no: str) -> str:
        return yes if read("rsi(TLT, 20)") > read("rsi(PSQ, 20)") else no

    above = read("current-price(TQQQ)") > read("moving-average-price(TQQQ, 20)")
    if read("rsi(PSQ, 10)") < 35:
        first = second = "SQQQ"
    else:
        second = bond("TQQQ", "SQQQ") if above else bond("QQQ", "SQQQ")
        if read("cumulative-return(QQQ, 60)") < -10:
            first = bond("TQQQ", "PSQ")
        elif above:
            first = bond("TQQQ", "SQQQ")
        elif read("rsi(IEF, 10)") > read("rsi(PSQ, 20)"):
            first = "SQQQ"
        else:
            first = bond("QQQ", "SQQQ")
    sigmas = [read("stdev-return(Bear 1, 14)"), read("stdev-return(Bear 2, 14)")]
    share = sigmas[1] / (sigmas[0] + sigmas[1])
    weights = {first: share}
    weights[second] = weights.get(second, 0.0) + 1 - share
    return weights


def thresholds_of(symphony: Symphony) -> Iterator[tuple[str, float]]:
    """Yield each reading of a condition with a constant on the other side, and that constant."""
    for node in symphony.nodes:
        if isinstance(node, If):
            for side, other in pairwise((node.condition.left, node.condition.right, node.condition.left)):
                if isinstance(side, Reading) and not isinstance(other, Reading):
                    yield str(side), other.value


@pytest.mark.parametrize(("name", "table", "outcomes"), [("tecl", tecl_table, 6), ("nuclear", nuclear_table, 20)])
def test_random_walk_against_the_table(name: str, table: Callable[[Read], dict[str, float]], outcomes: int) -> None:
    """Under thousands of random settings, many of them on or beside a threshold, the symphony and its table agree."""
    symphony = shipped(name)
    thresholds: dict[str, list[float]] = {}
    for reading, value in thresholds_of(symphony):
        thresholds.setdefault(reading, []).append(value)
    dice = random.Random(20250331)
    reached: set[tuple[str, ...]] = set()
    for _ in range(3_000):
        values: dict[str, float] = {}
        calm = dice.random() < 0.8

        def read(text: str, values: dict[str, float] = values, calm: bool = calm) -> float:
            if text not in values:
                values[text] = _drawn(dice, text, thresholds.get(text, []), calm=calm)
            return values[text]

        expected = table(read)
        # What the table did not look at the symphony does not need either, but it may look at more to explain itself.
        actual = weights_of(symphony, _Drawing(values, read))
        assert actual == pytest.approx(expected, abs=1e-9), values
        reached.add(tuple(sorted(expected)))
    assert len(reached) >= outcomes


def _drawn(dice: random.Random, text: str, near: list[float], *, calm: bool) -> float:
    kind = text.partition("(")[0]
    if near and dice.random() < 0.3:
        return dice.choice(near) + dice.choice([-0.5, 0.0, 0.5])
    if kind == "rsi":
        return dice.uniform(32, 78) if calm else dice.uniform(0, 100)
    if kind in ("current-price", "moving-average-price"):
        return dice.uniform(90, 110)
    if kind == "stdev-return":
        return dice.uniform(0.5, 4.0)
    return dice.uniform(-15, 15) if kind == "cumulative-return" else dice.uniform(-1, 1)


class _Drawing(dict[str, float]):
    """Readings that are drawn when they are first asked for."""

    def __init__(self, values: dict[str, float], read: Read) -> None:
        super().__init__(values)
        self._read = read

    def get(self, key: str, default: float = 0.0) -> float:  # type: ignore[override]
        return self._read(key)


# --- the files themselves ---


KLM_HELD = (
    "AAPL AGG AMZN BIL BTAL ERX FNGO FNGU FTLS GLD GOOGL KMLM LABD LABU MSFT NVDA PDBC PSQ QID SLV SOXL SPLV SPXL SPXU SQQQ SVIX SVXY"
    " TECL TLT TMF TMV TQQQ TSLA TZA UPRO UUP UVXY VIXM VIXY VXX XLE XLK"
)


@pytest.mark.parametrize(
    ("name", "held", "watched", "needed", "settled", "header"),
    [
        ("tecl", "BIL BSV SPXL SQQQ TECL UVXY", "KMLM SPY TQQQ XLK", 200, 200, Header(Frequency.DAILY)),
        (
            "nuclear",
            "BTAL BWXT EXC LEU NLR OKLO PSQ QQQ SMR SQQQ TQQQ UPRO UVXY",
            "IEF IOO SPY TLT VOX VTV XLF",
            200,
            200,
            Header(Frequency.DAILY),
        ),
        (
            "klm",
            KLM_HELD,
            "BND FAS IEF IOO QQQ QQQE RETL SPY UVIX VOOG VOOV VOX VTV XLF XLP XLY",
            205,
            714,
            Header(Frequency.NONE, 0.1),
        ),
    ],
)
def test_universe_and_history(name: str, held: str, watched: str, needed: int, settled: int, header: Header) -> None:
    """Each shipped symphony holds and watches the symbols of its table, needs its history and trades by its header."""
    symphony = shipped(name)

    assert (held.split(), watched.split()) == (list(symphony.symbols_held), list(symphony.symbols_watched))
    assert (200, needed, settled) == (symphony.longest_window, symphony.bars_needed, symphony.bars_settled)
    assert header == symphony.header
    assert len(symphony.warnings) == (1 if name == "klm" else 0), "the filter of the single FNGU is in the table"


def test_names() -> None:
    """Shipped names load, reserved and unknown ones are refused with what there is."""
    assert all(shipped_symphony(name) for name in SHIPPED)
    with pytest.raises(StrategyError, match="did you mean tecl"):
        shipped_symphony("tecel")
    with pytest.raises(StrategyError, match="shipped are dual_momentum, klm, nuclear, risk_parity, tecl"):
        shipped_symphony("zzz")


def test_defaults_cover_what_the_tables_use() -> None:
    """Every indicator of the shipped symphonies has a default in the acceptance vectors."""
    used = {
        reading.measure.name
        for name in SHIPPED
        for node in shipped(name).nodes
        if isinstance(node, If)
        for reading in (node.condition.left, node.condition.right)
        if isinstance(reading, Reading)
    }

    assert used <= set(DEFAULTS)
