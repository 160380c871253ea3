// The supervision tree: folds what is quiet, keeps the last minute of each mailbox, and can be frozen.
(() => {
const MINUTE = 60e3, POINTS = 60;
const tree = $("#tree"), frozen = $("#frozen"), note = $("#frozen-note"), quiet = $("#quiet"), freeze = $("#freeze");
const minutes = new Map(), opened = new Set();

// One point a second, the highest of it; processes that are gone are forgotten.
function remember(rows) {
  const now = Date.now(), seen = new Set();
  for (const row of rows) {
    const path = row.dataset.path, points = minutes.get(path) || minutes.set(path, []).get(path), second = Math.floor(now / 1000), last = points.at(-1), depth = +row.dataset.mail;
    seen.add(path);
    if (last?.at === second) last.depth = Math.max(last.depth, depth); else points.push({ at: second, depth });
    while (points.length > POINTS || points[0].at * 1000 < now - MINUTE) points.shift();
  }
  for (const path of minutes.keys()) if (!seen.has(path)) minutes.delete(path);
}
function line(points) {
  const peak = Math.max(...points.map(p => p.depth)), end = points.at(-1).at;
  if (!peak) return "";
  const at = p => `${(56 - (end - p.at) * 56 / POINTS).toFixed(1)},${(16 - p.depth * 14 / peak).toFixed(1)}`;
  return `<svg width="56" height="18" viewBox="0 0 56 18" aria-hidden="true"><polyline class="${peak > 9 ? "sk-wait" : "sk-ink"}" stroke-width="1.25" points="${points.map(at).join(" ")}"/></svg><span class="tiny dim num pk">${peak}</span>`;
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
  if (!frozen.hidden) shape($$("tr[data-path]", frozen));
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
