// The page of an asset: its partitions as a drawing that changes while it is open, and what is selected of them.
(() => {
const pane = $("#partitions"), range = $("#range");
const flat = spans => spans.flatMap(([shape, number]) => Array(number).fill(shape));
const day = text => Math.round(new Date(text + "T00:00Z") / 864e5);
const LONG = 6000;  // Characters: more is no address for every server, so it is sent as a form.
let drawing = null, chart = null, was = "";
window.addEventListener("submit", e => { if (e.target.id === "selbar" && range.value.length >= LONG) { e.target.method = "post"; e.target.action = pane.dataset.launch + "/plan"; } }, true);

// What is selected, as text that the address, the launch page and the command line take.
function selected(texts, number) {
  if (document.activeElement !== range) range.value = texts.map(quoted).join(",");
  const unit = pane.dataset.unit, open = $("#open-one"), plan = $("#plan-picked");
  $("#picked").textContent = number ? `${number.toLocaleString("en")} ${unit}${number === 1 ? "" : "s"} selected` : range.value ? "As written" : "Nothing selected";
  if (plan) plan.disabled = !range.value;
  open.hidden = number !== 1; if (number === 1) open.href = at(texts[0]);
  const address = new URL(location); range.value && range.value.length < LONG ? address.searchParams.set("select", range.value) : address.searchParams.delete("select"); history.replaceState(null, "", address);
}
const quoted = text => /[",]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;  // A comma stands between two.
const at = text => text.split("/").some(part => ["", ".", ".."].includes(part)) ? `${pane.dataset.root}?${new URLSearchParams({ key: text })}` : pane.dataset.root + text.split("/").map(encodeURIComponent).join("/");
function stretches(places, key) {
  const found = [], sorted = [...places].sort((a, b) => a - b);
  for (let i = 0; i < sorted.length; i++) { const from = sorted[i]; while (sorted[i + 1] === sorted[i] + 1) i++; found.push(from === sorted[i] ? key(from) : `${key(from)}:${key(sorted[i])}`); }
  return found;
}
function days(text) {  // 2026-02-05:2026-02-14,2026-03-01 as places in the calendar
  const found = new Set(), first = day(drawing.first), number = flat(drawing.spans).length;
  for (const part of text.split(",").map(t => t.trim()).filter(Boolean)) {
    const [from, to = from] = part.split(":"), a = day(from) - first, b = day(to) - first;
    if (Number.isFinite(a) && Number.isFinite(b)) for (let i = Math.max(0, a); i <= Math.min(b, number - 1); i++) found.add(i);
  }
  return found;
}
const cellText = ([x, y]) => drawing.across ? `${drawing.columns[x]}|${drawing.rows[y].name}` : `${drawing.rows[y].name}|${drawing.columns[x]}`;
const rowsOf = d => d.rows.map(row => ({ name: row.name, codes: flat(row.spans) }));

function begin() {
  const canvas = $("#cells-canvas"), data = $("#cells-data");
  if (!canvas || !data) return;
  was = data.textContent; drawing = JSON.parse(was);
  const open = text => location.assign(at(text));
  if (drawing.kind === "calendar") chart = FS.calendar(canvas, { codes: flat(drawing.spans), first: drawing.first, onpick: (places, key) => selected(stretches(places, key), places.size), onopen: open });
  else chart = FS.matrix(canvas, { rows: rowsOf(drawing), columns: drawing.columns, onpick: cells => selected(cells.map(cellText), cells.length), onopen: cell => open(cellText(cell)) });
}
function changed() {
  const data = $("#cells-data");
  if (chart && data && data.textContent !== was) {
    was = data.textContent; const next = JSON.parse(was);
    if (next.kind === drawing.kind && next.first === drawing.first && String(next.columns) === String(drawing.columns)) { drawing = next; chart.update(next.kind === "calendar" ? flat(next.spans) : rowsOf(next)); }
    else location.reload();  // Other days than those that are drawn.
  }
}
const plotted = new WeakMap();  // A canvas keeps its plot: another one would listen beside it for as long as the page is open.
function plots() {
  const data = $("#series-data"); if (!data) return;
  const all = JSON.parse(data.textContent);
  for (const canvas of $$("[data-series]")) {
    const values = all.series[canvas.dataset.series] ?? [], text = String(values), plot = plotted.get(canvas);
    if (!plot) plotted.set(canvas, FS.series(canvas, values, all.labels));
    else if (canvas.values !== text) plot.update(values, all.labels);
    canvas.values = text;
  }
}

if (pane) {
  begin();
  const told = new URLSearchParams(location.search).get("select") ?? "";
  const read = () => { const places = drawing?.kind === "calendar" ? days(range.value) : null; if (places) chart.pick(places); else chart?.clear(); selected(range.value.split(","), places?.size ?? 0); };
  range.value = told; if (told) read();
  range.addEventListener("input", read);
  let last = null;
  pane.addEventListener("click", e => {
    const box = e.target.closest?.("[data-pick]"); if (!box) return;
    const all = $$("[data-pick]", pane);
    if (e.shiftKey && last) { const [a, b] = [all.indexOf(last), all.indexOf(box)].sort((x, y) => x - y); for (const each of all.slice(a, b + 1)) each.checked = box.checked; }
    last = box; const texts = all.filter(each => each.checked).map(each => each.dataset.pick); selected(texts, texts.length);
  });
}
plots();
new MutationObserver(() => { changed(); plots(); }).observe($("main"), { childList: true, subtree: true, characterData: true });
})();
