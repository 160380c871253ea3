// The supervision tree: folds what is quiet, keeps the last minute of each mailbox and of each node's load, and can be frozen.
(() => {
const MINUTE = 60e3, POINTS = 60;
const tree = $("#tree"), frozen = $("#frozen"), note = $("#frozen-note"), quiet = $("#quiet"), freeze = $("#freeze");
const minutes = new Map(), opened = new Set(), nodes = $("#nodes");

// One point a second, the highest of it; processes that are gone are forgotten.
function remember(rows) {
  const now = Date.now(), seen = new Set(), told = rows.map(row => [row.dataset.path, +row.dataset.mail]);
  for (const each of $$("[data-load]", nodes)) if (each.dataset.load) told.push(["node " + each.dataset.node, +each.dataset.load]);
  for (const [path, depth] of told) {
    const points = minutes.get(path) || minutes.set(path, []).get(path), second = Math.floor(now / 1000), last = points.at(-1);
    seen.add(path);
    if (last?.at === second) last.depth = Math.max(last.depth, depth); else points.push({ at: second, depth });
    while (points.length > POINTS || points[0].at * 1000 < now - MINUTE) points.shift();
  }
  for (const path of minutes.keys()) if (!seen.has(path)) minutes.delete(path);
}
function drawn(points, peak, width, look) {
  const end = points.at(-1).at, at = p => `${(width - (end - p.at) * width / POINTS).toFixed(1)},${(16 - Math.min(1, p.depth / peak) * 14).toFixed(1)}`;
  return `<svg width="${width}" height="18" viewBox="0 0 ${width} 18" aria-hidden="true"><polyline class="${look}" stroke-width="1.25" points="${points.map(at).join(" ")}"/></svg>`;
}
function line(points) {
  const peak = Math.max(...points.map(p => p.depth));
  return peak ? `${drawn(points, peak, 56, peak > 9 ? "sk-wait" : "sk-ink")}<span class="tiny dim num pk">${peak}</span>` : "";
}
function shape(rows) {
  const folded = [];
  for (const row of rows) {
    const path = row.dataset.path, cell = row.querySelector(".minute");
    if (row.dataset.kind === "actor" || row.dataset.kind === "supervisor") cell.innerHTML = line(minutes.get(path) || [{ at: 0, depth: 0 }]);
    const hidden = folded.some(above => path.startsWith(above + "/"));
    row.hidden = hidden || (quiet.checked && row.dataset.quiet === "1");
    const button = row.querySelector(".fold"), open = opened.has(path);
    if (!button) continue;
    button.textContent = open ? "fold" : `${row.dataset.folds} quiet`;
    button.setAttribute("aria-expanded", open);
    if (!open) folded.push(path);
  }
}
const watch = new MutationObserver(again);
function again() {
  watch.disconnect();
  const rows = $$("tr[data-path]", tree);
  remember(rows); shape(rows);
  for (const each of $$("[data-load]", nodes)) { const points = minutes.get("node " + each.dataset.node); if (points) each.innerHTML = drawn(points, 1, 72, "sk-ink"); }
  if (!frozen.hidden) shape($$("tr[data-path]", frozen));
  watch.observe(nodes, { childList: true, subtree: true });
  watch.observe(tree, { childList: true, subtree: true, attributes: true, characterData: true });
}
document.addEventListener("click", e => {
  const row = e.target.closest(".fold")?.closest("tr");
  if (!row) return;
  opened.delete(row.dataset.path) || opened.add(row.dataset.path);
  again();
});
quiet.addEventListener("change", () => {
  const here = new URL(location.href);
  quiet.checked ? here.searchParams.set("only", "not-quiet") : here.searchParams.delete("only");
  history.replaceState(null, "", here);
  again();
});
freeze.addEventListener("click", () => {
  const on = frozen.hidden;
  frozen.hidden = note.hidden = !on; tree.hidden = on;
  frozen.replaceChildren(...(on ? [tree.firstElementChild.cloneNode(true)] : []));
  note.textContent = on ? `Frozen at ${new Date().toLocaleTimeString([], { hour12: false })}. What happens meanwhile is not shown in the tree.` : "";
  freeze.textContent = on ? "Go on" : "Freeze"; freeze.setAttribute("aria-pressed", on);
  again();
});
setInterval(again, 1000);
again();
})();
