// ⌘K: one list of things and acts. The server looks for them, so that a page carries no list of all assets.
(() => {
const hits = $("#hits"), input = $("input", palette), acts = [{ name: "Light or dark", kind: "act", act: flip }];
let at = 0, shown = [], asked = 0, none = "";
async function search() {
  const words = input.value.trim(), mine = ++asked;
  const answer = await fetch(`${shell.root}/find?q=${encodeURIComponent(words)}`).catch(() => null);
  if (mine !== asked) return;  // a later one is under way
  const found = answer?.ok ? await answer.json() : [];
  none = answer?.ok ? "Nothing by that name" : "The server does not answer";
  shown = [...acts.filter(x => words && x.name.toLowerCase().includes(words.toLowerCase())), ...found]; at = 0; list();
}
function list() {
  hits.replaceChildren(...shown.map((x, i) => {
    const row = document.createElement("li"), name = document.createElement("span"), kind = document.createElement("span");
    row.id = "hit" + i; row.role = "option"; row.ariaSelected = i === at; row.dataset.i = i;
    row.innerHTML = FS.icon(x.icon || "theme"); name.textContent = x.name; kind.textContent = x.kind; kind.className = "dim";
    row.append(name, kind); return row;
  }));
  if (!shown.length) { const row = document.createElement("li"); row.className = "dim"; row.textContent = none; hits.append(row); }
  shown.length ? input.setAttribute("aria-activedescendant", "hit" + at) : input.removeAttribute("aria-activedescendant");
}
const go = x => { if (!x) return; palette.close(); x.act ? x.act() : location.assign(shell.root + x.path); };
palette.addEventListener("fs:open", () => { input.value = ""; search(); });
input.addEventListener("input", search);
palette.addEventListener("keydown", e => {
  if (e.key === "ArrowDown" || e.key === "ArrowUp") { at = (at + (e.key === "ArrowDown" ? 1 : -1) + shown.length) % shown.length; list(); e.preventDefault(); }
  if (e.key === "Enter") { go(shown[at]); e.preventDefault(); }
});
hits.addEventListener("click", e => go(shown[e.target.closest("li")?.dataset.i]));
})();
