"""The venue's refusals: HTTP status, numeric code, message and the extra members of the body (section 2 of the protocol reference).

Status and code are the contract; the words are those recorded from the venue, so that a client that matches on them works here too.
An :class:`ApiError` is an answer, not a fault: the face that catches one sends :meth:`ApiError.body` with :attr:`ApiError.status`.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from alchemiser.domain.money import number_string

VALIDATION = 40010001
UNPROCESSABLE = 42210000
FORBIDDEN = 40310000
NOT_FOUND = 40410000


class ApiError(Exception):
    """An answer other than success; ``code`` is ``None`` where the venue sends only a message."""

    def __init__(self, status: int, code: int | None, message: str, extra: dict[str, Any] | None = None) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.extra: dict[str, Any] = dict(extra or {})

    def body(self) -> dict[str, Any]:
        """Return the JSON object of the answer."""
        code = {} if self.code is None else {"code": self.code}
        return {**code, "message": self.message, **self.extra}


def invalid(message: str) -> ApiError:
    """A field is missing or malformed: 422 with code 40010001."""
    return ApiError(422, VALIDATION, message)


def unprocessable(message: str) -> ApiError:
    """The request is well-formed and cannot be done: 422 with code 42210000."""
    return ApiError(422, UNPROCESSABLE, message)


def forbidden(message: str, **extra: Any) -> ApiError:
    """The state of the account or a rule forbids it: 403 with code 40310000 and the members that explain why."""
    return ApiError(403, FORBIDDEN, message, extra)


def not_found(message: str) -> ApiError:
    """The thing asked for does not exist: 404 with code 40410000."""
    return ApiError(404, NOT_FOUND, message)


def bad_request(message: str) -> ApiError:
    """The request cannot be read, or a configuration value is none of the allowed ones: 400 without a code."""
    return ApiError(400, None, message)


def insufficient_buying_power(buying_power: Decimal, cost_basis: Decimal) -> ApiError:
    """An order would cost more than the account may spend."""
    return forbidden("insufficient buying power", buying_power=number_string(buying_power), cost_basis=number_string(cost_basis))


def insufficient_quantity(
    symbol: str, *, requested: Decimal, available: Decimal, existing: Decimal, held: Decimal, related_orders: Iterable[str]
) -> ApiError:
    """An order would close more of a position than is free of other open orders."""
    asked, free = number_string(requested), number_string(available)
    return forbidden(
        f"insufficient qty available for order (requested: {asked}, available: {free})",
        available=free,
        existing_qty=number_string(existing),
        held_for_orders=number_string(held),
        related_orders=list(related_orders),
        symbol=symbol,
    )


def wash_trade(existing_order_id: str, reject_reason: str) -> ApiError:
    """An order might trade with another open order of the same account."""
    return forbidden("potential wash trade detected. use complex orders", existing_order_id=existing_order_id, reject_reason=reject_reason)
