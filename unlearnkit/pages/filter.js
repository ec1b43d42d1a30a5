"use strict";
const form = document.querySelector(".filter");
const fields = ["q", "method", "block", "set", "verdict"].map(name => form.elements[name]).filter(Boolean);
const methods = form.elements.method ? [...form.elements.method.options].slice(1).map(option => option.value) : [];
const examples = [...document.querySelectorAll("article")].map(node => {
  const own = node.cloneNode(true);
  own.querySelectorAll("[data-verdict]").forEach(side => side.remove());
  const sides = [...node.querySelectorAll("[data-verdict]")];
  return {node, text: own.textContent.toLowerCase(),
    sides: sides.map(side => ({node: side, text: side.textContent.toLowerCase()}))};
});
function show() {
  const wanted = Object.fromEntries(fields.map(field => [field.name, field.value]));
  const text = wanted.q.trim().toLowerCase();
  let shown = 0;
  for (const {node, text: own, sides} of examples) {
    const here = (!wanted.set || node.dataset.set === wanted.set) && (!wanted.block || node.dataset.block === wanted.block);
    let fitting = 0;
    for (const side of sides) {
      const fits = here && (own.includes(text) || side.text.includes(text))
        && (!wanted.method || side.node.dataset.method === wanted.method)
        && (!wanted.verdict || side.node.dataset.verdict === wanted.verdict);
      side.node.hidden = !fits;
      fitting += fits;
    }
    node.hidden = !fitting;
    shown += fitting > 0;
  }
  document.getElementById("examples").dataset.only = methods.indexOf(wanted.method);
  document.getElementById("count").textContent = `${shown} of ${examples.length} shown`;
  document.getElementById("none").hidden = shown > 0;
}
function read() {  // #q=text&set=unseen: a filter can be linked to
  if (location.hash && !location.hash.includes("=")) return;  // a link to a part of the page
  const wanted = new URLSearchParams(location.hash.slice(1));
  for (const field of fields) field.value = wanted.get(field.name) ?? "";
  for (const field of fields) if (field.selectedIndex === -1) field.value = "";
  show();
}
function write() {
  const wanted = new URLSearchParams(fields.filter(field => field.value).map(field => [field.name, field.value]));
  history.replaceState(null, "", "#" + wanted);
  show();
}
form.addEventListener("input", write);
form.addEventListener("submit", event => event.preventDefault());
addEventListener("hashchange", read);
read();
