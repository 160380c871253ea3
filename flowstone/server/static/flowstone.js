// The shell: theme, keys, palette, tooltips, rows. Pages add their own drawings (charts.js, graph.js).
const $ = (q, at = document) => at.querySelector(q), $$ = (q, at = document) => [...at.querySelectorAll(q)];
const FS = window.FS = {
  data: id => JSON.parse(document.getElementById(id).textContent),
  say: text => { $("#say").textContent = text; },
  colour: name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim(),
  // Drawings register here and are drawn again when the theme or their size changes.
  draw(canvas, paint) {
    const again = () => {
      const box = canvas.parentElement.getBoundingClientRect(), width = Math.floor(canvas.dataset.w || box.width), height = +canvas.dataset.h || Math.floor(box.height);
      if (!width) return;
      const dpr = devicePixelRatio || 1;
      canvas.width = width * dpr; canvas.height = height * dpr; canvas.style.width = width + "px"; canvas.style.height = height + "px";
      const g = canvas.getContext("2d"); g.setTransform(dpr, 0, 0, dpr, 0, 0); g.clearRect(0, 0, width, height);
      paint(g, width, height);
    };
    new ResizeObserver(again).observe(canvas.parentElement);
    document.addEventListener("fs:theme", again);
    canvas.again = again;
    return again;
  },
  tip(html, x, y) {
    const tip = $("#tip");
    if (!html) { tip.classList.remove("on"); return; }
    tip.innerHTML = html; tip.classList.add("on");
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.min(x + 14, innerWidth - box.width - 8) + "px";
    tip.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18) + "px";
  },
  esc: text => String(text).replace(/[&<>"]/g, c => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]),
  icon: name => `<svg class="i ${name}" viewBox="0 0 16 16" aria-hidden="true"><use href="#${name}"/></svg>`,
};

// The key beside which the others are pressed has a name of its own where there is an Apple on it.
if (/Mac|iP(hone|ad)/.test(navigator.platform)) for (const each of $$("[data-mod]")) each.textContent = each.textContent.replace(/Ctrl ?/, "⌘");

// Whatever changes something carries the word that only a page of ours knows: htmx and forms.
const csrf = () => $("meta[name=csrf]").content;
document.addEventListener("htmx:config:request", e => { const asked = e.detail.ctx.request; if (asked.method !== "GET") asked.headers["X-CSRF-Token"] = csrf(); });
document.addEventListener("submit", e => {
  const form = e.target;
  if (form.method !== "post") return;
  const field = $("input[name=csrf]", form) || form.appendChild(Object.assign(document.createElement("input"), { type: "hidden", name: "csrf" }));
  field.value = csrf();
}, true);
// Whoever is logged out while a page is open comes back to it by the login page.
for (const kind of ["htmx:sse:error", "htmx:response:error"]) document.addEventListener(kind, e => { if ((e.detail.status || e.detail.ctx?.response?.status) === 401) location.reload(); });

function theme(next) {
  const root = document.documentElement;
  if (next) { root.dataset.theme = next; try { localStorage.setItem("theme", next); } catch {} }
  const word = $("[data-theme-name]"); if (word) word.textContent = root.dataset.theme === "dark" ? "Dark" : "Light";
  if (next) document.dispatchEvent(new Event("fs:theme"));
}
const flip = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");

const shell = FS.data("shell-data"), palette = $("#palette");
const open = dialog => { dialog.dispatchEvent(new Event("fs:open")); dialog.showModal(); };
for (const dialog of $$("dialog")) dialog.addEventListener("click", e => { if (e.target === dialog) dialog.close(); });

document.addEventListener("click", e => {
  const act = e.target.closest("[data-act]")?.dataset.act;
  if (act === "palette") open(palette); if (act === "help") open($("#help")); if (act === "theme") flip();
  const press = e.target.closest(".seg button");
  if (press) { for (const b of $$("button", press.parentElement)) b.setAttribute("aria-pressed", b === press); press.dispatchEvent(new CustomEvent("fs:pick", { bubbles: true, detail: press.dataset.v })); }
  if (e.target.closest("[data-copy]")) { navigator.clipboard?.writeText(e.target.closest("[data-copy]").dataset.copy); FS.say("Copied"); }
});

// What the phone's bar has no room for closes when one looks elsewhere.
const rest = $(".rest");
document.addEventListener("click", e => { if (rest?.open && !e.target.closest(".rest>summary")) rest.open = false; });
document.addEventListener("keydown", e => { if (e.key === "Escape" && rest?.open) { rest.open = false; $("summary", rest).focus(); } });

// Keys never fire while typing. What j and k walk is in rows.js.
let g = 0;
document.addEventListener("keydown", e => {
  if ((e.metaKey || e.ctrlKey) && e.key.toLowerCase() === "k") { e.preventDefault(); open(palette); return; }
  if (e.metaKey || e.ctrlKey || e.altKey || /INPUT|TEXTAREA|SELECT/.test(e.target.tagName) || $("dialog[open]") || !$("#single").checked) return;
  const page = shell.keys[e.key];
  if (Date.now() - g < 900 && page) { location.assign(shell.root + page); g = 0; return; }
  if (e.key === "g") g = Date.now();
  if (e.key === "?") open($("#help"));
  if (e.key === "t") flip();
  if (e.key === "/") { const find = $("main [type=search]"); if (find) { e.preventDefault(); find.focus(); } }
  if (e.key === "j" || e.key === "k") FS.rows.walk(e.key === "j" ? 1 : -1);
  else if (e.key === "Enter" && !e.target.closest("a, button, summary")) FS.rows.open();
  else if (e.key === "x") $(".sel [data-pick]")?.click();
  else if (e.key === "l") ($("#plan-picked:enabled") ?? $("main .head a.primary"))?.click();
  else FS.rows.press(e.key);
});
const single = $("#single");
try { single.checked = localStorage.getItem("keys") !== "off"; } catch {}
single.addEventListener("change", () => { try { localStorage.setItem("keys", single.checked ? "on" : "off"); } catch {} });

// A question that somebody has opened stays open when its block is sent again.
let asking = false;
document.addEventListener("click", e => { const ask = e.target.closest(".ask>summary")?.parentElement; if (ask) asking = !ask.open; });
document.addEventListener("htmx:after:swap", () => { const ask = $(".ask"); if (ask && ask.open !== asking) ask.open = asking; });

// Hints: any element with data-tip, and texts that there is no room for.
document.addEventListener("pointerover", e => {
  const told = e.target.closest?.("[data-tip]"), cut = e.target.closest?.(".cut, .tbl td"), text = told ? told.dataset.tip : cut && cut.scrollWidth > cut.clientWidth + 1 ? cut.innerText : "";
  if (text) FS.tip(FS.esc(text.length > 600 ? text.slice(0, 599) + "…" : text), e.clientX, e.clientY);
});
document.addEventListener("pointerout", e => { if (e.target.closest?.("[data-tip], .cut, .tbl td")) FS.tip(); });

theme();
