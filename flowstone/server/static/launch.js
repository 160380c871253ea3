// The page of Launch: the plan is asked for again 150 ms after a change, and the address keeps what is chosen.
(() => {
const form = $("#launch");
if (!form) return;
const range = $("#range");
let waits = 0, asks = 0;
function address() {
  const fields = new FormData(form);
  for (const name of ["seen", "csrf", "shown"]) fields.delete(name);
  for (const [name, value] of [...fields]) if (name.startsWith("config.") && !value.trim()) fields.delete(name);
  if (!fields.has("upstream")) fields.set("upstream", "no");
  return `${form.action}?${new URLSearchParams(fields)}`;
}
const long = to => to.length > 6000;  // Too long for an address: it is sent as a form, and the address keeps the asset.
function plan(to) {
  if (!long(to)) return fetch(to, { headers: { Accept: "text/html" } });
  return fetch(`${form.action}/plan`, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "text/html", "X-CSRF-Token": $("meta[name=csrf]").content } });
}
async function ask() {
  const mine = ++asks, to = address();
  const answer = await plan(to).catch(() => null);
  if (mine !== asks) return;
  if (!answer?.ok) { await FS.unreachable(); FS.say("The plan cannot be had now"); form.removeAttribute("aria-busy"); return; }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (mine !== asks) return;
  history.replaceState(history.state, "", long(to) ? `${to.split("?")[0]}?${new URLSearchParams({ asset: form.elements.asset.value })}` : to);
  const focus = document.activeElement, name = focus?.name, value = focus?.value;
  for (const id of ["config", "planned", "summary", "go", "typed", "chosen", "unread", "now"]) {
    const next = page.getElementById(id), old = document.getElementById(id);
    if (next && old && !(id === "config" && old.contains(focus))) old.replaceWith(next);  // Who types goes on typing.
  }
  for (const field of $$("[name^='config.'], [name=partitions]", form)) {
    if (page.querySelector(`[name="${CSS.escape(field.name)}"][aria-invalid]`)) field.setAttribute("aria-invalid", "true"); else field.removeAttribute("aria-invalid");
  }
  if (name && !focus.isConnected) $$(`[name="${name}"]`, form).find(e => e.value === value)?.focus();
  // Its stream is that of what is shown now.
  const fresh = page.getElementById("stream"), stream = $("#stream");
  if (stream && fresh) { stream.replaceWith(fresh); htmx.process(fresh); } else if (fresh) { document.body.append(fresh); htmx.process(fresh); } else stream?.remove();
  form.removeAttribute("aria-busy"); compare();
}
// What is shown is what is launched: a plan that has become another one says so.
function compare() {
  const now = $("#now [data-fingerprint]"), seen = $("[name=seen]", form), note = $("#outdated");
  const other = Boolean(now && seen && now.dataset.fingerprint !== seen.value);
  if (other) $("#outdated-words").textContent = now.dataset.words;
  note.hidden = !other;
}
document.addEventListener("htmx:after:swap", compare);
function soon() { form.setAttribute("aria-busy", "true"); clearTimeout(waits); waits = setTimeout(ask, 150); }
form.addEventListener("input", e => {
  if (e.target.id === "asset") { const fields = new URLSearchParams({ asset: e.target.value }); location.assign(`${form.action}?${fields}`); return; }
  if (e.target.name === "parallel") $("#many").textContent = e.target.value;
  if (e.target.name !== "reason") soon();
});
form.addEventListener("click", e => {
  const quick = e.target.closest("[data-ranges]"), redo = e.target.closest("[data-redo]");
  if (e.target.closest("[data-again]")) soon();
  if (quick) { range.value = quick.dataset.ranges; soon(); }
  if (redo) { $("[name=refresh][value=all]", form).checked = true; soon(); }
});
form.addEventListener("submit", e => { if (form.hasAttribute("aria-busy")) e.preventDefault(); });  // What is launched has been seen.
if ($("#pick")) {
  const d = FS.data("pick-data"), ranges = (days, key) => {
    const parts = [];
    for (const i of days) { const last = parts.at(-1); if (last && last[1] === i - 1) last[1] = i; else parts.push([i, i]); }
    return parts.map(([a, b]) => a === b ? key(a) : `${key(a)}:${key(b)}`).join(", ");
  };
  FS.calendar($("#pick"), { codes: d.codes, first: d.first, picked: new Set(d.pick), onpick: (set, key) => { range.value = ranges([...set].sort((a, b) => a - b), key); soon(); } });
}
})();
