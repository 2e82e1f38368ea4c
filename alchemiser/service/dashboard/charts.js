// Two small drawings in SVG, made of elements only, so that no text from the daemon is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

const path = (points) => points.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");

// The last sessions of one series in a line of text's height.
export function spark(values, label) {
  const box = svg("svg", { class: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none", role: "img", "aria-label": label });
  if (values.length < 2) return box;
  const low = Math.min(...values), high = Math.max(...values), range = high - low || 1;
  box.append(svg("path", { d: path(values.map((value, at) => [(at / (values.length - 1)) * 100, 22 - ((value - low) / range) * 20])) }));
  return box;
}

// Equity above, the fall from the peak below, on one axis of sessions; the nearest session follows the pointer.
// The drawing is as wide as there is room for, in pixels, so that its text keeps its size on a phone.
export function equityChart(rows, room, say) {
  const width = Math.max(300, Math.round(room)), height = 300, left = 70, right = 10, split = 205, foot = 275;
  const box = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": "equity-caption" });
  if (rows.length === 0) {
    box.append(svg("text", { x: left, y: 40 }, "No session has ended yet."));
    return box;
  }
  const equity = rows.map((row) => Number(row.equity));
  const low = Math.min(...equity), high = Math.max(...equity), range = high - low || high * 0.01 || 1;
  const deepest = Math.max(...rows.map((row) => row.drawdown), 0.001);
  const x = (at) => left + (rows.length === 1 ? 0.5 : at / (rows.length - 1)) * (width - left - right);
  const y = (value) => 15 + (1 - (value - low) / range) * (split - 35);
  const fall = (share) => split + (share / deepest) * (foot - split);
  for (const part of [0, 0.5, 1]) {
    const value = low + part * range;
    box.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }));
    box.append(svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, Math.round(value).toLocaleString("en-US")));
  }
  box.append(svg("text", { x: left - 6, y: foot + 4, "text-anchor": "end" }, `-${(deepest * 100).toFixed(1)} %`));
  const line = rows.map((row, at) => [x(at), y(equity[at])]);
  const under = rows.map((row, at) => [x(at), fall(row.drawdown)]);
  box.append(svg("path", { class: "area", d: `${path(line)}L${x(rows.length - 1)} ${split - 20}L${x(0)} ${split - 20}Z` }));
  box.append(svg("path", { class: "curve", d: path(line) }));
  box.append(svg("path", { class: "fall", d: `M${x(0)} ${split}${path(under).replace("M", "L")}L${x(rows.length - 1)} ${split}Z` }));
  box.append(svg("text", { x: left, y: height - 6 }, rows[0].session));
  box.append(svg("text", { x: width - right, y: height - 6, "text-anchor": "end" }, rows[rows.length - 1].session));
  const cursor = svg("line", { class: "cursor", x1: -9, x2: -9, y1: 10, y2: foot });
  box.append(cursor);
  box.addEventListener("pointermove", (event) => {
    const at = ((event.clientX - box.getBoundingClientRect().left) / box.clientWidth) * width;
    const nearest = Math.max(0, Math.min(rows.length - 1, Math.round(((at - left) / (width - left - right)) * (rows.length - 1))));
    cursor.setAttribute("x1", x(nearest));
    cursor.setAttribute("x2", x(nearest));
    say(rows[nearest]);
  });
  return box;
}
