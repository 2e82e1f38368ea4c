"""What the account, its positions and its configurations look like on the wire (sections 8.1 to 8.3)."""

from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Any, Final

import msgspec

from alchemiser.domain.money import CENT, ZERO, number_string
from alchemiser.exchange.account import Account, Configuration, Position
from alchemiser.exchange.assets import AssetRecord
from alchemiser.exchange.errors import bad_request
from alchemiser.exchange.formats import average_text, time_text
from alchemiser.exchange.margin import Valuation
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.timeline import NEW_YORK

_RATIO: Final = Decimal("0.0000000001")


def account_json(
    account: Account,
    value: Valuation,
    *,
    maintenance: Decimal,
    reserved: Decimal,
    opened_at: datetime,
    now: datetime,
    settings: ExchangeSettings,
) -> dict[str, Any]:
    """Return the account (8.1). ``maintenance`` is its margin, ``reserved`` the buying power that open orders hold."""
    free = max(value.buying_power - reserved, ZERO)
    pending_fees = sum(account.fees.rounded().values(), ZERO)
    accrued = pending_fees + account.interest.due(settings.interest_rate)
    body: dict[str, Any] = {
        "id": account.id,
        "account_number": account.number,
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "crypto_tier": 0,
        "currency": "USD",
        "cash": number_string(value.cash),
        "equity": number_string(value.equity),
        "portfolio_value": number_string(value.equity),
        "last_equity": number_string(account.last_equity),
        "long_market_value": number_string(value.long_value),
        "short_market_value": number_string(value.short_value),
        "position_market_value": number_string(value.long_value + value.short_value),
        "buying_power": _dollars(free),
        "effective_buying_power": _dollars(free),
        "regt_buying_power": _dollars(max(value.regt_buying_power - reserved, ZERO)),
        "non_marginable_buying_power": _dollars(free / value.multiplier),
        "options_buying_power": _dollars(free / value.multiplier),
        "initial_margin": number_string(value.initial_margin),
        "maintenance_margin": number_string(maintenance),
        "last_maintenance_margin": number_string(account.last_maintenance_margin),
        "sma": _dollars(max(value.regt_buying_power / 2, ZERO)),
        "multiplier": str(value.multiplier),
        "accrued_fees": number_string(accrued),
        "pending_transfer_in": "0",
        "pending_transfer_out": "0",
        "pending_reg_taf_fees": number_string(pending_fees),
        "intraday_adjustments": "0",
        "shorting_enabled": settings.shorting_enabled and value.multiplier > 1 and not account.configuration.no_shorting,
        "trading_blocked": account.is_trading_blocked,
        "transfers_blocked": account.is_transfer_blocked,
        "account_blocked": account.is_blocked,
        "trade_suspended_by_user": account.configuration.suspend_trade,
        "created_at": time_text(opened_at),
        "balance_asof": now.astimezone(NEW_YORK).date().isoformat(),
        "options_approved_level": 0,
        "options_trading_level": 0,
        "admin_configurations": {},
        "user_configurations": None,
    }
    if settings.legacy_account_fields:
        body |= {"pattern_day_trader": False, "daytrade_count": 0, "daytrading_buying_power": "0", "bod_dtbp": "0"}
    return body


def position_json(position: Position, asset: AssetRecord, *, held: Decimal, price: Decimal, previous_close: Decimal) -> dict[str, Any]:
    """Return one position (8.3); ``held`` is what open orders that close it hold.

    Gains of the day count from ``previous_close`` for carried lots and from the entry for today's.
    """
    value, cost = position.quantity * price, position.cost_basis
    gain = value - cost
    day_cost = sum((lot.quantity * (previous_close if lot.is_carried else lot.price) for lot in position.lots), ZERO)
    day_gain = value - day_cost
    sign = 1 if position.quantity > 0 else -1
    return {
        "asset_id": asset.asset_id,
        "symbol": asset.symbol,
        "exchange": asset.exchange,
        "asset_class": "us_equity",
        "asset_marginable": asset.marginable,
        "qty": number_string(position.quantity),
        "qty_available": number_string(position.quantity - sign * held),
        "side": "long" if sign > 0 else "short",
        "avg_entry_price": number_string(position.average_entry_price),
        "cost_basis": number_string(cost),
        "market_value": number_string(value),
        "current_price": number_string(price),
        "lastday_price": number_string(previous_close),
        "change_today": _ratio(price - previous_close, previous_close),
        "unrealized_pl": number_string(gain),
        "unrealized_plpc": _ratio(gain, abs(cost)),
        "unrealized_intraday_pl": number_string(day_gain),
        "unrealized_intraday_plpc": _ratio(day_gain, abs(day_cost)),
    }


def configuration_json(configuration: Configuration, *, legacy: bool) -> dict[str, Any]:
    """Return the account configurations (8.2)."""
    body: dict[str, Any] = msgspec.structs.asdict(configuration)
    return {**body, "dtbp_check": "entry", "pdt_check": "entry"} if legacy else body


def configured(configuration: Configuration, changes: object) -> Configuration:
    """Return the configuration after a PATCH. Raises the 400 of the venue for an unknown value; unknown fields are ignored."""
    if not isinstance(changes, dict):
        raise bad_request("request body format is invalid")
    known = {name: value for name, value in changes.items() if name in Configuration.__struct_fields__}
    if type(known.get("max_margin_multiplier")) is int:  # A number or a text, as everywhere (1.3).
        known["max_margin_multiplier"] = str(known["max_margin_multiplier"])
    try:
        after = msgspec.convert({**msgspec.structs.asdict(configuration), **known}, Configuration)
    except msgspec.ValidationError as error:
        raise bad_request(f"invalid account configuration: {error}") from None
    if after.max_margin_multiplier not in ("1", "2", "4"):
        raise bad_request("max_margin_multiplier must be 1, 2 or 4")
    if after.trade_confirm_email not in ("all", "none"):
        raise bad_request("trade_confirm_email must be all or none")
    if not 0 <= after.max_options_trading_level <= 3:
        raise bad_request("max_options_trading_level must be between 0 and 3")
    return after


def _dollars(amount: Decimal) -> str:
    return number_string(amount.quantize(CENT, rounding=ROUND_DOWN))


def _ratio(part: Decimal, whole: Decimal) -> str:
    return average_text((part / whole).quantize(_RATIO, rounding=ROUND_HALF_EVEN)) if whole else "0"
