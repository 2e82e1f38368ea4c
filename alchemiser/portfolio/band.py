"""The no-trade band: how far a position may drift from its target before it is worth a trade. Pure.

The band is the widest of three: absolute, a share of the strategy's capital; relative, a share of the target weight; and, when asked for,
cost-aware: a trade costs half the spread now, while the drift it corrects costs only a little tracking error. For proportional costs the
best half-width around a weight ``w`` is, to leading order, ``(3 / (2 A) * w^2 * (1 - w)^2 * c) ^ (1/3)`` with the risk aversion ``A`` and
the cost ``c`` as a fraction of the amount traded (Janecek and Shreve, "Asymptotic analysis for optimal investment and consumption with
transaction costs", Finance and Stochastics 8, 2004). Positions that are new, or go altogether, have no band: they are always traded.
"""

import msgspec


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """How the band is made: fractions; without ``is_cost_aware`` the spread plays no part."""

    absolute: float = 0.005
    relative: float = 0.0
    is_cost_aware: bool = False
    risk_aversion: float = 3.0

    def half_width(self, weight: float, half_spread: float | None) -> float:
        """Return by how much of the strategy's capital a position may be off a target weight between 0 and 1.

        ``half_spread`` is half the quoted spread as a fraction of the mid, ``None`` when there is no usable quote.
        """
        width = max(self.absolute, self.relative * weight)
        if self.is_cost_aware and half_spread is not None and 0 < weight < 1:
            width = max(width, (1.5 / self.risk_aversion * weight**2 * (1 - weight) ** 2 * half_spread) ** (1 / 3))
        return width
