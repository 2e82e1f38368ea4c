"""Which tactic works an intent: the one of its symbol, else that of the strategy that wants most of it, else the default. Pure."""

from decimal import Decimal
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from alchemiser.domain.intents import Intent
from alchemiser.execution.auction import Auction
from alchemiser.execution.decisions import Tactic
from alchemiser.execution.ladder import LadderRules, ladder_of
from alchemiser.execution.slices import U_SHAPED_VOLUME, Sliced
from alchemiser.market.schedule import Schedule, parse_schedule


class TacticName(StrEnum):
    """Every tactic there is."""

    LADDER = "ladder"
    MARKETABLE_LIMIT = "marketable_limit"
    TWAP = "twap"
    VWAP = "vwap"
    MOC = "moc"
    LOC = "loc"


AUCTIONS = frozenset({TacticName.MOC, TacticName.LOC})
"""The tactics whose fills come at the close only."""


class TacticRules(msgspec.Struct, frozen=True, kw_only=True):
    """Which tactic is used for what, and how each works.

    ``default``, ``by_strategy`` and ``by_symbol`` name tactics. ``through_bps`` and ``marketable_tries`` belong to the marketable limit,
    ``window_seconds``, ``slices`` and ``volume_profile`` to twap and vwap, the rest to the closing auction: until when the venue takes
    orders for it, how far a limit-on-close may be from the arrival price, and what takes over (``park`` for nothing).
    """

    default: str = TacticName.LADDER
    by_strategy: dict[str, str] = {}
    by_symbol: dict[str, str] = {}
    through_bps: Decimal = Decimal(5)
    marketable_tries: int = 3
    window_seconds: float = 240.0
    slices: int = 4
    volume_profile: tuple[float, ...] = U_SHAPED_VOLUME
    auction_cutoff: Schedule = parse_schedule("close - 10m")
    loc_limit_bps: Decimal = Decimal(50)
    auction_fallback: str = TacticName.LADDER


class Tactics(dict[str, Tactic]):
    """The tactics of a set of rules by their names, each made once, when it is asked for first."""

    def __init__(self, rules: TacticRules, ladder: LadderRules) -> None:
        super().__init__()
        self._rules = rules
        self._ladder = ladder

    def __missing__(self, name: str) -> Tactic:
        """Make the tactic of that name."""
        tactic = self[name] = make(name, self._rules, self._ladder)
        return tactic

    def of(self, intent: Intent) -> Tactic:
        """Return the tactic of an intent."""
        rules = self._rules
        return self[name_for(intent, rules) if rules.by_symbol or rules.by_strategy else rules.default]

    @property
    def alternative(self) -> Tactic | None:
        """What takes over from a tactic that cannot be used, or ``None`` when what is left is to be parked."""
        return None if self._rules.auction_fallback == "park" else self[self._rules.auction_fallback]


def name_for(intent: Intent, rules: TacticRules) -> str:
    """Return the tactic of an intent. Among strategies that want the same number of shares the first in name order counts."""
    if intent.symbol in rules.by_symbol:
        return rules.by_symbol[intent.symbol]
    if not rules.by_strategy:
        return rules.default
    for wish in sorted(intent.wishes, key=lambda wish: (-wish.quantity, wish.strategy)):
        if wish.strategy in rules.by_strategy:
            return rules.by_strategy[wish.strategy]
    return rules.default


def make(name: str, rules: TacticRules, ladder_rules: LadderRules) -> Tactic:
    """Return the tactic of that name."""
    ladder = ladder_of(ladder_rules)
    match TacticName(name):
        case TacticName.LADDER:
            return ladder
        case TacticName.MARKETABLE_LIMIT:
            takes = (Decimal(1),) * rules.marketable_tries
            return replace(ladder, rungs=takes, name=TacticName.MARKETABLE_LIMIT.value, through_bps=rules.through_bps)
        case TacticName.TWAP:
            return Sliced(ladder, "twap", rules.window_seconds, rules.slices)
        case TacticName.VWAP:
            return Sliced(ladder, "vwap", rules.window_seconds, rules.slices, rules.volume_profile)
        case TacticName.MOC:
            return Auction(ladder, "moc", rules.auction_cutoff)
        case TacticName.LOC:
            return Auction(ladder, "loc", rules.auction_cutoff, rules.loc_limit_bps)
