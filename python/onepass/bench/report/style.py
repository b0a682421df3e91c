"""The page's style and its script, kept here so that the page is one file."""

from __future__ import annotations

CSS = """
:root { color-scheme: light dark;
  --bg: #fff; --ink: #1b1f24; --soft: #59636e; --line: #d0d7de; --panel: #f4f6f8;
  --better: #0b57c4; --worse: #b03a06; --bad: #b3141f;
  --c0: #0b57c4; --c1: #c2410c; --c2: #15803d; --c3: #7e22ce; --c4: #a16207; --c5: #0e7490;
  --c6: #be185d; --c7: #4b5563; }
@media (prefers-color-scheme: dark) { :root {
  --bg: #0f1419; --ink: #e6edf3; --soft: #9da8b3; --line: #343c45; --panel: #182028;
  --better: #69acff; --worse: #ff9a5c; --bad: #ff7b7b;
  --c0: #69acff; --c1: #fb923c; --c2: #4ade80; --c3: #c792fb; --c4: #facc15; --c5: #22d3ee;
  --c6: #f472b6; --c7: #b6bec8; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--bg); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 78rem; margin: 0 auto; padding: 1rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .6rem 0 .2rem; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .5rem; padding-top: .5rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
h4 { font-size: .95rem; margin: .6rem 0 .2rem; }
h5 { font-size: .85rem; margin: .7rem 0 .1rem; font-weight: 600; }
p, li, dl { max-width: 46rem; }
p { margin: .5rem 0; }
.soft, .sub { color: var(--soft); }
a { color: var(--better); }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: 1rem 0; font-size: .95rem; }
nav a { padding: .2rem 0; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
th, td { padding: .28rem .7rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
.family th { text-align: left; background: var(--panel); }
.part td { color: var(--soft); font-size: .8rem; padding-top: 0; }
.part td:first-child { padding-left: 1.6rem; }
.sortable th, .sortable td { padding: .28rem .5rem; }
.roofs svg { max-width: 60rem; }
svg .label, svg .roofname { paint-order: stroke; stroke: var(--bg); stroke-width: 3px; }
.sortable thead th.can { cursor: pointer; text-decoration: underline dotted; }
.sortable th[aria-sort=ascending]::after { content: " \\25B2"; }
.sortable th[aria-sort=descending]::after { content: " \\25BC"; }
.better { color: var(--better); } .worse { color: var(--worse); }
.tag { display: inline-block; border: 1px solid currentColor; border-radius: .6rem;
  padding: 0 .4rem; font-size: .72rem; font-weight: 400; color: var(--soft); }
.tag.bad { color: var(--bad); font-weight: 600; }
.track { position: relative; display: block; height: .8rem; background: var(--panel);
  border-radius: 2px; min-width: 5rem; }
.track.share { border: 1px solid var(--line); overflow: hidden; }
.fill { position: absolute; top: 0; bottom: 0; left: 0; border-radius: 2px; }
.fill.ours, .fill.better { background: var(--better); }
.fill.worse { background: var(--worse); }
.fill.cut { border-right: 3px dotted var(--bg); }
.fill.worse.cut { border-right: 0; border-left: 3px dotted var(--bg); }
.one { position: absolute; top: -3px; bottom: -3px; width: 2px; margin-left: -1px;
  background: var(--ink); }
.bar { display: grid; grid-template-columns: 6.6rem minmax(0, 1fr) 3.6rem; gap: .5rem;
  align-items: center; font-size: .8rem; line-height: 1.35; }
.who { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--soft); }
.val { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.scale { position: relative; height: 1.1rem; }
.scale i { position: absolute; transform: translateX(-50%); font-style: normal;
  color: var(--soft); font-size: .75rem; white-space: nowrap; }
.pair { display: grid; gap: .5rem 2.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0;
  padding: .35rem .8rem; }
summary { cursor: pointer; padding: .15rem 0; }
.head td { padding: .35rem .7rem; }
.head .name { font-weight: 600; white-space: normal; }
.head .meter { display: grid; grid-template-columns: 9rem 3rem; gap: .5rem; align-items: center; }
svg { display: block; width: 100%; height: auto; }
svg text { font-size: 12px; fill: var(--soft); }
svg .title { font-size: 12.5px; } svg .label { font-size: 11.5px; fill: var(--ink); }
.grid { stroke: var(--line); stroke-width: .7; } .axis { stroke: var(--soft); }
.roof { stroke: var(--soft); stroke-width: 1.8; }
svg .roofname { font-size: 11.5px; font-style: italic; }
.curve { fill: none; stroke-width: 2; } .floor { stroke-dasharray: 5 4; stroke: var(--soft); }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); }
.c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); } .c7 { --c: var(--c7); }
.curve.c0 { stroke-width: 3; }
.curve:not(.floor) { stroke: var(--c); }
.dot { fill: var(--c); stroke: var(--bg); stroke-width: 1; cursor: pointer; }
.dot.hollow { fill: var(--bg); stroke: var(--c); stroke-width: 1.6; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .8rem; }
.entry { display: inline-flex; align-items: center; gap: .35rem; }
.key { width: .8rem; height: .8rem; border-radius: 50%; background: var(--c); }
.key.floor { height: 0; width: 1.2rem; border-radius: 0; border-top: 2px dashed var(--soft);
  background: none; }
.key.hollow { background: var(--bg); border: 2px solid var(--soft); }
.plots { display: grid; gap: 1rem 1.6rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
figure { margin: 0; } figcaption { font-weight: 600; font-size: .9rem; }
.said { position: sticky; bottom: 0; padding: .4rem .7rem; font-size: .85rem; max-width: none;
  background: var(--panel); border: 1px solid var(--line); border-radius: .3rem; }
dl { margin: .6rem 0; } dl div { margin: .3rem 0; }
dt { font-weight: 600; } dd { margin: 0 0 0 1rem; }
@media (min-width: 44rem) {
  dl div { display: grid; grid-template-columns: 13rem 1fr; } dd { margin: 0; } }
@media (max-width: 44rem) {
  th, td, .sortable th, .sortable td { padding: .28rem .4rem; }
  .limits td:first-child, .sortable td:first-child { white-space: normal; }
  .sortable td:first-child { min-width: 8.5rem; max-width: 8.5rem; overflow-wrap: anywhere;
    position: sticky; left: 0; background: var(--bg); border-right: 1px solid var(--line); }
  .part td:first-child { padding-left: .9rem; }
  .head, .head tbody { display: block; }
  .head thead { position: absolute; left: -9999px; }
  .head tr { display: grid; grid-template-columns: 1fr 1fr; gap: .1rem .8rem;
    border-bottom: 1px solid var(--line); padding: .45rem 0; }
  .head tr:has(+ tr .name:empty) { border: 0; }
  .head td { border: 0; padding: 0; text-align: left; white-space: normal; display: flex;
    gap: .5rem; align-items: baseline; }
  .head td::before { content: attr(data-is); color: var(--soft); flex: none; }
  .head td.name, .head td.whole { grid-column: 1 / -1; }
  .head td.name:empty { display: none; } .head td.name::before { content: none; }
  .head .meter { flex: 1; grid-template-columns: minmax(0, 1fr) 3rem; } }
@media print { details > * { display: block; } }
"""

# Without it everything can be read; with it headings sort, and a mark that is tapped says its name.
SCRIPT = """
for (const words of document.querySelectorAll(".scripted")) words.hidden = false;
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const sort = (head, at) => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    for (const body of table.tBodies) {
      const groups = [];
      for (const row of [...body.rows].slice(1)) {
        if (row.classList.contains("part") && groups.length) groups.at(-1).push(row);
        else groups.push([row]);
      }
      const key = group => group[0].cells[at].dataset.v ?? "";
      const plain = new Intl.Collator(undefined, {numeric: true});
      groups.sort((a, b) => {
        const x = key(a), y = key(b);
        if (x === "" || y === "") return (x === "") - (y === "");
        const order = isNaN(x) || isNaN(y) ? plain.compare(x, y) : x - y;
        return up ? order : -order;
      });
      for (const group of groups) body.append(...group);
    }
  };
  heads.forEach((head, at) => {
    head.classList.add("can");
    head.tabIndex = 0;
    head.addEventListener("click", () => sort(head, at));
    head.addEventListener("keydown", event => { if (event.key === "Enter") sort(head, at); });
  });
}
for (const section of document.querySelectorAll("section")) {
  const said = section.querySelector(".said");
  const say = event => {
    const dot = event.target.closest(".dot");
    if (dot) said.textContent = dot.textContent;
  };
  if (said) for (const kind of ["click", "pointerover"]) section.addEventListener(kind, say);
}
"""
