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
<script>{plotly}</script>
<script>const specs = {{{specs}}};
{script}</script>
</body>
</html>
"""

STYLE = """
:root { --paper: #ffffff; --ink: #1b1f24; --faint: #5d6673; --line: #d9dde3; --tile: #f5f6f8; color-scheme: light dark; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e6e8eb; --faint: #9aa4b1; --line: #30363d; --tile: #1c2127; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; }
h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; display: flex; gap: .75rem; align-items: center; }
header p, small, footer { color: var(--faint); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .5rem; margin: 1rem 0; }
dl div { background: var(--tile); border-radius: 6px; padding: .5rem .75rem; overflow: hidden; }
dt { color: var(--faint); font-size: .8rem; }
dd { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
section { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
th { color: var(--faint); font-weight: 600; }
summary { cursor: pointer; margin: 1.5rem 0 .5rem; font-weight: 600; }
button { font: inherit; font-size: .85rem; color: inherit; background: var(--tile); border: 1px solid var(--line); border-radius: 6px;
  padding: .1rem .6rem; cursor: pointer; }
button[aria-pressed="true"] { border-color: #0072b2; box-shadow: inset 0 0 0 1px #0072b2; }
code { overflow-wrap: anywhere; }
@media print {
  body { padding: 0; max-width: none; font-size: 11px; }
  section, dl { break-inside: avoid; overflow: visible; }
  button, .hint, details:not([open]) { display: none; }
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
dark.addEventListener('change', draw);
addEventListener('beforeprint', () => draw(true));
addEventListener('afterprint', () => draw());
draw();
"""
