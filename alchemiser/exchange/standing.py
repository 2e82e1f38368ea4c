"""How the account stands at this moment: prices, values, buying power and shares, free and held.

Reads the state; what the broker changes of an asset is the only thing that is changed here.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal

from alchemiser.domain.money import ONE, ZERO
from alchemiser.exchange.account import Position
from alchemiser.exchange.assets import AssetChange, AssetRecord
from alchemiser.exchange.blotter import Blotter
from alchemiser.exchange.errors import not_found, unprocessable
from alchemiser.exchange.margin import (
    Holding,
    Valuation,
    maintenance_margin,
    margin_weight,
    may_concentrate,
    total_maintenance,
    value_account,
)
from alchemiser.exchange.orders import VenueOrder
from alchemiser.exchange.reservations import reserved_dollars
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.snapshot import ExchangeState
from alchemiser.exchange.timeline import NEW_YORK, REGULAR


class Standing:
    """Answers about one exchange's account. ``excluding`` leaves orders out of the count: those that are about to be replaced.

    ``assets`` is the exchange's own listing: what changes of it, and what is added, is written there.
    """

    def __init__(self, state: ExchangeState, blotter: Blotter, assets: dict[str, AssetRecord], settings: ExchangeSettings) -> None:
        self._state = state
        self._blotter = blotter
        # What the broker says of an asset changes over time, so it is part of the state.
        self._assets = assets
        changes = {**{symbol: AssetChange(easy_to_borrow=easy) for symbol, easy in state.borrow.items()}, **state.asset_changes}
        assets.update({symbol: change.of(assets[symbol]) for symbol, change in changes.items() if symbol in assets})
        self._settings = settings
        self._low_price = Decimal(settings.low_price)
        self._named = {asset.asset_id: asset for asset in assets.values()} | assets
        self.find_asset: Callable[[str], AssetRecord | None] = self._named.get
        """An asset by symbol or asset id, ``None`` for an unknown one."""

    @property
    def assets(self) -> Mapping[str, AssetRecord]:
        """All assets by symbol, as they are now."""
        return self._assets

    def list_asset(self, asset: AssetRecord) -> None:
        """List one more symbol; one that is listed already stays as it is."""
        if asset.symbol not in self._assets:
            self._list(asset)

    def change_asset(self, symbol: str, change: AssetChange) -> None:
        """Change what may be done with a symbol. Raises the 404 of an unknown one."""
        self._list(change.of(self.asset(symbol)))
        earlier = self._state.asset_changes.get(symbol) or AssetChange(easy_to_borrow=self._state.borrow.pop(symbol, None))
        self._state.asset_changes[symbol] = change.after(earlier)

    def equity(self) -> Decimal:
        """Return cash and positions at their prices; cheaper than a valuation."""
        return self._state.account.cash + _worth(self._priced())

    def equity_and_maintenance(self) -> tuple[Decimal, Decimal]:
        """Return what :meth:`equity` and :meth:`maintenance_margin` do, walking through the positions once."""
        cash = self._state.account.cash
        worth, maintenance = total_maintenance(self._priced(), cash, self._assets, self._low_price)
        return cash + worth, maintenance

    def asset(self, symbol_or_id: str) -> AssetRecord:
        """Return an asset by symbol or asset id. Raises the 404 of an unknown one."""
        found = self.find_asset(symbol_or_id)
        if found is None:
            raise not_found(f"asset not found for {symbol_or_id}")
        return found

    def asset_to_trade(self, symbol_or_id: str) -> AssetRecord:
        """Return the asset an order names. Raises the 422 of an unknown one and of one that cannot be traded."""
        found = self._named.get(symbol_or_id)
        if found is None:
            raise unprocessable(f'asset "{symbol_or_id[:40]}" not found')
        if found.status != "active":
            raise unprocessable(f'asset "{found.symbol}" is not active')
        if not found.tradable:
            raise unprocessable(f'asset "{found.symbol}" is not tradable')
        return found

    def asset_to_hold(self, symbol_or_id: str) -> AssetRecord:
        """Return the asset whose position is meant. Raises the 404 of an unknown one."""
        found = self.find_asset(symbol_or_id)
        if found is None:
            raise not_found(f"symbol not found: {symbol_or_id[:40]}")
        return found

    def price_of(self, symbol: str) -> Decimal:
        """Return the price a position is valued at; its entry price until the market has said anything."""
        book = self._state.books.get(symbol)
        if book is not None and (mark := book.mark()) is not None:
            return mark
        position = self._state.account.positions.get(symbol)
        return ZERO if position is None else position.average_entry_price

    def valuation(self) -> Valuation:
        """Return what the account is worth now."""
        return self._valued(self._priced())

    def maintenance_margin(self) -> Decimal:
        """Return the maintenance margin of the account as it is now."""
        return self.equity_and_maintenance()[1]

    def survey(self) -> tuple[Valuation, list[tuple[Position, Decimal, Decimal]]]:
        """Return what the account is worth now, and its positions by symbol, each with the shares that no order holds, and its price."""
        priced, open_in, positions = self._priced(), self._blotter.open.by_symbol, self._state.account.positions
        holdings = []
        for symbol, quantity, price in sorted(priced):
            free = abs(quantity)
            holdings.append((positions[symbol], free - open_in[symbol].shares if symbol in open_in else free, price))
        return self._valued(priced), holdings

    def _list(self, asset: AssetRecord) -> None:
        self._assets[asset.symbol] = self._named[asset.symbol] = self._named[asset.asset_id] = asset

    def _valued(self, priced: Collection[Holding]) -> Valuation:
        is_regular_session = self._state.phase is REGULAR
        return value_account(self._state.account, self._assets, priced, self._settings, is_regular_session, self.is_frozen())

    def _priced(self) -> list[Holding]:
        """Return of each position the symbol, the signed shares and the price that they are valued at."""
        priced, books = [], self._state.books
        for symbol, position in self._state.account.positions.items():
            # Asked for with every valuation, and hardly ever for the first time since the market said something.
            book = books.get(symbol)
            if book is None or (price := book.worth) is None:
                price = self.price_of(symbol)
            priced.append((symbol, position.quantity, price))
        return priced

    def is_paid_in_cash(self, order: VenueOrder, dollars: Decimal) -> bool:
        """Whether a new order to buy is within the cash of an account that owes neither money nor shares and has no other order open.

        Then no valuation would stand in its way: with a multiplier the buying power is at least that of the cash, and shares that are paid
        for never need more margin than they are worth. ``dollars`` are what the order would hold.
        """
        account, settings = self._state.account, self._settings
        if order.side != "buy" or self._blotter.open.orders or settings.intraday_power != "equity":
            return False
        for position in account.positions.values():
            if position.quantity < ZERO:
                return False
        return dollars <= (account.settled_cash if settings.settled_cash_only else account.cash)

    def is_frozen(self) -> bool:
        """Whether an unmet margin call forbids new debits and new short sales."""
        margin = self._state.account.margin
        return margin.frozen_until is not None and margin.is_frozen(self._state.now.astimezone(NEW_YORK).date())

    def reserved_buying_power(self, multiplier: int, excluding: Collection[VenueOrder] = ()) -> Decimal:
        """Return the buying power that open orders hold."""
        return self._blotter.open.reserved_buying_power(multiplier, excluding)

    def lacks_buying_power_for(self, order: VenueOrder, value: Valuation, excluding: Collection[VenueOrder] = ()) -> Decimal | None:
        """Return the free buying power when it is less than an order needs, ``None`` when it is enough.

        ``value`` is the valuation of this moment; an order that is open already has to be among those that are left out.
        """
        dollars = reserved_dollars(order)
        if not dollars:
            return None
        asset, multiplier = self._assets[order.symbol], value.multiplier
        reserved = self._blotter.open.reserved_buying_power(multiplier, excluding)
        free = max(value.buying_power - reserved, ZERO)
        if dollars * margin_weight(asset, multiplier) > free:
            return free
        if multiplier == 1 or not self._settings.refuse_margin_deficits:
            return None
        # Nearly every order is far from a deficit; only one that is near looks at everything that is held and ordered. Shares that are
        # bought never need more margin than they cost.
        own = dollars if order.side == "buy" else maintenance_margin(asset, *_opened(order), low_price=self._low_price)
        if own + reserved <= value.equity - self.maintenance_margin() and not may_concentrate(value.cash - reserved - dollars):
            return None
        lacking = self._maintenance_with(order, excluding) - value.equity
        return max(min(free, dollars - lacking), ZERO) if lacking > 0 else None

    def _maintenance_with(self, order: VenueOrder, excluding: Collection[VenueOrder]) -> Decimal:
        """Return the maintenance margin that the account would need if an order and all other open ones were filled."""
        cash = self._state.account.cash
        holdings = {symbol: (held, price) for symbol, held, price in self._priced()}
        others = (other for other in self._blotter.open_orders() if other is not order and other not in excluding and not other.is_closing)
        for each in (order, *others):
            change, price = _opened(each)
            held, held_at = holdings.get(each.symbol, (ZERO, price))
            if change and held * change >= 0:
                holdings[each.symbol] = (held + change, (held * held_at + change * price) / (held + change))
                cash -= change * price
        together = [(symbol, held, price) for symbol, (held, price) in holdings.items()]
        return total_maintenance(together, cash, self._assets, self._low_price)[1]

    def held_shares(self, symbol: str, excluding: Collection[VenueOrder] = ()) -> Decimal:
        """Return the shares of a position that open orders hold."""
        return self._blotter.open.held_shares(symbol, excluding)

    def free_shares(self, symbol: str, excluding: Collection[VenueOrder] = ()) -> Decimal:
        """Return the shares of a position, long or short, that no open order holds."""
        position = self._state.account.positions.get(symbol)
        owned = ZERO if position is None else abs(position.quantity)
        return owned if symbol not in self._blotter.open.by_symbol else owned - self._blotter.open.held_shares(symbol, excluding)


def _worth(holdings: Iterable[Holding]) -> Decimal:
    worth = ZERO
    for _, quantity, price in holdings:
        worth += quantity * price
    return worth


def _opened(order: VenueOrder) -> tuple[Decimal, Decimal]:
    """Return the signed shares that an order may still open, and the price at which they are reserved."""
    quantity = order.leaves() if order.notional is None else order.leaves_notional / (order.hold_price or ONE)
    return order.sign * quantity, order.hold_price
