"""What a data plan lets REST ask for: which feeds there are, and how recent the consolidated tape may be (sections 6.5 and 7.2). Pure.

A plan with the feed ``sip`` sees everything at once. Without it history of the consolidated tape ends a quarter of an hour ago, the latest
prices are those of ``iex`` unless another feed is named, and asking for more is refused with 403.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from alchemiser.exchange.errors import UNPROCESSABLE, ApiError, bad_request
from alchemiser.exchange.http_forms import choice, day, moment
from alchemiser.market.calendar import midnight, new_york_date

_HISTORICAL_FEEDS: Final = ("sip", "iex", "otc", "boats")
_LATEST_FEEDS: Final = (*_HISTORICAL_FEEDS, "delayed_sip", "overnight")
_REAL_TIME: Final = "sip"
_DELAY: Final = timedelta(minutes=15)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_NO_MAPPING: Final = "-"


class DataPlan:
    """The feeds that an account may use."""

    def __init__(self, feeds: Sequence[str]) -> None:
        self._has_real_time = _REAL_TIME in feeds

    def span(self, query: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
        """Return the first and the last moment of a question about history.

        Raises the 400 of a parameter that cannot be read and the 403 of a tape more recent than the plan allows.
        """
        _check_currency(query)
        if (query.get("asof") or _NO_MAPPING) != _NO_MAPPING:
            day(query, "asof")
        is_held_back = choice(query, "feed", _HISTORICAL_FEEDS, "sip") == "sip" and not self._has_real_time
        latest = now - _DELAY if is_held_back else now
        start = moment(query, "start") or midnight(new_york_date(latest))
        end = moment(query, "end", end_of_day=True)
        if is_held_back and end is not None and end > latest:
            raise _too_recent()
        return start, latest if end is None else min(end, now)

    def check_latest(self, query: Mapping[str, str]) -> None:
        """Refuse a question about the latest prices that the plan does not allow, or that cannot be read."""
        _check_currency(query)
        feed = choice(query, "feed", _LATEST_FEEDS, "sip" if self._has_real_time else "iex")
        if feed == "sip" and not self._has_real_time:
            raise _too_recent()


def _check_currency(query: Mapping[str, str]) -> None:
    currency = query.get("currency") or "USD"
    if not _CURRENCY.fullmatch(currency):
        raise bad_request(f"invalid currency: {currency!r}")
    if currency != "USD":
        raise bad_request(f"invalid currency: prices are in USD, not in {currency}")


def _too_recent() -> ApiError:
    return ApiError(403, UNPROCESSABLE, "subscription does not permit querying recent SIP data")
