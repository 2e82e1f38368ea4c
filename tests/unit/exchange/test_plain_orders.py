"""Reading an order in one go gives what the long way gives, be it an order or a refusal."""

from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alchemiser.exchange.errors import ApiError
from alchemiser.exchange.http_forms import json_of
from alchemiser.exchange.plain_orders import read_order
from alchemiser.exchange.requests import OrderRequest, parse_order

NUMBERS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["1", "0", "0.5", "-1", "1e3", " 1", "1\n", "", ".5", "5.", "٣", "000000001", "999999999.999999999", "1" * 10, "NaN"]),
    st.sampled_from([1, 0, 1.5, None, True, [], {}]),
    st.decimals(0, 10_000, places=3).map(str),
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "symbol": st.sampled_from(["SPY", "", None, 5, "ä"]),
        "qty": NUMBERS,
        "notional": NUMBERS,
        "side": st.sampled_from(["buy", "sell", "", "BUY", None]),
        "type": st.sampled_from(["market", "limit", "stop", "stop_limit", "trailing_stop", None]),
        "time_in_force": st.sampled_from(["day", "gtc", "ioc", "fok", "opg", "cls", "", None]),
        "limit_price": NUMBERS,
        "stop_price": NUMBERS,
        "client_order_id": st.sampled_from(["a", "", "x" * 128, "x" * 129, None, 7, "😀"]),
        "extended_hours": st.sampled_from([True, False, "true", "", 1, None]),
        "order_class": st.sampled_from(["", "simple", "bracket", "mleg", None]),
        "unknown": st.none(),
    },
)
PLAIN = {"symbol": "SPY", "qty": "1", "side": "buy", "type": "limit", "limit_price": "1.00", "time_in_force": "gtc", "client_order_id": "a"}


def outcome(read: Any, data: bytes) -> OrderRequest | tuple[int, dict[str, Any]]:
    """Return the order, or status and body of the refusal."""
    try:
        found: OrderRequest = read(data)
    except ApiError as error:
        return error.status, error.body()
    return found


@settings(max_examples=300, deadline=None)
@given(BODIES, st.booleans())
@example(PLAIN, True)
def test_both_ways_give_the_same(fields: dict[str, Any], is_plain: bool) -> None:
    """Whatever a body says, the order or the refusal is that of the long way; most bodies that are tried are nearly plain."""
    data = msgspec.json.encode({**PLAIN, **fields} if is_plain else fields)
    assert outcome(read_order, data) == outcome(lambda body: parse_order(json_of(body)), data)


@given(st.one_of(st.binary(max_size=20), st.sampled_from([b"", b"{", b"[]", b"null", b'"x"', b"[" * 100_000, b'{"symbol":"\xff"}'])))
def test_what_is_no_order_is_refused_the_same_way(data: bytes) -> None:
    """Malformed JSON, other values than objects, and bytes that are no text."""
    assert outcome(read_order, data) == outcome(lambda body: parse_order(json_of(body)), data)


def test_numbers_keep_what_the_client_wrote() -> None:
    """The price keeps its trailing zeros, as by the long way, because equality of decimals would not tell."""
    data = msgspec.json.encode(PLAIN)
    assert repr(read_order(data)) == repr(parse_order(PLAIN))
