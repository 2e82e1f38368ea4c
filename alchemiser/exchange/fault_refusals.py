"""The refusals that the fault ``refuse_order`` can have the exchange give, each as the venue words it."""

from typing import Any, Final, Literal

Reason = Literal[
    "buying_power",
    "wash_trade",
    "held_for_orders",
    "not_shortable",
    "not_fractionable",
    "day_trading",
    "sub_penny",
    "not_tradable",
    "blocked",
    "time_in_force",
    "halted",
]

REFUSALS: Final[dict[Reason, tuple[int, dict[str, Any]]]] = {
    "buying_power": (403, {"code": 40310000, "message": "insufficient buying power", "buying_power": "0", "cost_basis": "1"}),
    "wash_trade": (
        403,
        {
            "code": 40310000,
            "message": "potential wash trade detected. use complex orders",
            "existing_order_id": "00000000-0000-4000-8000-000000000000",
            "reject_reason": "opposite side market/stop order exists",
        },
    ),
    "held_for_orders": (
        403,
        {
            "code": 40310000,
            "message": "insufficient qty available for order (requested: 1, available: 0)",
            "available": "0",
            "existing_qty": "1",
            "held_for_orders": "1",
            "related_orders": [],
        },
    ),
    "not_shortable": (422, {"code": 42210000, "message": "asset cannot be sold short"}),
    "not_fractionable": (403, {"code": 40310000, "message": "requested asset is not fractionable"}),
    "day_trading": (403, {"code": 40310100, "message": "trade denied due to pattern day trading protection"}),
    "sub_penny": (422, {"code": 42210000, "message": "sub-penny increment does not fulfill minimum pricing criteria"}),
    "not_tradable": (422, {"code": 42210000, "message": "asset is not tradable"}),
    "time_in_force": (422, {"code": 42210000, "message": "fractional orders must be DAY orders"}),
    "halted": (403, {"code": 40310000, "message": "trading of this asset is halted"}),
    "blocked": (403, {"code": 40310000, "message": "new orders are rejected: trading is blocked for this account"}),
}
"""What the venue answers to an order for each reason (section 2)."""
