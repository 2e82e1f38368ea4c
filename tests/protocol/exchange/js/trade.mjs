// Alpaca's own JavaScript client, unmodified but for its addresses, trades and streams against an exchange.
// Prints one JSON object that says what it saw; anything unexpected ends it with a stack trace and a code that is not 0.
// Usage: node trade.mjs '{"rest": ..., "trading_stream": ..., "data_stream": ..., "key_id": ..., "secret_key": ...}'

import { Alpaca, ApiError } from "@alpacahq/alpaca-trade-api";

const at = JSON.parse(process.argv[2]);
const credentials = { keyId: at.key_id, secret: at.secret_key };
// The client has no option for its base address; its own hook for requests puts the exchange in the place of both of Alpaca's hosts.
const there = (url, init) => fetch(String(url).replace(/^https:\/\/[^/]+/, at.rest), init);
const alpaca = new Alpaca({ ...credentials, fetchApi: there, rateLimit: false, retry: false });

// The market is steered through the control endpoints, which are no part of Alpaca's protocol.
async function control(path, body) {
  const answer = await fetch(`${at.rest}/_exchange/${path}`, { method: "POST", body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
}

// Collects what a stream says until there is as much as is waited for.
class Heard {
  #items = [];
  #waiting = [];
  add = (item) => {
    this.#items.push(item);
    this.#waiting = this.#waiting.filter((check) => !check(this.#items));
  };
  until(enough, what) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${what}: heard only ${JSON.stringify(this.#items)}`)), 10_000);
      const check = (items) => {
        if (!enough(items)) return false;
        clearTimeout(timer);
        resolve(items.slice());
        return true;
      };
      if (!check(this.#items)) this.#waiting.push(check);
    });
  }
}

async function authenticated(stream, what) {
  stream.connect();
  const result = await stream.whenAuthenticated();
  if (!result.authenticated) throw new Error(`${what}: ${JSON.stringify(result)}`);
}

const report = {};
const updates = new Heard();
const orders = alpaca.trading.stream({ url: at.trading_stream });
orders.onTradeUpdate(updates.add);
await authenticated(orders, "order stream");
orders.subscribeTradeUpdates();

const quotes = new Heard();
const bars = new Heard();
const market = alpaca.marketData.stockStream({ url: at.data_stream });
market.onQuote(quotes.add);
market.onBar(bars.add);
await authenticated(market, "market stream");
market.subscribeForQuotes(["SPY"]);
market.subscribeForBars(["SPY"]);

// What listens is listening once the exchange has acknowledged it.
for (let seen = "", tries = 0; !(seen.includes("listening") && seen.includes("subscription")); tries++) {
  if (tries > 1000) throw new Error(`no acknowledgement: ${seen}`);
  seen = await (await fetch(`${at.rest}/_exchange/log`)).text();
}

await control("quote", { symbol: "SPY", bid: 499.98, bid_size: 1000, ask: 500.0, ask_size: 1000 });
report.quote = (await quotes.until((heard) => heard.length > 0, "a quote"))[0];

report.account = (await alpaca.trading.account.getAccount()).status;
const bought = await alpaca.trading.orders.market({ symbol: "SPY", qty: 3, side: "buy", clientOrderId: "js-1" });
const resting = await alpaca.trading.orders.limit({ symbol: "SPY", qty: 1, side: "buy", limitPrice: 400 });
await control("clock", { advance_seconds: 1 });
await updates.until((heard) => heard.some((update) => update.event === "fill"), "a fill");

await alpaca.trading.orders.deleteOrderByOrderID({ orderId: resting.id });
await control("clock", { advance_seconds: 1 });
const heard = await updates.until((items) => items.some((update) => update.event === "canceled"), "a cancel");
report.bought = heard.filter((update) => update.order.id === bought.id).map((update) => update.event);
report.cancelled = heard.filter((update) => update.order.id === resting.id).map((update) => update.event);

const bracket = await alpaca.trading.orders.bracket({
  symbol: "TECL", qty: 1, side: "buy", takeProfit: { limitPrice: 9999 }, stopLoss: { stopPrice: 1 },
});
report.legs = bracket.legs.length;

report.positions = (await alpaca.trading.positions.getAllOpenPositions()).map((position) => [position.symbol, String(position.qty)]);
report.found = (await alpaca.trading.orders.getOrderByOrderID({ orderId: bought.id })).clientOrderId;
report.listed = (await alpaca.trading.orders.getAllOrders({ status: "all" })).length;
report.watchlist = (await alpaca.trading.watchlists.postWatchlist({ createWatchlistRequest: { name: "js", symbols: ["SPY"] } })).name;
report.assets = (await alpaca.trading.assets.getV2Assets({})).map((asset) => asset.symbol);
report.calendar = (await alpaca.trading.calendar.legacyCalendar({ start: new Date("2025-03-03"), end: new Date("2025-03-04") })).length;
report.isOpen = (await alpaca.trading.clock.legacyClock()).isOpen;
try {
  await alpaca.trading.orders.market({ symbol: "NOPE", qty: 1, side: "buy" });
} catch (error) {
  if (!(error instanceof ApiError)) throw error;
  report.refusal = [error.status, error.code];
}

const history = await alpaca.marketData.getStockBarsFor("SPY", { timeframe: "1Day", start: new Date("2025-02-24"), end: new Date("2025-03-01") });
report.bars = history.length;
const snapshots = await alpaca.marketData.stocks.stockSnapshots({ symbols: "SPY" });
report.snapshot = Object.keys(snapshots.SPY ?? {}).length > 0;

await control("clock", { advance_seconds: 60 });
report.bar = (await bars.until((items) => items.length > 0, "a bar"))[0];

orders.disconnect();
market.disconnect();
process.stdout.write(JSON.stringify(report), () => process.exit(0));
