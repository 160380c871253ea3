// Whether the server is there: what is shown is of now or of when it was heard last, and what is sent arrives or is kept.
(() => {
const SILENT = 4000;  // Milliseconds without a word after which a connection is taken for dead.
const stream = $("#stream"), warning = $("#dead");
let heard = Date.now(), late = "", failed = false;

// The server says so every second, and how far behind it is. One that is gone refuses the stream that is asked for again.
document.addEventListener("pulse", e => { heard = Date.now(); late = String(e.detail?.data ?? e.detail ?? ""); failed = false; unsent(false); live(); });
document.addEventListener("htmx:sse:error", () => { failed = true; live(); });
const at = () => new Date(heard).toLocaleTimeString([], { hour12: false });
function live() {
  const mark = $("[data-live]"), lag = $("[data-lag]"), off = failed || Date.now() - heard > SILENT;
  mark.classList.toggle("off", off); mark.classList.toggle("pulse", !off);
  mark.textContent = off ? "Not live" : "Live";
  lag.textContent = off ? `since ${at()}` : late && `${late} s behind`;
  if (!off || !warning.dataset.unsent) say(off ? `Not live since ${at()}: the server does not answer.` : "");
}
function say(text) { if (warning.textContent !== text) warning.textContent = text; warning.hidden = !text; }
function unsent(yes) {
  if (yes) { warning.dataset.unsent = "yes"; say("The server does not answer: nothing was sent. What you wrote is still here."); }
  else if (warning.dataset.unsent) { delete warning.dataset.unsent; say(""); }
}
const reached = async () => (await fetch(`${shell.root}/healthz`, { cache: "no-store", signal: AbortSignal.timeout(SILENT) }).catch(() => null))?.ok === true;
FS.unreachable = async () => { if (await reached()) return false; failed = true; live(); return true; };

// A form is sent when the server answers. Else the browser would show its own error in place of what was written.
let sure = null;
document.addEventListener("submit", async e => {
  const form = e.target, by = e.submitter;
  if (form.method !== "post" || e.defaultPrevented) return;
  if (sure === form) { sure = null; return; }
  e.preventDefault();
  if (form.dataset.asks) return;  // A second click.
  form.dataset.asks = "yes";
  const there = await reached();
  delete form.dataset.asks;
  if (!there) { unsent(true); return; }
  unsent(false);
  if (!form.isConnected || (by && by.form !== form)) { FS.say("The page has changed meanwhile: nothing was sent"); return; }
  sure = form; form.requestSubmit(by);
});

if (stream) setInterval(live, 500); else for (const each of $$("[data-live], [data-lag]")) each.hidden = true;
})();
