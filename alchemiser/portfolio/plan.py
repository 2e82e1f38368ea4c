"""From target weights to intents: one pure function.

The capital of a strategy is its allocation of what the account has to deploy: cash plus everything the strategies hold, less the
reserve. What a strategy wants of a symbol is its capital times the weight, less what its book holds; wishes inside the no-trade band are
dropped. Opposite wishes are crossed inside the account at the mid of the decision, the rest is netted into one intent per symbol. Positions
that no strategy owns are never touched. A strategy that failed, or that its header holds back, keeps what it holds.

The order is: constraints on the targets, wishes and their band, what reducing strategies may not buy, the cap on turnover, crossing,
netting, pre-trade checks, cash.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter

import msgspec

from alchemiser.domain.account import Asset
from alchemiser.domain.errors import OrderDenied
from alchemiser.domain.events import RebalancePlanned
from alchemiser.domain.intents import Adjustment, Crossing, Denial, Intent, Wish
from alchemiser.domain.money import ONE, ZERO, fraction, from_float, to_float, truncate_shares
from alchemiser.domain.orders import BUY, SELL, Side
from alchemiser.portfolio.attribution import split_fill
from alchemiser.portfolio.band import Band
from alchemiser.portfolio.constraints import Constrained, Constraints, Volatility, constrain, leaves_as_they_are

_drift = attrgetter("drift")


class PlanRules(msgspec.Struct, frozen=True, kw_only=True):
    """How a plan is made; shares of equity are fractions, ``minimum_notional`` is in dollars.

    ``deployment`` is the share of the equity that the strategies may have at all, ``cash_reserve`` the share of that which stays in cash.
    """

    band: Band = Band()
    cash_reserve: Decimal = Decimal("0.005")
    deployment: Decimal = Decimal(1)
    minimum_notional: Decimal = Decimal(5)
    fractional: bool = True
    constraints: Constraints = Constraints()


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a plan follows from.

    ``books`` are the shares each strategy holds, ``targets`` its weights or ``None`` when it keeps what it holds, ``prices`` the mids in
    dollars. ``kept`` says why those that keep what they hold do, ``standing`` is the target that they traded to last. ``half_spreads`` are
    halves of the quoted spreads as fractions of the mid, where there is a usable quote. ``reducing`` are the strategies that may only sell,
    each with the reason.
    """

    at: datetime
    rebalance_id: str
    session: date
    cash: Decimal
    books: dict[str, dict[str, Decimal]]
    targets: dict[str, dict[str, float] | None]
    allocations: dict[str, Decimal]
    prices: dict[str, Decimal]
    assets: dict[str, Asset]
    rules: PlanRules
    kept: dict[str, str] = {}
    standing: dict[str, dict[str, float]] = {}
    half_spreads: dict[str, float] = {}
    reducing: dict[str, str] = {}


Check = Callable[[Intent, Decimal], OrderDenied | None]
"""A pre-trade check: an intent and the equity in dollars; the denial, or ``None`` when it may be sent."""


def plan_rebalance(request: PlanRequest, check: Check, volatility: Volatility = lambda weights: None) -> RebalancePlanned:
    """Return the plan; ``volatility`` tells the yearly volatility of account weights, for the volatility target.

    Raises ``OrderDenied`` with code ``no_price`` when a position cannot be valued, which makes any plan a guess.
    """
    equity, short = _valued(request)
    rules = request.rules
    limits, invested = rules.constraints, rules.deployment * (ONE - rules.cash_reserve)
    capital: dict[str, Decimal] = {}
    for name, share in sorted(request.allocations.items()):
        capital[name] = share * equity * invested
    adjustments: list[Adjustment] = []
    if not leaves_as_they_are(request.targets, limits):
        allowed = _constrained(request, equity, invested, volatility)
        request = msgspec.structs.replace(request, targets=allowed.targets)
        adjustments += allowed.adjustments
    wishes, denials = _wishes(request, capital)
    if request.reducing:
        wishes, reduced = _reduced(wishes, equity, request)
        adjustments += reduced
    if limits.turnover_at_most is not None and equity:
        wishes, slowed = _slowed(wishes, equity, limits.turnover_at_most, request)
        adjustments += slowed

    sells: list[Intent] = []
    buys: list[Intent] = []
    crossings: list[Crossing] = []
    prices: dict[str, Decimal] = {}
    half_spreads: dict[str, float] = {}
    for symbol in sorted(wishes):
        net, price = wishes[symbol], request.prices[symbol]
        prices[symbol] = price
        if symbol in request.half_spreads:
            half_spreads[symbol] = request.half_spreads[symbol]
        if len(net) > 1:
            crossed, net = _cross(symbol, net, price)
            crossings += crossed
        if symbol in short:
            net, cut = _owed_first(symbol, net, equity, request)
            adjustments += cut
        if not net:
            continue
        intent = _intent(symbol, net, price, equity, rules.fractional and request.assets[symbol].is_fractionable)
        denial = check(intent, equity)
        if denial is not None:
            denials.append(_denial(symbol, intent.side, intent.quantity, denial))
        elif intent.side is BUY:
            buys.append(intent)
        else:
            sells.append(intent)

    buys = _within_cash(buys, sells, request)
    # What has drifted most goes first, among equals in the order of symbols.
    sells.sort(key=_drift, reverse=True)
    buys.sort(key=_drift, reverse=True)
    return RebalancePlanned(
        at=request.at,
        rebalance_id=request.rebalance_id,
        session=request.session,
        equity=equity,
        cash=request.cash,
        target=_account_target(request),
        prices=prices,
        capital=capital,
        intents=(*sells, *buys),
        denials=tuple(denials),
        crossings=tuple(crossings),
        kept=request.kept,
        adjustments=tuple(adjustments),
        half_spreads=half_spreads,
    )


def _valued(request: PlanRequest) -> tuple[Decimal, set[str]]:
    """Return what there is to deploy, in dollars, and the symbols of which a strategy owes shares; mostly none does."""
    total, prices = request.cash, request.prices
    short: set[str] = set()
    for name, book in sorted(request.books.items()):
        for symbol, quantity in book.items():
            price = prices.get(symbol)
            if price is None:
                raise OrderDenied("no_price", f"{quantity} {symbol} of strategy {name} cannot be valued; no plan is made")
            total += quantity * price
            if quantity < ZERO:
                short.add(symbol)
    return total if total >= ZERO else ZERO, short


def _constrained(request: PlanRequest, equity: Decimal, invested: Decimal, volatility: Volatility) -> Constrained:
    """Return the targets that the constraints allow; ``invested`` is the share of the equity that the strategies may have."""
    allocations = {name: float(share * invested) for name, share in request.allocations.items()}
    return constrain(request.targets, allocations, _kept_weights(request, equity), request.rules.constraints, volatility)


def _kept_weights(request: PlanRequest, equity: Decimal) -> dict[str, float]:
    """Return what the strategies without a target hold, as shares of the equity."""
    kept: dict[str, float] = {}
    for name, weights in sorted(request.targets.items()):
        if weights is None and equity:
            for symbol, quantity in sorted(request.books.get(name, {}).items()):
                kept[symbol] = kept.get(symbol, 0.0) + float(quantity * request.prices[symbol] / equity)
    return kept


def _reduced(
    wishes: dict[str, dict[str, Decimal]], equity: Decimal, request: PlanRequest
) -> tuple[dict[str, dict[str, Decimal]], tuple[Adjustment, ...]]:
    """Return the wishes with each target of a reducing strategy capped at what it holds; shares that it owes it may still buy back."""
    allowed: dict[str, dict[str, Decimal]] = {}
    cut: dict[str, dict[str, Decimal]] = {}
    for symbol, by in wishes.items():
        for name, wish in by.items():
            most = max(-request.books.get(name, {}).get(symbol, ZERO), ZERO) if name in request.reducing else wish
            if wish > most:
                cut.setdefault(name, {})[symbol] = wish - most
            if left := min(wish, most):
                allowed.setdefault(symbol, {})[name] = left
    notes = []
    for name, symbols in sorted(cut.items()):
        value = sum((shares * request.prices[symbol] for symbol, shares in sorted(symbols.items())), ZERO)
        before = float(value / equity) if equity else 0.0
        text = f"{request.reducing[name]}; {name} buys none of {', '.join(sorted(symbols))}, {value:.2f} dollars in all, and keeps or sells"
        notes.append(Adjustment(code="reducing", subject=name, before=before, after=0.0, message=text))
    return allowed, tuple(notes)


def _slowed(
    wishes: dict[str, dict[str, Decimal]], equity: Decimal, at_most: float, request: PlanRequest
) -> tuple[dict[str, dict[str, Decimal]], tuple[Adjustment, ...]]:
    """Return the wishes inside the cap on turnover: all scaled alike, so that the account goes straight towards its target, only slower.

    Turnover is what would be bought and sold after netting, as a share of equity. What is crossed inside the account does not count.
    """
    traded = sum((abs(sum(by.values(), ZERO)) * request.prices[symbol] for symbol, by in sorted(wishes.items())), ZERO)
    if traded <= from_float(at_most) * equity:
        return wishes, ()
    factor = from_float(at_most) * equity / traded
    slower: dict[str, dict[str, Decimal]] = {}
    for symbol, by in wishes.items():
        whole = not (request.rules.fractional and request.assets[symbol].is_fractionable)
        parts = {name: truncate_shares(wish * factor, whole=whole) for name, wish in by.items()}
        slower[symbol] = {name: part for name, part in parts.items() if part}
    text = f"{traded / equity:.2%} of the equity would be traded, the cap is {at_most:.2%}; every change is multiplied by {factor:.4f}"
    before = float(traded / equity)
    return slower, (Adjustment(code="turnover", subject="account", before=before, after=at_most, message=text),)


def _wishes(request: PlanRequest, capital: Mapping[str, Decimal]) -> tuple[dict[str, dict[str, Decimal]], list[Denial]]:
    """Return per symbol the signed shares each strategy wants, and the denials of what cannot even be wished for."""
    wishes: dict[str, dict[str, Decimal]] = {}
    denials: list[Denial] = []
    assets, prices, spreads = request.assets, request.prices, request.half_spreads
    band, fractional = request.rules.band, request.rules.fractional
    for name, weights in sorted(request.targets.items()):
        if weights is None:
            continue
        held, own = request.books.get(name, {}), capital[name]
        for symbol in sorted({*weights, *held}):
            weight, current = weights.get(symbol), held.get(symbol, ZERO)
            asset, price = assets.get(symbol), prices.get(symbol)
            if asset is None or not asset.is_tradable or price is None:
                if weight or current:
                    denials.append(_denial(symbol, BUY if weight else SELL, current, _obstacle(symbol, asset)))
                continue
            target = own * fraction(weight) / price if weight else ZERO
            target = truncate_shares(target, not (fractional and asset.is_fractionable))
            wish = target - current
            if not wish:
                continue
            if weight and current and target:
                width = band.half_width(weight, spreads.get(symbol))
                if width and abs(wish) * price < fraction(width) * own:
                    continue
            wishes.setdefault(symbol, {})[name] = wish
    return wishes, denials


def _obstacle(symbol: str, asset: Asset | None) -> OrderDenied:
    """Return why a symbol cannot be traded whatever the wishes are."""
    if asset is None:
        return OrderDenied("unknown_symbol", f"the broker does not know {symbol}; what is held of it stays")
    if not asset.is_tradable:
        return OrderDenied("not_tradable", f"the broker does not trade {symbol}; what is held of it stays")
    return OrderDenied("no_price", f"there is no usable price of {symbol}; what is held of it stays")


def _cross(symbol: str, wishes: Mapping[str, Decimal], price: Decimal) -> tuple[list[Crossing], dict[str, Decimal]]:
    """Match sellers with buyers inside the account; return the crossings and what is left to be traded outside."""
    left = {name: wishes[name] for name in sorted(wishes)}
    crossings: list[Crossing] = []
    sellers, buyers = deque(name for name in left if left[name] < 0), deque(name for name in left if left[name] > 0)
    while sellers and buyers:
        seller, buyer = sellers[0], buyers[0]
        quantity = min(-left[seller], left[buyer])
        left[seller] += quantity
        left[buyer] -= quantity
        crossings.append(Crossing(symbol=symbol, seller=seller, buyer=buyer, quantity=quantity, price=price))
        if not left[seller]:
            sellers.popleft()
        if not left[buyer]:
            buyers.popleft()
    return crossings, {name: wish for name, wish in left.items() if wish}


def _owed_first(
    symbol: str, net: dict[str, Decimal], equity: Decimal, request: PlanRequest
) -> tuple[dict[str, Decimal], tuple[Adjustment, ...]]:
    """Return a purchase cut to what the account owes of a symbol, if it owes any: no venue takes one order from short to long."""
    wanted = sum(net.values(), ZERO)
    owed = -sum([book.get(symbol, ZERO) for book in request.books.values()], ZERO)
    if owed <= 0 or wanted <= owed or not equity:
        return net, ()
    price = request.prices[symbol]
    text = f"the account owes {owed} {symbol} of a purchase that was taken back; it buys these first, and the rest at the next decision"
    before, after = float(wanted * price / equity), float(owed * price / equity)
    return split_fill(owed, net), (Adjustment(code="owed_first", subject=symbol, before=before, after=after, message=text),)


def _intent(symbol: str, net: Mapping[str, Decimal], price: Decimal, equity: Decimal, is_fractionable: bool) -> Intent:
    """Return the intent of wishes that all go one way, which are in the order of names."""
    wishes, side, quantity = [], BUY, ZERO
    for name, wish in net.items():
        if wish < ZERO:
            side, wish = SELL, -wish
        quantity += wish
        wishes.append(Wish(strategy=name, quantity=wish))
    return Intent(
        intent_id=symbol,
        symbol=symbol,
        side=side,
        quantity=quantity,
        reference_price=price,
        drift=to_float(quantity * price / equity) if equity else 0.0,
        wishes=tuple(wishes),
        is_fractionable=is_fractionable,
    )


def _within_cash(buys: list[Intent], sells: Sequence[Intent], request: PlanRequest) -> list[Intent]:
    """Scale the buys down to what the cash and the sells can pay, so that a plan never spends more than there is.

    Each pays half of its spread: a plan that counted on the mids alone would end with a buy that lacks them.
    """
    proceeds, cost, spreads = ZERO, ZERO, request.half_spreads
    for intent in sells:
        value, spread = intent.quantity * intent.reference_price, spreads.get(intent.symbol)
        proceeds += value * (ONE - fraction(spread)) if spread else value
    for intent in buys:
        value, spread = intent.quantity * intent.reference_price, spreads.get(intent.symbol)
        cost += value * (ONE + fraction(spread)) if spread else value
    available = max(request.cash + proceeds, ZERO)
    return buys if cost <= available else _scaled(buys, available / cost, request.rules.minimum_notional)


def _scaled(buys: Sequence[Intent], factor: Decimal, least: Decimal) -> list[Intent]:
    """Return the buys times a factor, without those that would be worth less than the least dollars."""
    scaled: list[Intent] = []
    for intent in buys:
        whole = not intent.is_fractionable
        wishes = [
            Wish(strategy=wish.strategy, quantity=quantity)
            for wish in intent.wishes
            if (quantity := truncate_shares(wish.quantity * factor, whole)) > 0
        ]
        total = sum((wish.quantity for wish in wishes), ZERO)
        if total * intent.reference_price >= least:
            scaled.append(msgspec.structs.replace(intent, quantity=total, wishes=tuple(wishes)))
    return scaled


def _account_target(request: PlanRequest) -> dict[str, float]:
    """Return the weights of the account: each strategy's target, or the one it still follows, times its allocation, summed."""
    target: dict[str, float] = {}
    for name, weights in sorted(request.targets.items()):
        share = to_float(request.allocations[name])
        followed = request.standing.get(name, {}) if weights is None else weights
        for symbol, weight in followed.items():
            target[symbol] = target.get(symbol, 0.0) + share * weight
    return dict(sorted(target.items()))


def _denial(symbol: str, side: Side, quantity: Decimal, error: OrderDenied) -> Denial:
    return Denial(symbol=symbol, side=side, quantity=quantity, code=error.code, message=str(error))
