"""The frame of a tear sheet: its HTML, its style, and the few lines of script that hand the figures to Plotly.

The policy in the head forbids the page every connection, so that a file from somebody else can be opened without a thought.
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<title>{title}: backtest</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1><p>{summary}</p></header>
<dl>{tiles}</dl>
{charts}
{tables}
<script type="application/gzip" id="decisions">{decisions}</script>
<script>{plotly}</script>
<script>const specs = {{{specs}}};
{script}</script>
</body>
</html>
"""

DECISION = """<section id="decision"><h2>Decision of a day
<input type="date" id="day" aria-label="day"> <button type="button" id="before" aria-label="the session before">&lt;</button>
<button type="button" id="after" aria-label="the session after">&gt;</button>
<small class="hint">click on a day in a chart or a table</small></h2>
<p id="held"></p><div id="tree"></div></section>"""
"""Where the path of a day is shown; the page has it for every session."""

STYLE = """
:root { --paper: #ffffff; --ink: #1b1f24; --faint: #5d6673; --line: #d9dde3; --tile: #f5f6f8; color-scheme: light dark; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e6e8eb; --faint: #9aa4b1; --line: #30363d; --tile: #1c2127; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; }
h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: center; }
header p, small, footer { color: var(--faint); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .5rem; margin: 1rem 0; }
dl div { background: var(--tile); border-radius: 6px; padding: .5rem .75rem; overflow: hidden; }
dt { color: var(--faint); font-size: .8rem; }
dd { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
section { overflow-x: auto; }
#months { min-width: 38rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
th { color: var(--faint); font-weight: 600; }
summary { cursor: pointer; margin: 1.5rem 0 .5rem; font-weight: 600; }
button { font: inherit; font-size: .85rem; color: inherit; background: var(--tile); border: 1px solid var(--line); border-radius: 6px;
  padding: .1rem .6rem; cursor: pointer; }
button[aria-pressed="true"] { border-color: #0072b2; box-shadow: inset 0 0 0 1px #0072b2; }
code { overflow-wrap: anywhere; }
input { font: inherit; font-size: .9rem; color: inherit; background: var(--tile); border: 1px solid var(--line); border-radius: 6px;
  padding: .05rem .4rem; }
#held { margin: .25rem 0; color: var(--faint); }
#tree h3 { margin: .75rem 0 .25rem; font-size: 1rem; }
#tree ul { margin: 0; padding-left: 1.1rem; border-left: 1px solid var(--line); list-style: none; }
#tree li { padding: .1rem 0; font-size: .9rem; overflow-wrap: anywhere; }
#tree li.held { font-weight: 600; }
#tree li::before { content: attr(data-line); display: inline-block; min-width: 3.2rem; color: var(--faint);
  font-variant-numeric: tabular-nums; }
#tree .no { color: var(--faint); }
@media print {
  body { padding: 0; max-width: 700px; font-size: 12px; }
  dl { grid-template-columns: repeat(4, 1fr); }
  .chart { overflow: hidden; min-width: 0; }
  section, dl { break-inside: avoid; overflow: visible; }
  section#decision { break-inside: auto; }
  button, .hint, details:not([open]) { display: none; }
  input { border: 0; background: none; padding: 0; }
  h2 { break-after: avoid; }
}
"""

SCRIPT = """
const dark = matchMedia('screen and (prefers-color-scheme: dark)');
const config = {displayModeBar: false, responsive: true};
function themed(layout, isPrinted) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name, paper) => isPrinted ? paper : style.getPropertyValue(name).trim();
  const ink = colour('--ink', '#1b1f24'), line = colour('--line', '#d9dde3'), tile = colour('--tile', '#ffffff');
  const result = {...layout, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', font: {...layout.font, color: ink},
    hoverlabel: {bgcolor: tile, bordercolor: line, font: {color: ink}}};
  if (isPrinted) result.width = 700;  // what fits on a sheet of A4 or Letter without being scaled down
  for (const key of Object.keys(layout)) {
    if (/^[xy]axis/.test(key)) result[key] = {...layout[key], gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true};
  }
  return result;
}
function draw(isPrinted) {
  for (const [name, spec] of Object.entries(specs)) {
    Plotly.react(name, spec.data, themed(spec.layout, isPrinted === true), config);
  }
}
document.getElementById('log').addEventListener('click', event => {
  const isLog = event.target.getAttribute('aria-pressed') !== 'true';
  event.target.setAttribute('aria-pressed', isLog);
  specs.equity.layout.yaxis = {...specs.equity.layout.yaxis, type: isLog ? 'log' : 'linear', autorange: true};
  draw();
});
dark.addEventListener('change', () => draw());
addEventListener('beforeprint', () => draw(true));
addEventListener('afterprint', () => {
  draw();
  requestAnimationFrame(() => Object.keys(specs).forEach(name => Plotly.Plots.resize(name)));  // the window has its width back by then
});
draw();
"""

DECISION_SCRIPT = """
const sessions = specs.equity.data[0].x, dayInput = document.getElementById('day');
let decisions = null, chosen = sessions.length - 1;
function element(tag, text, parent, cls) {
  const made = document.createElement(tag);
  if (text !== null) made.textContent = text;
  if (cls) made.className = cls;
  parent.append(made);
  return made;
}
const percent = value => (100 * value).toFixed(2) + ' %';
function grow(branch, parent) {
  const list = element('ul', null, parent);
  for (const [line, text, holds] of branch.path) {
    element('li', text, list, holds === true ? 'yes' : holds === false ? 'no' : '').dataset.line = line;
  }
  if (branch.symbol) element('li', `${branch.symbol} ${percent(branch.share)}`, list, 'held').dataset.line = '';
  for (const part of branch.parts || []) {
    grow(part, element('li', `${percent(part.share)} of the whole`, list));
  }
}
function show() {
  const day = sessions[chosen], tree = document.getElementById('tree');
  dayInput.value = day;
  const held = specs.allocation.data.map(trace => [trace.name, trace.y[chosen]]).filter(([, share]) => share > 5e-7);
  const said = held.map(([name, share]) => `${name} ${percent(share)}`).join(', ');
  document.getElementById('held').textContent = `held at the close of ${day}: ${said}`;
  tree.replaceChildren();
  for (const decided of decisions[chosen]) {
    element('h3', decided.strategy, tree);
    if (decided.reason) element('p', `no target: ${decided.reason}`, tree);
    if (decided.tree) grow(decided.tree, tree);
    for (const note of decided.notes || []) element('p', note, tree);
    const wanted = Object.entries(decided.weights || {}).map(([symbol, share]) => `${symbol} ${percent(share)}`);
    if (wanted.length && !decided.tree) element('p', wanted.join(', '), tree, 'held');
  }
  const line = {type: 'line', x0: day, x1: day, yref: 'paper', y0: 0, y1: 1, line: {dash: 'dot', width: 1, color: '#8c8c8c'}};
  specs.equity.layout.shapes = [line];
  draw();
}
function choose(place) {
  if (place < 0 || place >= sessions.length) return;
  chosen = place;
  history.replaceState(null, '', '#' + sessions[place]);
  show();
}
function chooseDay(day) {
  const later = sessions.findIndex(session => session > day);
  choose(Math.max(0, (later < 0 ? sessions.length : later) - 1));
}
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return JSON.parse(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).text());
}
unpack(document.getElementById('decisions').textContent).then(found => {
  decisions = found;
  dayInput.min = sessions[0];
  dayInput.max = sessions[sessions.length - 1];
  dayInput.addEventListener('change', () => { if (dayInput.value) chooseDay(dayInput.value); });
  document.getElementById('before').addEventListener('click', () => choose(chosen - 1));
  document.getElementById('after').addEventListener('click', () => choose(chosen + 1));
  for (const name of ['equity', 'rolling', 'allocation'].filter(name => name in specs)) {
    document.getElementById(name).on('plotly_click', event => chooseDay(String(event.points[0].x).slice(0, 10)));
  }
  document.addEventListener('click', event => {
    const cell = event.target.closest('td');
    if (cell && /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(cell.textContent)) {
      chooseDay(cell.textContent);
      document.getElementById('decision').scrollIntoView();
    }
  });
  const linked = location.hash.slice(1);
  if (/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(linked)) chooseDay(linked); else show();
});
"""
