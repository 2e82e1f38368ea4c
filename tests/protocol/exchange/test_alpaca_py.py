"""Alpaca's own Python clients, unmodified but for ``url_override``, trade a session on the exchange (section 1.3 of the reference)."""

import asyncio
import queue
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

import pytest

from tests.protocol.exchange.harness import CREDENTIALS, SYMBOLS, Running, at, running

with warnings.catch_warnings():
    # Importing any part of alpaca-py imports its streams, which stand on the legacy client of websockets.
    warnings.filterwarnings("ignore", message=r"websockets\.legacy is deprecated", category=DeprecationWarning)
    from alpaca.common.exceptions import APIError
    from alpaca.data.enums import Adjustment, MostActivesBy
    from alpaca.data.historical import StockHistoricalDataClient
    from alpaca.data.historical.corporate_actions import CorporateActionsClient
    from alpaca.data.historical.screener import ScreenerClient
    from alpaca.data.live import StockDataStream
    from alpaca.data.requests import (
        CorporateActionsRequest,
        MarketMoversRequest,
        MostActivesRequest,
        StockBarsRequest,
        StockLatestBarRequest,
        StockLatestQuoteRequest,
        StockLatestTradeRequest,
        StockQuotesRequest,
        StockSnapshotRequest,
        StockTradesRequest,
    )
    from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import CorporateActionType, OrderClass, OrderSide, OrderStatus, QueryOrderStatus, TimeInForce
    from alpaca.trading.requests import (
        ClosePositionRequest,
        CreateWatchlistRequest,
        GetAssetsRequest,
        GetCalendarRequest,
        GetCorporateAnnouncementsRequest,
        GetOrderByIdRequest,
        GetOrdersRequest,
        GetPortfolioHistoryRequest,
        LimitOrderRequest,
        MarketOrderRequest,
        ReplaceOrderRequest,
        StopLimitOrderRequest,
        StopLossRequest,
        StopOrderRequest,
        TakeProfitRequest,
        TrailingStopOrderRequest,
        UpdateWatchlistRequest,
    )
    from alpaca.trading.stream import TradingStream

PAIR = (CREDENTIALS.key_id, CREDENTIALS.secret_key)


def trading(exchange: Running) -> TradingClient:
    """Return Alpaca's trading client, pointed at the exchange."""
    return TradingClient(*PAIR, url_override=exchange.address.rest)


def data(exchange: Running) -> StockHistoricalDataClient:
    """Return Alpaca's data client; its base ends in a slash, so it asks for ``//v2/...``."""
    return StockHistoricalDataClient(*PAIR, url_override=exchange.address.rest + "/")


async def threaded(method: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a blocking client answers; it answers one of several types, which is looked at where it matters."""
    return await asyncio.to_thread(method, *arguments)


@asynccontextmanager
async def listening(stream: Any, subscribe: Callable[[Any], None], exchange: Running) -> AsyncIterator["queue.Queue[Any]"]:
    """Run a stream client in its thread until the block ends, what it hears going into the queue."""
    heard: queue.Queue[Any] = queue.Queue()

    async def hear(message: Any) -> None:
        heard.put(message)

    subscribe(hear)
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(stream.run), name="alpaca-py stream")
        try:
            yield heard
        finally:
            await asyncio.to_thread(stream.stop)
            # The client looks whether it is to stop when something happens on its socket, at the latest after five seconds.
            await exchange.call("POST", "/_exchange/faults", [{"kind": "drop_stream", "stream": name} for name in ("orders", "market")])


async def next_of(heard: "queue.Queue[Any]") -> Any:
    """Return the next thing a stream client heard."""
    return await asyncio.to_thread(heard.get, True, 10)


async def frames(exchange: Running, stream: str, text: str) -> None:
    """Return when the exchange has sent a control frame with this text on a stream."""
    while True:
        _, log = await exchange.call("GET", "/_exchange/log")
        if any(entry["kind"] == "frame" and entry["direction"] == "out" and text in str(entry["data"]) for entry in log):
            return


async def test_places_watches_and_cancels_orders() -> None:
    """TradingClient places a market and a limit order; TradingStream sees their whole lives; a cancel ends the one that rests."""
    async with running() as exchange:
        client = trading(exchange)
        stream = TradingStream(*PAIR, url_override=exchange.address.trading_stream)
        async with listening(stream, stream.subscribe_trade_updates, exchange) as heard:
            await frames(exchange, "orders", "listening")
            await exchange.quote("TECL", 79.98, 80.00)

            order = await threaded(
                client.submit_order,
                MarketOrderRequest(symbol="TECL", qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, client_order_id="first"),
            )
            await exchange.forward(1)
            updates = [await next_of(heard) for _ in range(3)]

            assert [update.event for update in updates] == ["pending_new", "new", "fill"]
            assert {update.order.id for update in updates} == {order.id}
            assert (updates[-1].qty, updates[-1].price, updates[-1].position_qty) == (10.0, 80.0, 10.0)
            assert updates[-1].order.status is OrderStatus.FILLED

            resting = await threaded(
                client.submit_order,
                LimitOrderRequest(symbol="SPY", qty=2, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=1.5),
            )
            await exchange.forward(1)
            replaced = await threaded(client.replace_order_by_id, resting.id, ReplaceOrderRequest(qty=3, limit_price=1.75))
            await exchange.forward(1)
            found = await threaded(client.get_order_by_id, replaced.id)
            assert (found.status, found.limit_price, found.replaces) == (OrderStatus.NEW, "1.75", resting.id)

            await threaded(client.cancel_order_by_id, replaced.id)
            await exchange.forward(1)
            heard_events = []
            while (update := await next_of(heard)).order.id != replaced.id or update.order.status is not OrderStatus.CANCELED:
                heard_events.append(update.event)
            assert len(heard_events) >= 3
            by_client_id = await threaded(client.get_order_by_client_id, "first")
            assert by_client_id.id == order.id


async def test_reads_the_account_and_everything_around_it() -> None:
    """Account, positions, closing, assets, clock, calendar, configurations, lists and history satisfy alpaca-py's models (1.4)."""
    async with running() as exchange:
        client = trading(exchange)
        await exchange.quote("SPY", 499.99, 500.00)
        await exchange.buy("SPY", "4")
        await exchange.forward(1)

        account = await threaded(client.get_account)
        assert float(account.cash) == 98_000
        (position,) = await threaded(client.get_all_positions)
        assert (position.symbol, position.qty, position.avg_entry_price) == ("SPY", "4", "500")
        assert (await threaded(client.get_open_position, "SPY")).asset_id == position.asset_id
        closing = await threaded(client.close_position, "SPY", ClosePositionRequest(percentage="50"))
        assert (closing.side, closing.qty) == (OrderSide.SELL, "2")
        await exchange.forward(1)
        rows = await threaded(client.close_all_positions, True)
        assert [row.status for row in rows] == [200]
        await exchange.forward(1)
        assert await threaded(client.get_all_positions) == []

        clock = await threaded(client.get_clock)
        assert clock.is_open
        assert clock.next_close.astimezone(UTC) == at("21:00:00")
        days = await threaded(client.get_calendar, GetCalendarRequest(start=date(2024, 11, 28), end=date(2024, 11, 29)))
        assert [(day.date, day.close.hour) for day in days] == [(date(2024, 11, 29), 13)]
        assets = await threaded(client.get_all_assets, GetAssetsRequest())
        assert [asset.symbol for asset in assets] == list(SYMBOLS)
        assert (await threaded(client.get_asset, "TECL")).fractionable

        orders = await threaded(client.get_orders, GetOrdersRequest(status=QueryOrderStatus.ALL, symbols=["SPY"]))
        assert [order.side for order in orders] == [OrderSide.SELL, OrderSide.SELL, OrderSide.BUY]
        history = await threaded(client.get_portfolio_history, GetPortfolioHistoryRequest(timeframe="1D"))
        assert history.base_value == 100_000
        configurations = await threaded(client.get_account_configurations)
        configurations.suspend_trade = True
        changed = await threaded(client.set_account_configurations, configurations)
        assert changed.suspend_trade
        assert await threaded(client.cancel_orders) == []
        with pytest.raises(APIError) as refusal:
            await threaded(client.submit_order, MarketOrderRequest(symbol="SPY", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY))
        assert refusal.value.status_code == 403


async def test_reads_the_market() -> None:
    """Bars in several lengths and adjustments, ticks of the past, the latest and snapshots satisfy alpaca-py's models (7)."""
    async with running() as exchange:
        await exchange.forward(3_600)
        client = data(exchange)

        daily = await threaded(
            client.get_stock_bars,
            StockBarsRequest(
                symbol_or_symbols=list(SYMBOLS), timeframe=TimeFrame.Day, start=datetime(2025, 2, 20, tzinfo=UTC), adjustment=Adjustment.ALL
            ),
        )
        assert {symbol: len(bars) for symbol, bars in daily.data.items()} == dict.fromkeys(SYMBOLS, 8)
        assert daily["SPY"][-1].timestamp == at("05:00:00")
        minutes = await threaded(client.get_stock_bars, StockBarsRequest(symbol_or_symbols="SPY", timeframe=TimeFrame.Minute))
        fives = await threaded(
            client.get_stock_bars, StockBarsRequest(symbol_or_symbols="SPY", timeframe=TimeFrame(5, TimeFrameUnit.Minute), limit=3)
        )
        assert len(minutes["SPY"]) == 60
        assert [bar.timestamp for bar in fives["SPY"]] == [at("14:30:00"), at("14:35:00"), at("14:40:00")]
        assert fives["SPY"][0].volume == sum(bar.volume for bar in minutes["SPY"][:5])
        assert fives["SPY"][0].high == max(bar.high for bar in minutes["SPY"][:5])

        window: Any = {"symbol_or_symbols": "SPY", "start": at("14:30:00"), "end": at("14:31:00")}
        assert (await threaded(client.get_stock_trades, StockTradesRequest(**window)))["SPY"]
        assert len((await threaded(client.get_stock_quotes, StockQuotesRequest(**window)))["SPY"]) == 13
        quotes = await threaded(client.get_stock_latest_quote, StockLatestQuoteRequest(symbol_or_symbols=["SPY", "TECL"]))
        assert quotes["SPY"].ask_price > quotes["SPY"].bid_price > 0
        trades = await threaded(client.get_stock_latest_trade, StockLatestTradeRequest(symbol_or_symbols="SPY"))
        assert trades["SPY"].timestamp == at("15:30:00")
        bars = await threaded(client.get_stock_latest_bar, StockLatestBarRequest(symbol_or_symbols="SPY"))
        assert bars["SPY"].timestamp == at("15:29:00")
        snapshots = await threaded(client.get_stock_snapshot, StockSnapshotRequest(symbol_or_symbols=list(SYMBOLS)))
        assert snapshots["SPY"].daily_bar.timestamp == at("05:00:00")
        assert snapshots["SPY"].previous_daily_bar.timestamp == at("05:00:00", date(2025, 2, 28))

        actions = CorporateActionsClient(*PAIR, url_override=exchange.address.rest)
        found = await threaded(actions.get_corporate_actions, CorporateActionsRequest(symbols=["SPY"], start=date(2025, 1, 1)))
        assert found.data == {}


@pytest.mark.filterwarnings("ignore:get_corporate_announcement:DeprecationWarning")
async def test_keeps_watchlists_and_complex_orders() -> None:
    """The rest of TradingClient: watchlists, bracket orders, look-ups by both ids, replacing, every order type, announcements (8.8)."""
    async with running() as exchange:
        client = trading(exchange)
        made = await threaded(client.create_watchlist, CreateWatchlistRequest(name="mine", symbols=["SPY"]))
        await threaded(client.add_asset_to_watchlist_by_id, made.id, "TECL")
        await threaded(client.remove_asset_from_watchlist_by_id, made.id, "SPY")
        renamed = await threaded(client.update_watchlist_by_id, made.id, UpdateWatchlistRequest(name="other"))
        found = await threaded(client.get_watchlist_by_id, made.id)
        assert (renamed.name, [asset.symbol for asset in found.assets]) == ("other", ["TECL"])
        assert [each.id for each in await threaded(client.get_watchlists)] == [made.id]
        await threaded(client.delete_watchlist_by_id, made.id)
        assert await threaded(client.get_watchlists) == []

        last = (await exchange.call("GET", "/v2/stocks/SPY/trades/latest"))[1]["trade"]["p"]
        bracket = await threaded(
            client.submit_order,
            LimitOrderRequest(
                symbol="SPY",
                qty=2,
                side=OrderSide.BUY,
                time_in_force=TimeInForce.GTC,
                limit_price=round(last * 0.9, 2),
                order_class=OrderClass.BRACKET,
                take_profit=TakeProfitRequest(limit_price=round(last * 1.1, 2)),
                stop_loss=StopLossRequest(stop_price=round(last * 0.8, 2)),
            ),
        )
        assert [leg.status for leg in bracket.legs] == [OrderStatus.HELD, OrderStatus.HELD]
        await exchange.forward(1)
        assert (await threaded(client.get_order_by_client_id, bracket.client_order_id)).id == bracket.id
        nested = await threaded(client.get_order_by_id, bracket.id, GetOrderByIdRequest(nested=True))
        assert len(nested.legs) == 2
        plain = await threaded(
            client.submit_order,
            LimitOrderRequest(symbol="SPY", qty=2, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=round(last * 0.7, 2)),
        )
        await exchange.forward(1)
        replaced = await threaded(client.replace_order_by_id, plain.id, ReplaceOrderRequest(qty=3))
        assert (replaced.replaces, replaced.qty) == (plain.id, "3")
        await exchange.forward(1)
        assert {row.status for row in await threaded(client.cancel_orders)} == {200}
        for kind in (TrailingStopOrderRequest, StopOrderRequest, StopLimitOrderRequest):
            prices: dict[str, float] = {"trail_percent": 5.0} if kind is TrailingStopOrderRequest else {"stop_price": round(last * 1.2, 2)}
            prices |= {"limit_price": round(last * 1.25, 2)} if kind is StopLimitOrderRequest else {}
            asked: Any = {"symbol": "TECL", "qty": 1, "side": OrderSide.BUY, "time_in_force": TimeInForce.DAY, **prices}
            assert (await threaded(client.submit_order, kind(**asked))).symbol == "TECL"

        announced = await threaded(
            client.get_corporate_announcements,
            GetCorporateAnnouncementsRequest(ca_types=[CorporateActionType.DIVIDEND], since=date(2025, 1, 1), until=date(2025, 3, 3)),
        )
        for announcement in announced[:1]:
            assert (await threaded(client.get_corporate_announcement_by_id, announcement.id)).id == announcement.id


async def test_screens_the_market() -> None:
    """ScreenerClient reads most actives and movers (7.1)."""
    async with running() as exchange:
        await exchange.forward(600)
        client = ScreenerClient(*PAIR, url_override=exchange.address.rest)
        actives = await threaded(client.get_most_actives, MostActivesRequest(by=MostActivesBy.TRADES, top=2))
        movers = await threaded(client.get_market_movers, MarketMoversRequest(top=5))

        assert len(actives.most_actives) == 2
        assert {each.symbol for each in (*movers.gainers, *movers.losers)} <= set(SYMBOLS)


async def test_hears_halts_corrections_and_updated_bars() -> None:
    """StockDataStream's further channels: trading statuses, corrections, cancels, and bars that a late trade changed (6.4)."""
    async with running() as exchange:
        stream = StockDataStream(*PAIR, url_override=exchange.address.data_stream)

        def subscribe(hear: Any) -> None:
            stream.subscribe_trades(hear, "BIL")
            stream.subscribe_trading_statuses(hear, "*")
            stream.subscribe_updated_bars(hear, "BIL")
            stream.register_trade_corrections(hear)
            stream.register_trade_cancels(hear)

        async with listening(stream, subscribe, exchange) as heard:
            await frames(exchange, "market", "subscription")
            await exchange.call("POST", "/_exchange/halt", {"symbol": "SPY", "halted": True})
            await exchange.forward(60)
            await exchange.call("POST", "/_exchange/trade", {"symbol": "BIL", "price": 91.5, "size": 10})
            await exchange.forward(60)
            await exchange.call("POST", "/_exchange/correction", {"symbol": "BIL", "price": 91.4})
            await exchange.call("POST", "/_exchange/cancel-trade", {"symbol": "BIL"})
            kinds: set[str] = set()
            while not {"TradingStatus", "TradeCorrection", "TradeCancel", "Trade"} <= kinds:
                kinds.add(type(await next_of(heard)).__name__)


async def test_streams_the_market() -> None:
    """StockDataStream, which talks msgpack, hears quotes, trades, minute bars and daily bars of what it asked for, and nothing else."""
    async with running() as exchange:
        stream = StockDataStream(*PAIR, url_override=exchange.address.data_stream)

        def subscribe(hear: Any) -> None:
            stream.subscribe_quotes(hear, "SPY")
            stream.subscribe_trades(hear, "*")
            stream.subscribe_bars(hear, "SPY", "TECL")
            stream.subscribe_daily_bars(hear, "BIL")

        async with listening(stream, subscribe, exchange) as heard:
            await frames(exchange, "market", "subscription")
            await exchange.forward(60)
            kinds: set[tuple[str, str]] = set()
            wanted = {("Quote", "SPY"), ("Trade", "TECL"), ("Bar", "SPY"), ("Bar", "TECL"), ("Bar", "BIL")}
            while not wanted <= kinds:
                message = await next_of(heard)
                kinds.add((type(message).__name__, message.symbol))

            assert ("Quote", "TECL") not in kinds


async def test_refuses_wrong_credentials() -> None:
    """A wrong secret ends in alpaca-py's APIError, not in a model error (1.2)."""
    async with running() as exchange:
        client = TradingClient(CREDENTIALS.key_id, "wrong", url_override=exchange.address.rest)
        with pytest.raises(APIError) as refusal:
            await threaded(client.get_account)

        assert refusal.value.status_code == 401
