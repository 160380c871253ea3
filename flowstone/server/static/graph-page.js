// The page of the graph: the drawing, the list beside it, what is said of the chosen asset, and the address that keeps it.
(() => {
const canvas = $("#graph");
if (!canvas) return;
const nodes = FS.data("graph-nodes"), choice = FS.data("graph-choice"), outline = $("#outline");
const shell = FS.data("shell-data"), groups = [...new Set(nodes.map(a => a.g))];
const links = new Map($$("a", outline).map(a => [a.dataset.id, a]));
const graph = FS.graph(canvas, nodes, {
  open: new Set(choice.open === "all" ? groups : choice.open), mini: $("#map"), onpick: a => choose(a.id),
});

function mark(id) {
  for (const [name, link] of links) if (name === id) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
}
function keep(changes) {  // in the address, so that reload and share keep it
  const address = new URL(location);
  for (const [name, value] of Object.entries(changes)) value ? address.searchParams.set(name, value) : address.searchParams.delete(name);
  history.replaceState(history.state, "", address);
}
async function inspect() {
  const focus = choice.pick; if (!focus) return;
  const answer = await fetch(`${shell.root}/graph?focus=${encodeURIComponent(focus)}`, { headers: { Accept: "text/html" } });
  if (!answer.ok || focus !== choice.pick) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  $("#inspect").replaceChildren(...page.querySelector("#inspect").childNodes);
}
function choose(id) {
  choice.pick = id; mark(id); keep({ focus: id }); graph.pick(id); inspect();
  const node = nodes.find(a => a.id === id); if (node) FS.say(`${id}, ${node.word}`);
}

outline.addEventListener("click", e => {
  const link = e.target.closest("a");
  if (link && !e.metaKey && !e.ctrlKey && !e.shiftKey) { e.preventDefault(); choose(link.dataset.id); }
});
$("main [type=search]").addEventListener("input", e => {
  const words = e.target.value.trim().toLowerCase();
  for (const group of $$("details", outline)) {
    let any = false;
    for (const link of $$("a", group)) { link.hidden = !link.dataset.id.toLowerCase().includes(words); any ||= !link.hidden; }
    group.hidden = !any; if (words) group.open = true;
  }
});
document.addEventListener("fs:pick", e => {
  const what = e.detail;
  if (what === "groups") graph.toggle(false); if (what === "all") graph.toggle(true);
  if (what?.startsWith("hops")) { const hops = +what.slice(4); graph.hops(hops || null); keep({ hops: hops || "" }); }
  if (what === "in") graph.zoom(1.25); if (what === "out") graph.zoom(.8); if (what === "fit") graph.fit();
});

// What changes comes as a new list: colours and numbers are taken from it, places stay.
new MutationObserver(() => {
  const newer = new Map(FS.data("graph-nodes").map(a => [a.id, a]));
  let touched = false;
  for (const node of nodes) {
    const now = newer.get(node.id); if (!now) continue;
    touched ||= node.id === choice.pick && (now.st !== node.st || now.word !== node.word || now.have !== node.have);
    if (now.st !== node.st || now.have !== node.have) {
      const link = links.get(node.id);
      if (link) { $("svg", link).outerHTML = FS.icon(now.st); const n = $(".n", link); if (n) n.textContent = `${now.have}/${now.total}`; }
    }
    Object.assign(node, now, { up: node.up, down: node.down });
  }
  for (const group of $$("details", outline)) $("summary svg", group).outerHTML = FS.icon(FS.worst(nodes.filter(a => a.g === group.dataset.group)));
  graph.again(); if (touched) inspect();
}).observe($("#graph_data"), { childList: true, subtree: true, characterData: true });

if (choice.pick) graph.pick(choice.pick);
if (choice.hops) graph.hops(choice.hops);
FS.theGraph = graph;
})();
