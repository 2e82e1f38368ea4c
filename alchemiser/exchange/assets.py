"""The assets that the exchange lists: what may be done with each symbol and how the venue describes it (section 8.4)."""

import uuid
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from alchemiser.domain.money import number_string

_NAMESPACE: Final = uuid.UUID("6f1d9a52-5a0b-5c58-8c6a-3f1f7e1f2b11")

_LEVERAGE: Final = {
    2: "BITX QLD SDS SSO UCO UVXY UWM",
    3: "ERX FAS FNGU LABD LABU NAIL RETL SOXL SOXS SPXL SPXS SPXU SQQQ TECL TECS TMF TMV TNA TQQQ TZA UDOW UPRO URTY YANG YINN",
}
_MAINTENANCE: Final = {
    **{symbol: Decimal(50) for symbol in _LEVERAGE[2].split()},
    **{symbol: Decimal(75) for symbol in _LEVERAGE[3].split()},
}


FRACTIONAL_EXTENDED_HOURS: Final = "fractional_eh_enabled"
OVERNIGHT_TRADABLE: Final = "overnight_tradable"
OVERNIGHT_HALTED: Final = "overnight_halted"


class AssetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One listed symbol. ``maintenance_percent`` is the maintenance margin of a long position in percent of its value."""

    asset_id: str
    symbol: str
    name: str
    exchange: str = "ARCA"
    status: str = "active"
    cusip: str | None = None
    tradable: bool = True
    marginable: bool = True
    shortable: bool = True
    easy_to_borrow: bool = True
    fractionable: bool = True
    maintenance_percent: Decimal = Decimal(30)
    attributes: tuple[str, ...] = (FRACTIONAL_EXTENDED_HOURS,)


class AssetChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the broker may change of a listed symbol while the exchange runs; ``None`` leaves a field as it is."""

    status: Literal["active", "inactive"] | None = None
    tradable: bool | None = None
    shortable: bool | None = None
    easy_to_borrow: bool | None = None
    fractionable: bool | None = None
    attributes: tuple[str, ...] | None = None

    def of(self, asset: AssetRecord) -> AssetRecord:
        """Return the record as it is from now on."""
        return msgspec.structs.replace(asset, **{name: value for name, value in msgspec.structs.asdict(self).items() if value is not None})

    def after(self, earlier: "AssetChange") -> "AssetChange":
        """Return an earlier change and this one as one."""
        made = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        return msgspec.structs.replace(earlier, **made)


def asset_id_of(symbol: str) -> str:
    """Return the asset id of a symbol: the same in every exchange, so that recordings can be compared."""
    return str(uuid.uuid5(_NAMESPACE, symbol))


def listed(symbol: str, **changes: Any) -> AssetRecord:
    """Return the usual record of a symbol, with the maintenance margin of leveraged funds; ``changes`` override its fields."""
    fields = {
        "asset_id": asset_id_of(symbol),
        "symbol": symbol,
        "name": symbol,
        "maintenance_percent": _MAINTENANCE.get(symbol, Decimal(30)),
        **changes,
    }
    return msgspec.convert(fields, AssetRecord)


def listing(symbols: Iterable[str], *, overnight: bool = False) -> dict[str, AssetRecord]:
    """Return the usual records of ``symbols``, sorted by symbol; with ``overnight`` they trade at night too."""
    more = {"attributes": (FRACTIONAL_EXTENDED_HOURS, OVERNIGHT_TRADABLE)} if overnight else {}
    return {symbol: listed(symbol, **more) for symbol in sorted(set(symbols))}


def asset_json(asset: AssetRecord) -> dict[str, Any]:
    """Return the venue's description of an asset."""
    percent = number_string(asset.maintenance_percent)
    return {
        "id": asset.asset_id,
        "class": "us_equity",
        "exchange": asset.exchange,
        "symbol": asset.symbol,
        "name": asset.name,
        "cusip": asset.cusip,
        "status": asset.status,
        "tradable": asset.tradable,
        "marginable": asset.marginable,
        "shortable": asset.shortable,
        "easy_to_borrow": asset.easy_to_borrow,
        "borrow_status": "easy_to_borrow" if asset.easy_to_borrow else "hard_to_borrow",
        "fractionable": asset.fractionable,
        "maintenance_margin_requirement": float(asset.maintenance_percent),
        "margin_requirement_long": percent,
        "margin_requirement_short": percent,
        "attributes": list(asset.attributes),
    }
