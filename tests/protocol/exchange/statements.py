"""The statements of the protocol reference, section by section, and what shows each: the title of a card, or the name of a test.

A statement that nothing shows has no place here and is a gap; one that is only simplified is in the table of ``docs/exchange.md``.
"""

from typing import Final

SHOWN_BY: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "1.2": {
        "key pair, OAuth, basic": ("key pair", "a token", "basic authentication"),
        "401 and 403": ("no credentials", "wrong secret", "wrong key id", "a wrong token"),
    },
    "1.3": {
        "what alpaca-py sends": ("numbers as JSON numbers", "binary noise of floats", "booleans in Python's spelling", "plus for a space"),
        "ids without dashes": ("undashed order id",),
    },
    "1.4": {
        "models of the official clients": (
            "test_reads_the_account_and_everything_around_it",
            "test_reads_the_market",
            "test_places_watches_and_cancels_orders",
            "test_the_javascript_client_trades_and_streams",
        )
    },
    "2.1": {
        "400 without a code": ("malformed JSON", "a body that is a list", "not UTF-8", "test_ten_megabytes"),
        "404 and 405": ("no such endpoint", "no such method"),
        "422 with 40010001": ("qty zero", "an id that is none", "cancel_orders no boolean"),
        "500 and answers of proxies": ("test_http_faults_answer_without_or_after_the_effect",),
    },
    "2.2": {
        "buying power": ("buying power: the members",),
        "shares that are not free": ("more than is free: the members",),
        "wash trades": ("wash: market against limit", "wash: crossing limits"),
        "short against long": ("short while a long buy is open", "and the mirror"),
        "below a dollar": ("less than a dollar",),
        "fractions": ("an asset that is not fractionable", "fractions switched off"),
        "flags of the account": ("trading blocked by the broker", "account blocked by the broker", "trading suspended by the user"),
        "windows of the auctions": ("opg while the market is open", "cls too late"),
    },
    "2.3": {
        "assets": ("unknown asset", "an asset that is not active", "an asset that is not tradable", "an asset that is not shortable"),
        "hard to borrow": ("hard to borrow", "hard to borrow, good till cancelled"),
        "ticks": ("tick above a dollar", "tick of a stop"),
        "fractional orders": ("fractional gtc", "fractional trailing stop", "bracket: a fraction", "a fractional short sale"),
        "extended hours": ("extended hours market", "extended hours gtc"),
        "complex orders": ("bracket: no profit leg", "bracket: no loss leg", "bracket: profit on the wrong side"),
        "position intent": ("position intent does not fit",),
        "terminal orders": ("cancel what is filled", "cancel what is canceled", "cancel what has expired"),
        "replacing": ("while the market is closed", "what is pending", "what is filled", "no change", "less than is filled"),
    },
    "2.4": {
        "quota and its headers": ("quota in every answer", "beyond the quota", "the next minute is free"),
        "of the data API, refused answers included": ("data API: its own words", "quota of the data API in a refused answer"),
        "request id": ("request id",),
        "a second stream connection": ("a second connection", "406 connection limit", "test_deflate_and_limits_at_the_handshake_by_switch"),
    },
    "3.1": {
        "one order": ("an order that is unknown", "an id that is none", "one order with its legs"),
        "cancel all": ("cancel all", "cancel all, one of them refused", "cancel all of nothing"),
    },
    "3.2": {
        "symbol or asset id": ("symbol is required", "an asset id is as good as a symbol"),
        "quantity or amount": ("qty or notional", "not both", "qty is cut to nine decimals", "notional too small", "notional too fine"),
        "choices": ("side unknown", "type unknown", "time in force unknown", "class unknown", "position intent unknown"),
        "client order id": ("client order id too long", "client order id is made up"),
        "options, algorithms": ("options are not traded", "advanced instructions are accepted"),
    },
    "3.3": {
        "status": ("open by default, newest first", "closed", "all"),
        "limits and directions": ("limit", "limit zero", "limit too large", "direction"),
        "bounds are exclusive": ("after and until are exclusive",),
        "filters": ("symbols", "side", "asset class", "asset classes are a list"),
        "cursors": ("cursor", "two cursors", "a cursor and a time"),
        "legs": (
            "legs are rolled up",
            "a limit counts parents when legs are rolled up",
            "legs that wait count as open, or as closed by switch",
        ),
    },
    "3.4": {
        "the object": ("the order object", "test_a_fill_tells_the_whole_order"),
        "expires_at": ("a day order expires with its session", "a gtc order expires ninety days later", "a gtc order lives ninety days"),
        "status of the answer": ("the answer of an open market", "the answer of a closed market"),
    },
    "3.5": {
        "market": ("a market order does not trade beyond its collar", "queued while closed, filled at the next open"),
        "stop": (
            "a stop is elected by a trade",
            "a print outside of the quote elects no stop",
            "a stop to buy is a limit with a little room",
        ),
        "room below fifty dollars": ("below fifty dollars the room is four percent",),
        "stop limit": ("a stop limit rests after its election",),
        "trailing stop": ("a trailing stop follows the best price and then sells at the market", "a trail in percent"),
        "ticks": ("tick below a dollar", "four decimals below a dollar"),
        "matrix of times in force": ("trailing stop ioc", "stop fok", "stop limit opg", "fractional ioc"),
        "day": ("a day order of the evening is for tomorrow", "an extended order lives until eight in the evening"),
        "opg": ("market on open after seven in the evening", "a limit on open that is not reached"),
        "cls": ("market on close after seven in the evening is for tomorrow", "cls until five minutes before the close, by switch"),
        "ioc and fok": ("an ioc order takes what is there", "a fok order takes all", "or nothing"),
        "fractions in extended hours": ("fractions in extended hours need an attribute",),
    },
    "3.6": {
        "unique for ever": ("duplicate client order id", "an id is never forgotten", "an id of a refused order is free"),
        "of a replacement": ("a client order id of its own", "a client order id that is taken"),
        "look up": ("look up by client order id", "look up what is unknown"),
    },
    "3.7": {
        "the usual cancel": ("cancel", "a cancel"),
        "a fill may win": ("a fill may win the race", "a cancel that hangs, and a fill that comes first"),
        "a replacement that is pending": ("a replacement that is pending refuses a cancel",),
        "at night": ("cancel at night is at once",),
        "groups": ("bracket: cancelling a leg cancels the other one", "bracket: cancelling the entry cancels all"),
        "refused by the market": ("the exchange refuses a cancel",),
        "asked twice": ("asking twice, and by switch refused",),
    },
    "3.8": {
        "a new order": ("replace", "a replacement"),
        "no guarantee": ("the old order may be filled first", "the exchange refuses a replacement"),
        "quantities": ("replace the quantity", "a fraction", "the quantity of a fractional order", "a notional order"),
        "inherited quantities": ("a quantity that is inherited is the whole of it", "what is left of it, by switch"),
        "the larger is held": ("the larger of the two orders is held",),
        "legs": ("a leg's price is replaced", "a leg's quantity is not", "test_oto_orders_may_be_closed_to_replacement"),
    },
    "3.9": {
        "requirements": ("oco: a market order", "oco: without a position", "oto: both exits", "oto: no exit", "bracket: ioc"),
        "exits wait for the whole entry": (
            "bracket: exits wait for the whole of the entry",
            "bracket: exits wake when the entry is filled",
        ),
        "one exit ends the other": ("bracket: the profit is taken, the loss leg goes", "oco: one exit ends the other"),
        "a profit taken in part": ("bracket: a profit taken in part leaves a smaller loss leg",),
        "sell entries": ("bracket: a short entry has its exits the other way round",),
        "a silent sibling, by switch": ("test_the_stream_may_be_silent_about_a_sibling",),
    },
    "4.1": {
        "the usual statuses": ("a market order fills", "a day order expires with the session", "a partial fill, then a cancel"),
        "the rare ones": (
            "an order is accepted for bidding, and then works",
            "an order is stopped, and then works",
            "an order is suspended, and then works",
            "an order is calculated, and then works",
            "an order is done for day, and then works",
        ),
        "refused after it was accepted": ("accepted, and then rejected by the venue",),
        "queued orders start": ("test_queued_orders_may_start_at_four",),
        "no other transition": ("test_only_the_transitions_of_the_table_are_made",),
    },
    "4.2": {
        "order of the events": ("a market order", "a partial fill", "an expiry", "an order of a closed market"),
        "restated": ("a split restates a resting gtc order: more shares at a lower price",),
        "broken and corrected": ("a trade bust", "a trade correction"),
        "refused requests": ("the exchange refuses a cancel", "the exchange refuses a replacement"),
    },
    "5.1": {
        "authentication": ("auth", "legacy auth", "bad keys", "listen before auth"),
        "listen replaces": ("listen", "listen to nothing"),
        "frames": ("test_frame_types", "test_opcodes_and_storms"),
        "errors": ("garbage", "binary garbage", "listen without a list"),
    },
    "5.2": {"members of an event": ("an event's own members", "test_a_fill_tells_the_whole_order")},
    "5.3": {
        "no replay": ("test_nothing_is_replayed",),
        "duplicates, losses, order": ("updates of one kind that are lost, and that come twice", "a fill before its acknowledgement"),
        "one connection": ("a second connection", "test_the_slot_of_a_broken_connection_stays_taken"),
        "null payloads": ("test_updates_are_lost_doubled_and_made_up",),
    },
    "5.4": {
        "events of trades": ("test_what_happens_is_told_and_can_be_replayed", "until needs since", "an id that is none"),
        "activities": ("test_activities_are_told_too",),
        "heartbeats and losses": ("test_a_silent_stream_says_that_it_lives", "test_a_slow_reader_is_told_what_it_lost"),
    },
    "6.1": {
        "session": ("welcome", "auth by message", "auth by headers", "test_authentication_has_ten_seconds"),
        "acknowledgements": ("the acknowledgement holds the whole state", "subscriptions add up", "unsubscribe"),
        "wildcards": ("test_wildcards_and_symbols_coexist",),
    },
    "6.2": {
        "encodings": ("test_data_messages", "test_frames_keep_their_opcode"),
        "deflate": ("test_deflate_and_limits_at_the_handshake_by_switch",),
    },
    "6.3": {
        "codes": ("400 no JSON", "401 not authenticated", "402 auth failed", "403 already authenticated", "405 symbol limit"),
        "more codes": ("406 connection limit", "409 feed not in the plan", "410 no such channel"),
        "slow clients": ("test_a_slow_client_is_told_and_dropped",),
    },
    "6.4": {
        "messages": ("a quote", "a trade", "a minute bar", "a daily bar", "limit bands"),
        "corrections": ("a correction follows the trades", "a cancel follows the trades"),
        "halts and pauses": ("a halt", "a limit state of fifteen seconds is a trading pause of five minutes"),
        "updated bars": ("test_hears_halts_corrections_and_updated_bars",),
    },
    "6.5": {
        "plans": ("409 feed not in the plan", "bars are not counted"),
        "the test feed": ("the test feed's acknowledgement", "the test feed runs at night"),
        "feeds of the night": ("a feed of the night",),
        "the delayed feed": ("test_the_delayed_feed_says_it_later",),
    },
    "7.1": {
        "bars, quotes, trades, auctions": ("daily bars", "one symbol's bars", "quotes", "trades", "auctions of a day that is over"),
        "latest and snapshots": ("latest bar", "latest quotes of many", "snapshots", "one snapshot"),
        "meta and screener": ("exchange codes", "condition codes", "most actives", "movers"),
        "events of corporate actions": ("test_corporate_actions_are_told",),
    },
    "7.2": {
        "time frames": ("hours", "weeks", "months", "sixty minutes", "five months", "digits of another script"),
        "bounds and limits": ("the last minute", "a limit too large", "test_the_default_window_is_today_until_now"),
        "adjustments": ("adjustments combine", "test_bars_are_adjusted_in_every_length"),
        "plans": (
            "a small plan: recent prices of the consolidated tape are refused",
            "a small plan: history ends a quarter of an hour ago",
        ),
        "feeds, currencies, dates": ("a feed that is none", "another currency", "as of a day that is none"),
        "paging": ("test_bars_come_in_pages_by_symbol_and_time", "a page token that is none"),
    },
    "7.3": {"marks of trades": ("a trade that was corrected", "a trade that was cancelled")},
    "7.4": {
        "questions": ("no corporate actions today", "a type that is none", "test_corporate_actions_come_in_pages"),
        "rows": ("what is announced is shown", "a split, a dividend and a new name as a fault"),
    },
    "8.1": {"account": ("a fresh account", "after a purchase", "the day-trading fields are gone", "and come back by switch")},
    "8.2": {"configurations": ("configurations", "a change", "a value that is none", "nothing is changed by what is refused")},
    "8.3": {
        "positions": ("a position", "no such position"),
        "closing": (
            "close",
            "close a percentage",
            "close by both",
            "close what orders hold",
            "close all, refused",
            "close all, orders first",
        ),
    },
    "8.4": {"assets": ("an asset", "by attributes", "of another exchange", "a status that is none", "what the broker changes shows")},
    "8.5": {
        "clock": ("clock, open", "clock, closed", "a clock that is wrong, behind and ahead"),
        "calendar": ("calendar", "half day", "by settlement date", "test_clock_and_calendar_say_so"),
        "version 3": ("clock of version 3", "calendar of version 3"),
    },
    "8.6": {
        "fills": ("a fill", "by order", "test_activities_are_paged"),
        "other rows": ("a dividend is paid, and the cash is what the activities say", "by category"),
    },
    "8.7": {"history": ("history", "history by the minute", "three bounds")},
    "8.8": {
        "watchlists": ("make one", "a name that is taken", "by id: add, take away, rename, forget", "by name: the same"),
        "announcements": ("announcements of more than ninety days", "what is announced is an announcement of version 2"),
    },
    "9.1": {
        "overnight": ("at night an extended limit order trades, and is of the next day", "the account may be kept out of the night"),
        "pre-market": ("before the market opens only extended limit orders trade",),
        "after hours": ("after hours only extended limit orders trade", "an extended order lives until eight in the evening"),
        "half days": ("test_orders_of_the_day_end_at_one",),
    },
    "9.2": {
        "multipliers": ("multiplier 1: cash", "multiplier 4: four times intraday", "test_four_times_intraday_two_overnight"),
        "reservations": ("an open buy holds buying power", "test_a_short_sale_reserves_three_percent_above_the_ask"),
        "replenishment": ("a sale frees nothing before it is done", "a cancel gives it back"),
        "concentration and gross cap": (
            "test_a_debit_in_one_holding_needs_half_of_it",
            "test_above_six_times_the_equity_only_closing_is_allowed",
        ),
        "margin calls": ("a deficit at the close is called", "test_an_unmet_call_freezes_the_account"),
        "flips": ("test_one_order_cannot_take_a_position_through_zero",),
        "borrowing": ("test_what_becomes_hard_to_borrow_ends_open_shorts_before_the_next_day",),
        "settlement and interest": (
            "test_proceeds_settle_the_next_day",
            "test_interest_on_a_debit_counts_nights_and_is_posted_monthly",
        ),
    },
    "9.3": {"the table": ("test_the_wash_trade_table", "wash: a bracket is exempt", "wash: a trailing stop is exempt")},
    "9.4": {
        "halts": (
            "a halted symbol takes orders and does not fill them",
            "the auction after a halt trades whatever the size",
            "the auction after a halt has one price for who buys and who sells",
        ),
        "splits": ("a split leaves complex orders as they are", "a reverse split cancels what rests"),
        "dividends": ("a dividend lowers a buy limit by what is paid",),
    },
    "9.5": {"fees": ("no fees by default", "fees are posted the next day, each rounded up, and leave the cash")},
    "10": {
        "fills": ("the paper engine fills any size at the quote", "test_the_paper_engine_fills_some_orders_in_part_by_seed"),
        "what is not simulated": ("dividends are not simulated unless they are asked for", "no fees by default"),
    },
}
