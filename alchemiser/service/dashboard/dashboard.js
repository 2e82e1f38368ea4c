// The dashboard: asks the API, listens to the stream, draws. Everything is made with textContent and elements; nothing is evaluated.

import { equityChart, spark } from "/assets/charts.js";

const RESOURCES = ["status", "positions", "orders", "pnl", "strategies", "history"];
const EVENTS_KEPT = 500;
const HEALTH_EVERY = 5000;
const known = { health: null };
const events = [];
let token = sessionStorage.getItem("token") ?? "";
let newest = -1;
// How often the daemon was lost. An answer to what was asked before the loss is old, and is not drawn as if it were live.
let losses = 0;

const id = (name) => document.getElementById(name);
const dollars = (value, digits = 2) => value === null || value === undefined ? "–" : Number(value).toLocaleString("en-US",
  { style: "currency", currency: "USD", signDisplay: "negative", minimumFractionDigits: digits, maximumFractionDigits: digits });
// Rounded, and without the sign of what rounds to nothing.
const fixed = (value, digits) => (Number(Number(value).toFixed(digits)) || 0).toFixed(digits);
const percent = (share, digits = 2) => share === null || share === undefined || Number.isNaN(share) ? "–" : `${fixed(share * 100, digits)} %`;
const points = (value) => value === null || value === undefined ? "–" : `${fixed(value, 2) > 0 ? "+" : ""}${fixed(value, 2)}`;
const shares = (value) => Number(value).toLocaleString("en-US", { maximumFractionDigits: 9 });
const time = (value) => value ? new Date(value).toISOString().replace("T", " ").slice(0, 19) : "–";
const signed = (value) => Number(value) > 0 ? "good" : Number(value) < 0 ? "bad" : "";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== "") made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function table(columns, rows, empty) {
  if (rows.length === 0) return element("p", { class: "quiet" }, empty);
  const head = columns.map(([title, , kind = ""]) => element("th", { scope: "col", class: kind }, title));
  const body = rows.map((row) => element("tr", {}, ...columns.map(([, value, kind = ""]) => {
    const found = value(row);
    return element("td", { class: kind }, found instanceof Node ? found : String(found ?? "–"));
  })));
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
}

async function ask(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { ...options, headers: { ...headers, ...options.headers }, cache: "no-store" });
  const body = await response.json();
  if (!response.ok && body.error) throw new Error(body.error.message);
  return body;
}

// --- what is shown ---

function showHealth() {
  const health = known.health;
  const word = health.live ? (health.ready ? "ready" : "not ready") : "not live";
  id("health").textContent = word;
  id("health").className = `badge ${health.live && health.ready ? "good" : "bad"}`;
  document.title = `${word}: The Alchemiser`;
  id("reasons").hidden = health.reasons.length === 0;
  id("reasons-title").textContent = health.live && health.ready ? "Alarms" : "Why it is not ready";
  id("reasons-body").replaceChildren(table([
    ["reason", (row) => row.code], ["facts", (row) => row.text, "words"], ["since", (row) => time(row.since)],
    ["what to do", (row) => row.remedy, "words"]], health.reasons, ""));
}

function showMoney() {
  const { status, pnl, history = [] } = known;
  const before = history.filter((row) => row.session !== status.session.date).at(-1);
  const today = before && pnl.equity ? Number(pnl.equity) - Number(before.equity) : null;
  const peak = Math.max(Number(pnl.equity ?? 0), ...history.map((row) => Number(row.equity)));
  const figures = [
    ["Equity", dollars(pnl.equity), ""], ["Cash", dollars(pnl.cash), ""],
    ["Since the last session", today === null ? "–" : dollars(today), signed(today)],
    ["Realised", dollars(pnl.realised), signed(pnl.realised)], ["Unrealised", dollars(pnl.unrealised), signed(pnl.unrealised)],
    ["Below the peak", pnl.equity && peak ? percent(1 - Number(pnl.equity) / peak) : "–", ""],
    ["Trading", status.trading.state, status.trading.state === "active" ? "good" : "bad"],
    ["Session", `${status.session.date ?? "–"} ${status.session.is_open ? "open" : "closed"}`, ""],
  ];
  id("money").replaceChildren(...figures.map(([name, value, kind]) =>
    element("div", {}, element("dt", {}, name), element("dd", { class: kind }, value))));
  const caption = id("equity-caption");
  id("equity").replaceChildren(equityChart(history, id("equity").clientWidth, (row) => {
    caption.textContent = `${row.session}: ${dollars(row.equity)}, ${percent(row.drawdown)} below the peak`;
  }));
  id("where").textContent = `${status.mode ?? ""} account ${status.account_number ?? "–"}`;
}

function steps(tree) {
  const made = element("div");
  if (tree.path?.length) made.append(element("ol", { class: "path" }, ...tree.path.map((step) =>
    element("li", { class: step.is_fragile ? "warn" : "" }, step.text, step.is_fragile ? " (close)" : ""))));
  if (tree.symbol) made.append(element("p", {}, `→ ${tree.symbol} ${percent(tree.share, 1)}`));
  for (const child of tree.children ?? tree.parts ?? []) made.append(element("details", {},
    element("summary", {}, `${percent(child.share, 1)} ${child.symbol ?? child.name ?? "part"}`), steps(child)));
  return made;
}

function decision(row) {
  if (row.status === "failed") return element("span", { class: "bad" }, row.reason);
  if (!row.weights) return element("span", { class: "quiet" }, "no decision yet");
  const weights = Object.entries(row.weights).map(([symbol, weight]) => `${symbol} ${percent(weight, 1)}`).join(", ");
  const why = row.tree ? steps(row.tree)
    : row.explanation.length ? element("ol", { class: "path" }, ...row.explanation.map((line) => element("li", {}, line)))
      : element("p", { class: "quiet" }, "The strategy gave no explanation.");
  return element("details", {}, element("summary", {}, weights || "cash"), why);
}

function showStrategies() {
  const { pnl, history = [] } = known;
  const rows = known.strategies;
  const opened = new Set([...id("strategies").querySelectorAll("details[open] > summary")].map((one) => one.textContent));
  id("strategies").replaceChildren(table([
    ["strategy", (row) => row.name], ["share", (row) => percent(row.allocation, 1), "number"],
    ["profit", (row) => { const total = pnl.strategies[row.name]?.total;
      return element("span", { class: signed(total) }, dollars(total)); }, "number"],
    ["sessions", (row) => spark(history.slice(-60).map((day) => Number(day.profit[row.name] ?? 0)), `profit of ${row.name} by session`)],
    ["decided", (row) => time(row.decided_at)], ["wants", decision, "words"]], rows, "There are no strategies."));
  for (const summary of id("strategies").querySelectorAll("summary")) {
    if (opened.has(summary.textContent)) summary.parentElement.open = true;
  }
}

function largestPart(row) {
  const parts = Object.entries(row.parts ?? {}).map(([name, amount]) => [name, Number(amount.bps)]).filter(([, bps]) => Number(fixed(bps, 2)));
  const [name, bps] = parts.sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]))[0] ?? [];
  return name ? `${name} ${points(bps)}` : "none";
}

function showBacktest() {
  const day = known.pnl.live_against_backtest;
  id("backtest-about").textContent = day ? `Basis points of each strategy's capital; an alarm beyond ${Number(day.limit_bps)}.` : "";
  const rows = day ? Object.entries(day.strategies).map(([name, one]) => ({ name, ...one })) : [];
  id("backtest").replaceChildren(table([
    ["strategy", (row) => row.name], ["session", () => day.session],
    ["live", (row) => points(row.live_bps), "number"], ["backtest", (row) => points(row.backtest_bps), "number"],
    ["difference", (row) => element("span", { class: day.beyond.includes(row.name) ? "bad" : "" }, points(row.difference_bps)), "number"],
    ["largest part", (row) => row.reason ? `not compared: ${row.reason}` : largestPart(row), "words"],
  ], rows, "No session has been compared with its backtest yet: that is done when one has ended."));
}

function showPositions() {
  const equity = Number(known.pnl.equity ?? 0);
  const wanted = {};
  for (const strategy of known.strategies) {
    for (const [symbol, weight] of Object.entries(strategy.weights ?? {})) wanted[symbol] = (wanted[symbol] ?? 0) + weight * strategy.allocation;
  }
  const held = new Set(known.positions.map((row) => row.symbol));
  const missing = Object.keys(wanted).filter((symbol) => !held.has(symbol) && wanted[symbol] > 0)
    .map((symbol) => ({ symbol, quantity: 0, price: null, value: 0, broker_quantity: 0, strategies: {} }));
  const weight = (row) => equity && row.value !== null ? Number(row.value) / equity : null;
  const drift = (row) => weight(row) === null ? null : weight(row) - (wanted[row.symbol] ?? 0);
  id("positions").replaceChildren(table([
    ["symbol", (row) => row.symbol], ["shares", (row) => shares(row.quantity), "number"], ["price", (row) => dollars(row.price), "number"],
    ["value", (row) => dollars(row.value), "number"], ["weight", (row) => percent(weight(row)), "number"],
    ["target", (row) => percent(wanted[row.symbol] ?? 0), "number"], ["drift", (row) => percent(drift(row)), "number"],
    ["broker", (row) => Number(row.broker_quantity) === Number(row.quantity) ? "same"
      : element("span", { class: "bad" }, shares(row.broker_quantity)), "number"],
    ["per strategy", (row) => Object.entries(row.strategies).map(([name, quantity]) => `${name} ${shares(quantity)}`).join(", ") || "none", "words"],
  ], [...known.positions, ...missing], "Nothing is held."));
}

function showOrders() {
  const { status, orders } = known;
  const rebalance = status.rebalance;
  id("rebalance").textContent = rebalance ? `${rebalance.id}: ${rebalance.state}, ${rebalance.intents} wanted changes`
    + (rebalance.reason ? ` (${rebalance.reason})` : "") : "No rebalance yet.";
  const working = rebalance?.state === "working";
  id("progress").hidden = !working;
  if (working) {
    const ours = orders.filter((row) => row.client_order_id.includes(rebalance.id));
    const value = (row, quantity) => Number(quantity) * Number(row.average_price ?? row.limit_price ?? row.sent_mid ?? 1);
    const filled = ours.reduce((sum, row) => sum + value(row, row.cumulative_quantity), 0);
    const open = ours.reduce((sum, row) => sum + value(row, row.leaves_quantity), 0);
    id("progress").value = filled + open ? filled / (filled + open) : 0;
  }
  id("orders").replaceChildren(table([
    ["time", (row) => time(row.intended_at)], ["symbol", (row) => row.symbol], ["side", (row) => row.side],
    ["quantity", (row) => shares(row.quantity), "number"], ["filled", (row) => shares(row.cumulative_quantity), "number"],
    ["limit", (row) => dollars(row.limit_price), "number"], ["average", (row) => dollars(row.average_price, 4), "number"],
    ["state", (row) => row.state], ["step", (row) => [row.tactic, row.step].filter(Boolean).join(" ")],
    ["slippage bp", (row) => row.arrival_bps === null || row.arrival_bps === undefined ? "–" : fixed(row.arrival_bps, 1), "number"],
    ["reason", (row) => row.reason ?? "", "words"]], [...orders].reverse(), "No orders in this session."));
}

function words(event) {
  const hidden = new Set(["sequence", "at", "type", "correlation", "causation"]);
  return Object.entries(event).filter(([key]) => !hidden.has(key))
    .map(([key, value]) => `${key}=${typeof value === "object" ? JSON.stringify(value) : value}`).join(" ").slice(0, 240);
}

function showEvents() {
  const kind = id("kind").value, text = id("text").value.toLowerCase();
  const found = events.filter((event) => (!kind || event.type === kind)
    && (!text || JSON.stringify(event).toLowerCase().includes(text))).slice(-200).reverse();
  id("events").replaceChildren(table([
    ["", (row) => row.sequence, "number"], ["at", (row) => time(row.at)], ["event", (row) => row.type], ["", words, "words"]],
  found, events.length ? "No event matches." : "No events yet."));
}

function keep(event) {
  events.push(event);
  if (events.length > EVENTS_KEPT) events.shift();
  newest = Math.max(newest, event.sequence);
  if (![...id("kind").options].some((option) => option.value === event.type)) {
    const after = [...id("kind").options].slice(1).find((option) => option.value > event.type);
    id("kind").insertBefore(element("option", { value: event.type }, event.type), after ?? null);
  }
}

// --- asking and listening ---

async function refresh() {
  const asked = losses;
  const answers = await Promise.all(RESOURCES.map((name) => ask(`/api/v1/${name}`)));
  if (asked !== losses) return;
  RESOURCES.forEach((name, at) => { known[name] = answers[at][name] ?? answers[at]; });
  showMoney(); showStrategies(); showBacktest(); showPositions(); showOrders();
  id("link").textContent = `live, as of ${time(answers[0].as_of)} UTC`;
  id("link").className = "quiet";
}

let due = null;
function refreshSoon() {
  due ??= setTimeout(() => { due = null; refresh().catch(lost); }, 250);
}

async function look() {
  const asked = losses;
  try {
    const health = await ask("/healthz");
    if (asked !== losses) return;
    known.health = health;
    showHealth();
  } catch (error) {
    lost(error);
  }
}

function lost(error) {
  losses += 1;
  id("health").textContent = "no answer";
  document.title = "no answer: The Alchemiser";
  id("health").className = "badge bad";
  id("link").textContent = `Not connected: what is shown is of ${id("link").dataset.since ?? "earlier"}. ${error.message}`;
  id("link").className = "bad";
}

function take(name, data) {
  if (name === "lagged") { begin().catch(lost); return; }
  if (name === "closed" || !data.type) return;
  keep(data);
  if (id("follow").checked) showEvents();
  id("link").dataset.since = time(data.at);
  refreshSoon();
  if (/Gap|Stream|Reconcil|Trading|Started|Stopp|Ledger|Recovery|Parked|Cleared/.test(data.type)) look();
}

async function listen() {
  const response = await fetch(`/api/v1/stream?after=${Math.max(newest, 0)}`, { headers: token ? { Authorization: `Bearer ${token}` } : {} });
  if (!response.ok) throw new Error(`the stream answered ${response.status}`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the stream ended");
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").filter((line) => !line.startsWith(":")).map((line) => line.split(/: (.*)/s).slice(0, 2)));
      if (fields.data) take(fields.event, JSON.parse(fields.data));
    }
  }
}

async function begin() {
  const found = await ask("/api/v1/events?limit=200");
  events.length = 0;
  newest = -1;
  found.events.forEach(keep);
  showEvents();
  await Promise.all([look(), refresh()]);
}

async function forever() {
  for (;;) {
    try {
      await begin();
      await listen();
    } catch (error) {
      lost(error);
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

// --- control ---

function consequences(action) {
  const open = known.orders.filter((row) => Number(row.leaves_quantity) > 0);
  const orders = open.length ? `${open.length} open orders (${[...new Set(open.map((row) => row.symbol))].join(", ")})` : "no open orders";
  return {
    pause: [`No new rebalance begins until you resume. ${orders} go on.`],
    resume: [`Trading is ${known.status.trading.state}; it becomes active again and the next decision trades.`],
    rebalance: ["All strategies decide now, and this is what would be sent:"],
    halt: [`Trading stops at once and stays stopped until you resume. To be cancelled: ${orders}. Positions are kept.`],
    flatten: ["Everything that the strategies hold is sold at the market:"],
  }[action];
}

async function details(action) {
  if (action === "flatten") return table([["symbol", (row) => row.symbol], ["shares", (row) => shares(row.quantity), "number"],
    ["value", (row) => dollars(row.value), "number"]], known.positions.filter((row) => Number(row.quantity) > 0), "Nothing is held.");
  if (action !== "rebalance") return "";
  const plan = await ask("/api/v1/plan");
  const rows = plan.orders;
  return element("div", {}, table([["side", (row) => row.side], ["symbol", (row) => row.symbol],
    ["shares", (row) => shares(row.quantity), "number"], ["about", (row) => dollars(row.notional), "number"]], rows, plan.reason || "Nothing: every position is inside its band."));
}

async function confirmAction(action) {
  id("confirm-title").textContent = `${action[0].toUpperCase()}${action.slice(1)}?`;
  id("confirm-yes").textContent = `Yes, ${action}`;
  id("confirm-reason").value = "";
  try {
    id("confirm-body").replaceChildren(...consequences(action).map((text) => element("p", {}, text)), await details(action));
  } catch (error) {
    id("confirm-body").replaceChildren(element("p", { class: "bad" }, error.message));
  }
  id("confirm").returnValue = "";
  id("confirm").showModal();
  id("confirm-no").focus();
  await new Promise((resolve) => id("confirm").addEventListener("close", resolve, { once: true }));
  if (id("confirm").returnValue !== "yes") return;
  const reason = id("confirm-reason").value || "asked for on the dashboard";
  try {
    const answer = await ask(`/api/v1/${action}`, { method: "POST", body: JSON.stringify({ reason }) });
    const { action: done, accepted, ...rest } = answer;
    id("answer").textContent = `${done}: ${accepted ? "accepted" : "refused"} ${Object.entries(rest).map(([key, value]) => `${key} ${value}`).join(", ")}`;
    id("answer").className = "good";
  } catch (error) {
    id("answer").textContent = `${action} was refused: ${error.message}`;
    id("answer").className = "bad";
  }
  refreshSoon();
}

function showControl() {
  id("control").hidden = !token;
  id("unlock").textContent = token ? "Lock control" : "Unlock control";
}

for (const button of document.querySelectorAll("[data-action]")) button.addEventListener("click", () => confirmAction(button.dataset.action));
id("unlock").addEventListener("click", () => {
  if (token) {
    token = "";
    sessionStorage.removeItem("token");
    showControl();
  } else {
    id("token").value = "";
    id("token-dialog").returnValue = "";
    id("token-dialog").showModal();
  }
});
id("token-dialog").addEventListener("close", () => {
  if (id("token-dialog").returnValue !== "yes" || !id("token").value) return;
  token = id("token").value;
  id("token").value = "";
  sessionStorage.setItem("token", token);
  showControl();
  begin().catch(lost);
});
id("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
});
id("kind").addEventListener("change", showEvents);
id("text").addEventListener("input", showEvents);
id("filter").addEventListener("submit", (event) => event.preventDefault());
showControl();
setInterval(look, HEALTH_EVERY);
addEventListener("resize", () => { if (known.pnl) showMoney(); });
forever();
