// A run: the timeline, which bars grow in by themselves; the log, which follows; the step that is looked at.
(() => {
const canvas = $("#gantt"), stream = $("#stream"), root = FS.data("shell-data").root, run = canvas.dataset.run, here = `${root}/runs/${run}`;
const { draw, tip, colour, esc, icon } = FS;
const WORD = { ok: "succeeded", run: "running", fail: "failed", wait: "waiting", skipd: "skipped", cancel: "cancelled", reused: "reused" };
const ASSET = 0, LABEL = 1, ATTEMPT = 2, SHAPE = 3, START = 4, LENGTH = 5, LANE = 6, WAIT = 7, COUNT = 8, NODE = 9, NODELANE = 10;
const query = () => new URLSearchParams(location.search);

// What is known: bars by number, as the server counts them; `detail` has those of the part that is looked at closely.
let head = null, bars = new Map(), detail = null, asked = null, by = query().get("by") === "node" ? "node" : "asset";
const parts = list => new Map(list.map(([n, ...bar]) => [n, bar]));
async function load() {
  const answer = await fetch(`${here}/bars?by=${by}`, { headers: { Accept: "application/json" } }).catch(() => null);
  if (answer?.ok) take(await answer.json());
}
function take(told) {
  if (told.from === null && told.by !== by) { load(); return; }
  if (told.from === null) { bars = parts(told.bars); detail = null; }
  else if (!head || told.from > head.version) { load(); return; }   // Something was missed: all of it, once.
  else for (const [n, ...bar] of told.bars) { bars.set(n, bar); detail?.set(n, bar); }
  if (head && told.version < head.version) return;
  head = { merged: head?.merged, ...told, at: performance.now() - told.now };
  for (const e of $$("[data-attempts]")) e.textContent = head.attempts === 1 ? "1 attempt" : head.attempts.toLocaleString("en") + " attempts";
  lay(); again(); look();
}
const now = () => head.end ?? performance.now() - head.at;

// Time without what nobody waits for: gaps of more than five times a usual attempt are drawn as a slit.
let gaps = [], view = null, bands = [], boxes = [], hover = null;
const TOP = 22, HEAD = 17;
let lane = 13, gap = 10;
function cut() {
  const spans = [...bars.values()].map(b => [b[START], b[LENGTH] < 0 ? now() : b[START] + b[LENGTH] + b[WAIT]]).sort((a, b) => a[0] - b[0]);
  const least = Math.max(5 * head.typical, (now() || 1) * .04, 1000); let end = 0; gaps = [];
  for (const [a, b] of spans) { if (a - end > least) gaps.push([end, a]); end = Math.max(end, b); }
  const idle = gaps.reduce((s, [a, b]) => s + b - a, 0), slit = ((head.eta ?? now()) - idle) * .02;
  gaps = gaps.map(([a, b]) => [a, b, Math.min(slit, b - a)]);
}
const flat = t => { let less = 0; for (const [a, b, w] of gaps) { if (t >= b) less += b - a - w; else if (t > a) { less += (t - a) * (1 - w / (b - a)); } } return t - less; };
const real = x => { let t = x; for (const [a, b, w] of gaps) { const start = flat(a); if (x >= start + w) t = b + (x - start - w); else if (x > start) return a + (x - start) * (b - a) / w; } return t; };
const whole = () => [0, Math.max(flat(head.eta ?? now()), 1) * 1.02];

function lay() {
  cut();
  const names = $(".lanes"), narrow = getComputedStyle(names).display === "none", of = by === "node" ? head.nodes.map(([node, lanes, count, runs]) => [node ?? "not on record", 0, lanes, runs ? runs.toLocaleString("en") + " running" : count.toLocaleString("en"), null]) : head.assets, all = of.reduce((s, a) => s + Math.max(1, a[2]), 0);
  const seg = $("[data-bands]"); seg.hidden = head.nodes.length < 2 && by === "asset"; for (const b of $$("button", seg)) b.setAttribute("aria-pressed", b.dataset.v === by);
  lane = all > 400 ? 3 : all > 160 ? 5 : all > 70 ? 8 : 13; gap = narrow ? 10 + HEAD : 10;
  let y = TOP; bands = of.map((a, i) => { const h = Math.max(1, a[2]) * lane + gap, band = { i, name: a[0], total: a[1], lanes: a[2], done: a[3], shape: a[4], y, h }; y += h; return band; });
  canvas.dataset.h = y + 4;
  names.style.height = y + 4 + "px";
  names.innerHTML = bands.map(b => `<div>${b.shape ? icon(b.shape) : ""}<span class="m cut">${esc(b.name)}</span><span class="n num">${b.total ? (b.total === 1 ? WORD[b.shape] || "queued" : b.done.toLocaleString("en") + " of " + b.total.toLocaleString("en")) : b.done}</span></div>`).join("");
  bands.forEach((b, i) => { names.children[i].style.top = b.y - 1 + "px"; names.children[i].style.height = Math.max(b.h, 22) + "px"; });
}
const day = t => new Date(head.origin + t), text = (t, n) => day(t).toISOString().slice(11, n);
const STEPS = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400].map(s => s * 1000);

const again = draw(canvas, (g, W, H) => {
  if (!head) return;
  const pal = {}, C = n => pal[n] ??= colour(n), [from, to] = view ?? whole(), X = t => (flat(t) - from) / (to - from) * W, font = getComputedStyle(document.body).fontFamily, at = now();
  const narrow = gap > 10, inset = 5 + (narrow ? HEAD : 0);
  boxes = []; g.textBaseline = "middle"; g.font = "500 11px " + font;
  const step = STEPS.find(s => s / (to - from) * W > 76) || STEPS.at(-1), off = head.origin % step;
  for (let x = Math.ceil((real(from) + off) / step) * step - off, last = -99; x < real(to); x += step) {
    if (gaps.some(([a, b]) => x > a && x < b)) { x = Math.ceil((gaps.find(([a, b]) => x > a && x < b)[1] + off) / step) * step - off - step; continue; }
    const p = X(x), words = text(x, step < 60000 ? 19 : 16), w = g.measureText(words).width;
    g.fillStyle = C("line"); g.fillRect(Math.round(p), TOP - 4, 1, H);
    if (p - w / 2 > Math.max(0, last) && p + w / 2 < W) { g.fillStyle = C("ink-3"); g.fillText(words, p - w / 2, 9); last = p + w / 2 + 6; }
  }
  for (const [a, b] of gaps) { const x = X(a), w = X(b) - x; g.fillStyle = C("sunken"); g.fillRect(x, TOP - 4, w, H); g.fillStyle = C("ink-3"); if (w > 20) g.fillText("⋯", x + w / 2 - 5, TOP + 2); }
  const nx = X(at), live = head.end === null;
  for (const b of bands) {
    if (b.y > TOP) { g.fillStyle = C("line"); g.fillRect(0, b.y - 1, W, 1); }
    if (narrow) { g.fillStyle = C("ink"); g.font = "600 11px " + font; g.fillText(b.name, 8, b.y + 12); const w = g.measureText(b.name).width; g.fillStyle = C("ink-3"); g.font = "500 11px " + font; g.fillText(b.total ? `${b.done} of ${b.total}` : b.done, 14 + w, b.y + 12); }
    if (live && head.eta && b.total > b.done) { g.fillStyle = C("sunken"); for (let l = 0; l < Math.max(1, b.lanes); l++) g.fillRect(nx, b.y + inset + l * lane + 1, Math.max(0, X(head.eta) - nx - l * 7 % 12), lane - 3); }
  }
  const picked = $(".logs").dataset.step || query().get("step") || "", attempt = +$(".logs").dataset.attempt;
  const thin = Math.max(lane - 3, 2); let colourNow = "";
  for (const bar of (detail ?? bars).values()) {
    const b = bands[bar[by === "node" ? NODE : ASSET]]; if (!b) continue;
    const end = bar[LENGTH] < 0 ? at : bar[START] + bar[LENGTH], shape = bar[SHAPE], x = X(bar[START]), y = b.y + inset + bar[by === "node" ? NODELANE : LANE] * lane + 1;
    if (x > W || X(end + bar[WAIT]) < -8) continue;
    if (!bar[ATTEMPT]) {
      g.strokeStyle = C("idle"); g.lineWidth = 1.3; const q = Math.min(8, thin);
      if (shape === "reused") { g.strokeStyle = C("ok"); g.beginPath(); g.arc(x, y + thin / 2, q / 2, 0, 7); g.stroke(); }
      else { g.strokeRect(x - q / 2, y + (thin - q) / 2, q, q); g.beginPath(); g.moveTo(x - q / 3, y + thin / 2 + q / 3); g.lineTo(x + q / 3, y + thin / 2 - q / 3); g.stroke(); }
      boxes.push([x - 5, y, 10, thin, bar]); continue;
    }
    const w = Math.max(1.5, X(end) - x - .8), fill = shape === "ok" ? "ok-area" : shape === "cancel" ? "idle" : shape;
    boxes.push([x, y, Math.max(w, 4), thin, bar]);
    if (fill !== colourNow) { g.fillStyle = C(fill); colourNow = fill; }
    if (shape === "cancel") g.fillRect(x, y + thin / 2 - 1, w, 2);
    else if (w < 3 || thin < 6) g.fillRect(x, y, w, thin);
    else { g.beginPath(); g.roundRect(x, y, w, thin, 2); g.fill(); }
    const named = w > 90 && thin > 8 && (bar[COUNT] > 1 ? bar[COUNT] + " attempts" : bar[LABEL]);
    if (named) g.font = "500 9px " + font;
    const free = named ? x + 8 + Math.min(g.measureText(named).width, w - 30) : x;  // What is drawn in a bar begins behind its name.
    if (shape === "run") { g.fillStyle = C("surface"); colourNow = ""; for (let k = free + 3; k < x + w - 3; k += 6) g.fillRect(k, y + thin / 2 - .75, 3, 1.5); }
    if (shape === "fail" && thin > 6) { g.strokeStyle = C("surface"); g.lineWidth = 1.3; const m = named ? x + w - 8 : x + w / 2, q = Math.min(2.6, w / 3), c = y + thin / 2; g.beginPath(); g.moveTo(m - q, c - q); g.lineTo(m + q, c + q); g.moveTo(m + q, c - q); g.lineTo(m - q, c + q); g.stroke(); }
    if (bar[WAIT]) { g.strokeStyle = C("fail"); g.lineWidth = 1.3; g.setLineDash([1.5, 2.5]); g.beginPath(); g.moveTo(x + w + 1, y + thin / 2); g.lineTo(X(end + bar[WAIT]) - 1, y + thin / 2); g.stroke(); g.setLineDash([]); }
    if (named) { g.save(); g.beginPath(); g.rect(x, y, Math.min(w, free - x + (shape === "run" || shape === "fail" ? 0 : w)), thin); g.clip(); g.fillStyle = C("surface"); colourNow = ""; g.fillText(named, x + 4, y + thin / 2 + .5); g.restore(); }
    const chosen = picked && bar[COUNT] === 1 && same(bar, picked) && (!attempt || bar[ATTEMPT] === attempt);
    if (chosen || bar === hover) { g.strokeStyle = C(chosen ? "accent" : "ink"); g.lineWidth = 1.75; g.beginPath(); g.roundRect(x - 2, y - 2, w + 4, thin + 4, 3); g.stroke(); }
  }
  if (live) {
    g.fillStyle = C("accent"); g.fillRect(nx, TOP - 6, 1.5, H);
    g.font = "600 10px " + font; const label = "now " + text(at, 16), lw = g.measureText(label).width + 10, lx = Math.max(lw / 2, Math.min(W - lw / 2, nx));
    g.beginPath(); g.roundRect(lx - lw / 2, 1, lw, 16, 4); g.fill(); g.fillStyle = C("bg"); g.fillText(label, lx - lw / 2 + 5, 9.5);
  }
});
const name = bar => { const a = head.assets[bar[ASSET]][0]; return bar[LABEL].startsWith(a) ? bar[LABEL] : a; };
const ran = bar => head.nodes[bar[NODE]]?.[0] ?? "a node that is not on record";
const plain = text => text.replace(/\[(d|i|s|dt|ndt):/, "[");
const same = (bar, picked) => plain(picked) === plain(bar[LABEL]);

// Looking closer loads the attempts that were drawn as one.
function look() {
  if (!view || !head.merged) { if (detail) { detail = null; again(); } return; }
  const wanted = view.map(x => Math.round(real(x))), key = wanted.join(":") + ":" + head.version + by;
  if (asked === key) return; asked = key;
  clearTimeout(look.timer);
  look.timer = setTimeout(async () => { const answer = await fetch(`${here}/bars?first=${wanted[0]}&last=${wanted[1]}&by=${by}`).catch(() => null); if (answer?.ok && view) { const told = await answer.json(); if (told.by !== by) return; detail = parts(told.bars); again(); } }, 150);
}
function zoom(k, around) { const [a, b] = view ?? whole(), at = around ?? (a + b) / 2; view = k ? [at + (a - at) * k, at + (b - at) * k] : null; if (view) { const w = whole(); if (view[1] - view[0] >= w[1]) view = null; } again(); look(); }
function band(v) { by = v; detail = asked = null; const at = new URL(location); if (by === "node") at.searchParams.set("by", by); else at.searchParams.delete("by"); history.replaceState({}, "", at); load(); }
document.addEventListener("fs:pick", e => { const v = e.detail; if (v === "zin") zoom(.5); if (v === "zout") zoom(2); if (v === "zfit") zoom(0); if (v === "asset" || v === "node") band(v); });
const find = e => { const box = canvas.getBoundingClientRect(), x = e.clientX - box.left, y = e.clientY - box.top; return boxes.findLast(q => x >= q[0] - 1 && x <= q[0] + q[2] + 1 && y >= q[1] - 1 && y <= q[1] + q[3] + 1)?.[4] ?? null; };
let drag = null, moved = false;
canvas.addEventListener("pointermove", e => {
  if (drag !== null) { const [a, b] = view ?? whole(), k = (b - a) / canvas.clientWidth * (drag - e.clientX); if (Math.abs(drag - e.clientX) > 2) moved = true; if (view) { view = [a + k, b + k]; drag = e.clientX; again(); } return; }
  const bar = find(e); if (bar !== hover) { hover = bar; again(); }
  canvas.style.cursor = bar ? "pointer" : "";
  const took = bar && (((bar[LENGTH] < 0 ? now() - bar[START] : bar[LENGTH]) / 1000).toFixed(1) + " s");
  tip(bar && (bar[COUNT] > 1 ? `<b>${bar[COUNT]} attempts ${by === "node" ? "on" : "of"} ${esc(by === "node" ? ran(bar) : head.assets[bar[ASSET]][0])}</b> ${WORD[bar[SHAPE]]}<br><span class="dim">within ${took} from ${text(bar[START], 19)} · zoom in to see each</span>` : `<b>${esc(bar[LABEL])}</b> ${WORD[bar[SHAPE]]}<br><span class="dim">${bar[ATTEMPT] ? `attempt ${bar[ATTEMPT]} · ${took} · ${head.nodes[bar[NODE]]?.[0] ? esc(ran(bar)) + " · " : ""}` : ""}from ${text(bar[START], 19)} UTC${bar[WAIT] ? ` · next attempt after ${bar[WAIT] / 1000} s` : ""}</span>`), e.clientX, e.clientY);
});
canvas.addEventListener("pointerdown", e => { drag = e.clientX; moved = false; });
addEventListener("pointerup", e => { if (drag === null) return; drag = null; if (moved) { look(); return; } if (e.target !== canvas) return; const bar = find(e); if (!bar) return; if (bar[COUNT] > 1) { zoom(.25, flat(bar[START] + bar[LENGTH] / 2)); return; } const to = new URLSearchParams({ step: bar[LABEL] }); if (bar[ATTEMPT]) to.set("attempt", bar[ATTEMPT]); inspect(`${here}?${to}`); });
canvas.addEventListener("pointerleave", () => { hover = null; tip(); again(); });
canvas.addEventListener("wheel", e => { if (!e.ctrlKey && !e.metaKey) return; e.preventDefault(); const box = canvas.getBoundingClientRect(), [a, b] = view ?? whole(); zoom(Math.exp(e.deltaY * .002), a + (e.clientX - box.left) / box.width * (b - a)); }, { passive: false });
setInterval(() => { if (head && head.end === null && !document.hidden) { cut(); again(); } }, 1000);

// The step that is looked at: the same address in the bar, the panel and the log of it in the page, and its stream.
async function inspect(address, push = true) {
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok) { if (!await FS.unreachable()) location.assign(address); return; }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (push) { const at = new URL(address, location); if (by === "node") at.searchParams.set("by", by); history.pushState({}, "", at); }
  $("#chosen").replaceChildren(...page.querySelector("#chosen").children);
  const fresh = page.querySelector("#stream"), old = $("#stream");
  begin(fresh); listen(fresh); old.replaceWith(fresh); htmx.process(fresh);
  logs(); again(); FS.say($("#failure h2")?.textContent ?? "");
}
document.addEventListener("click", e => { const link = e.target.closest("a[data-inspect]"); if (!link || e.ctrlKey || e.metaKey || e.shiftKey || e.button) return; e.preventDefault(); inspect(link.href); });
addEventListener("popstate", () => inspect(location.href, false));

// The log: plain lines; it follows until one scrolls up.
const MOST = 4000; let follow = true;
const box = () => $(".logs");
function begin(element) {
  const at = element.getAttribute("hx-sse:connect"), shown = box(), more = new URLSearchParams({ _log: shown.dataset.last, _step: shown.dataset.step, _attempt: shown.dataset.attempt });
  element.setAttribute("hx-sse:connect", at + (at.includes("?") ? "&" : "?") + more);
}
function line([n, at, level, words, more]) {
  const row = document.createElement("div"), time = document.createElement("time"), mark = document.createElement("i"), span = document.createElement("span");
  row.dataset.n = n; row.dataset.l = level; time.textContent = at; mark.textContent = level; span.textContent = words; row.append(time, mark, span);
  if (more) { const d = document.createElement("details"), s = document.createElement("summary"), p = document.createElement("pre"); s.textContent = more.split("\n").length + " lines"; p.textContent = more; d.append(s, p); span.append(d); }
  return row;
}
function add(told) {
  const shown = box(), last = +shown.dataset.last;
  if (told.from > last) { miss(last); return; }
  const rows = told.rows.filter(row => row[0] > last);
  if (told.to > last) shown.dataset.last = told.to;
  if (!rows.length) return;
  put(rows.map(line).filter(fits));
}
function put(rows) {
  const shown = box(); shown.append(...rows);
  while (shown.children.length > MOST) shown.firstElementChild.remove();
  for (const row of rows) row.className = { E: "e", W: "w" }[row.dataset.l] ?? "";
  counted(); if (follow) shown.scrollTop = shown.scrollHeight;
}
const wanted = () => ({ contains: $(".flt").value.trim(), level: $(".lvl").value });
const RANK = { "": "DIWE", warning: "WE", error: "E" };
const fits = row => { const { contains, level } = wanted(); return RANK[level].includes(row.dataset.l) && row.textContent.toLowerCase().includes(contains.toLowerCase()); };
async function lines(after, looked) {
  const shown = box(), more = Object.entries(looked).filter(([, value]) => value);
  const answer = await fetch(`${here}/lines?${new URLSearchParams([["step", shown.dataset.step], ["attempt", shown.dataset.attempt], ["after", after], ...more])}`).catch(() => null);
  return answer?.ok ? answer.json() : null;
}
async function miss(after) { const found = await lines(after, {}); if (!found) return; add(found); if (found.more) miss(found.to); }

// What is looked for is looked for in all that is kept, not in what happens to be here. Without a filter it is as in the page.
let search = 0;
async function look_for() {
  const mine = ++search, shown = box(), looked = wanted(), all = !looked.contains && !looked.level, earlier = $("[data-earlier]"); let after = 0, found;
  if (earlier) earlier.hidden = !all;
  if (all) {
    const answer = await fetch(location.href).catch(() => null), fresh = answer?.ok && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".logs");
    if (mine === search && shown === box() && fresh) { shown.dataset.last = fresh.dataset.last; shown.replaceChildren(); put([...fresh.children]); }
    return;
  }
  const rows = [];
  do {
    found = await lines(after, looked);
    if (mine !== search || shown !== box()) return;
    if (!found) { $("[data-nolog]").textContent = "The log cannot be read at this moment."; $("[data-nolog]").hidden = false; return; }
    rows.push(...found.rows.map(line)); after = found.to; rows.splice(0, Math.max(0, rows.length - MOST));
  } while (found.more);
  // What is said from now on comes behind all that was looked through; what comes twice is left out.
  shown.replaceChildren(); shown.dataset.last = Math.max(after, +shown.dataset.last);
  put(rows);
}
function counted() {
  const shown = box(), { contains, level } = wanted(), none = $("[data-nolog]"), number = shown.children.length, looked = contains || level;
  none.textContent = looked ? "No line is like that." : "Nothing was logged."; none.hidden = number > 0 || Boolean($("#held .logs"));
  for (const row of $$("#held .logs > div")) row.hidden = !fits(row);
  $("[data-found]").textContent = looked ? `${number.toLocaleString("en")}${number >= MOST ? " or more" : ""} line${number === 1 ? "" : "s"}` : "";
}
function following(on) { follow = on; $("[data-follow]").setAttribute("aria-pressed", on); if (on) box().scrollTop = box().scrollHeight; }
function logs() {
  const shown = box();
  shown.addEventListener("scroll", () => { const end = shown.scrollHeight - shown.scrollTop - shown.clientHeight < 24; if (end !== follow) { follow = end; $("[data-follow]").setAttribute("aria-pressed", end); } });
  let typed; $(".flt").addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(look_for, 250); }); $(".lvl").addEventListener("change", look_for);
  $("[data-follow]").addEventListener("click", () => following(!follow));
  $("[data-copy-log]").addEventListener("click", () => { navigator.clipboard?.writeText([...shown.children].map(r => [...r.children].map(c => c.textContent).join(" ")).join("\n")); FS.say("Copied"); });
  for (const row of shown.children) row.className = { E: "e", W: "w" }[row.dataset.l] ?? "";
  counted(); following(true);
}
function listen(element) {
  element.addEventListener("bars", e => take(JSON.parse(e.detail.data)));
  element.addEventListener("log", e => add(JSON.parse(e.detail.data)));
}

// What is cancelled or retried is named by its number, which changes while one reads.
function numbers() {
  const said = $("#prog .legend")?.dataset; if (!said) return;
  for (const e of $$("[data-undone]", $("#acts"))) e.textContent = (+said.undone).toLocaleString("en");
  for (const e of $$("[data-left]", $("#acts"))) e.textContent = said.left === "1" ? "1 step" : (+said.left).toLocaleString("en") + " steps";
}
document.addEventListener("htmx:after:swap", () => { numbers(); counted(); });
new MutationObserver(numbers).observe($("#prog"), { childList: true, subtree: true, attributes: true, attributeFilter: ["data-left", "data-undone"] });
new MutationObserver(() => { if ($$("[data-left],[data-undone]", $("#acts")).some(e => !/\d/.test(e.textContent))) numbers(); }).observe($("#acts"), { childList: true, subtree: true, characterData: true });
document.addEventListener("keydown", e => {
  if (e.metaKey || e.ctrlKey || e.altKey || /INPUT|TEXTAREA|SELECT/.test(e.target.tagName) || $("dialog[open]") || !$("#single").checked) return;
  if (e.key === "c") $("#do-cancel")?.focus();
  if (e.key === "r") $("#do-retry")?.focus();
  if (e.key === "f") following(!follow);
});
begin(stream); listen(stream); logs(); numbers(); load();
})();
