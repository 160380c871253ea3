// j and k walk the rows of the page's lists; what is pressed then is about the row that is selected. A row is known
// by its links, not by its place: when the list changes, the selection stays with what was selected, or is gone.
(() => {
let chosen = "", gone = false;
const rows = () => $$("[data-rows]>li, [data-rows]>tr, [data-rows]>tbody>tr, [data-rows]>details[open]>a").filter(row => links(row).length && !row.matches(".empty"));
const links = row => row.matches("a") ? [row] : $$("a[href]", row);
const known = row => links(row).map(a => a.href).join(" ");
const shown = row => row.matches("[aria-current]") || !!$("a[aria-current]", row);

function mark() {
  let found = null;
  for (const row of $$(".sel")) if (row.closest("[data-rows]")) row.classList.remove("sel");
  if (chosen) found = rows().find(row => known(row) === chosen);
  found?.classList.add("sel");
  if (chosen && !found) { chosen = ""; gone = true; }
  return found;
}
function walk(step) {
  const all = rows();
  if (!all.length) return;
  let now = all.findIndex(row => row.classList.contains("sel"));
  if (now < 0) now = all.findIndex(shown);
  const next = all[Math.max(0, Math.min(all.length - 1, now + step))];
  chosen = known(next); gone = false; mark();
  next.scrollIntoView({ block: "nearest" }); FS.say(next.innerText.replace(/\s+/g, " ").slice(0, 120));
}
// The key of a button of the page. It brings the button into focus, so that a slip decides nothing; where the page
// shows something else than what is selected, it opens that first, with the button of the same key in focus.
function press(key) {
  const button = $(`main [data-key="${CSS.escape(key)}"]`), row = $(".sel"), list = $("[data-keys]");
  if (gone) { gone = false; FS.say("What was selected is not in the list any more"); return; }
  if (row && list?.contains(row) && !shown(row)) {
    if (list.dataset.keys.includes(key)) location.assign(links(row)[0].href + "#key-" + key);
    return;
  }
  button?.focus();
}

FS.rows = { walk, press, open: () => { const row = $(".sel"); if (row) links(row)[0].click(); } };
document.addEventListener("htmx:after:swap", mark);
const asked = /^#key-(\w)$/.exec(location.hash);
if (asked) { history.replaceState(history.state, "", location.pathname + location.search); press(asked[1]); }
})();
