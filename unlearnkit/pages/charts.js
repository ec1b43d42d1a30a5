"use strict";
const charts = [...document.querySelectorAll(".chart")];
const figures = JSON.parse(document.getElementById("figures").textContent);

function numbers(figure) {  // a chart's numbers as rows of cells, for those who do not hover
  const traces = figure.data.filter(trace => trace.type === "heatmap" || trace.name !== undefined);
  const [first] = traces, shown = (trace, at) => trace.customdata?.[at] || String(trace.y[at]);
  if (!first) return [];
  if (first.type === "heatmap") {
    const head = [figure.layout.xaxis.title.text, ...first.y.map(name => name.replace("<br>", " "))];
    return [head, ...first.x.map((x, at) => [x, ...first.customdata.map(row => row[at] ?? "")])];
  }
  const steps = [...new Set(traces.flatMap(trace => trace.x))].sort((a, b) => a - b);
  const cells = step => traces.map(trace => trace.x.includes(step) ? shown(trace, trace.x.indexOf(step)) : "");
  return [["step", ...traces.map(trace => trace.name)], ...steps.map(step => [step, ...cells(step)])];
}

function fill(details, figure) {
  const table = document.createElement("table"), around = document.createElement("div");
  numbers(figure).forEach((cells, at) => {
    const row = (at ? table.tBodies[0] ?? table.createTBody() : table.createTHead()).insertRow();
    cells.forEach((text, column) => {
      const cell = document.createElement(at && column ? "td" : "th");
      if (cell.tagName === "TH") cell.scope = at ? "row" : "col";
      cell.textContent = text;
      row.append(cell);
    });
  });
  around.className = "scroll";
  around.tabIndex = 0;
  around.setAttribute("role", "region");
  around.setAttribute("aria-label", `numbers of ${figure.title}`);
  around.append(table);
  details.append(around);
}

document.querySelectorAll(".chart + details").forEach((details, index) => {
  details.addEventListener("toggle", () => fill(details, figures[index]), {once: true});
});

function draw() {
  const css = getComputedStyle(document.documentElement), ink = css.getPropertyValue("--ink").trim();
  const line = css.getPropertyValue("--line").trim(), card = css.getPropertyValue("--card").trim();
  figures.forEach((figure, index) => {
    const axis = {gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true};
    const layout = {...figure.layout, paper_bgcolor: "transparent", plot_bgcolor: "transparent",
      font: {color: ink, size: 12}, hoverlabel: {bgcolor: card, font: {color: ink}},
      xaxis: {...figure.layout.xaxis, ...axis}, yaxis: {...figure.layout.yaxis, ...axis}};
    Plotly.react(charts[index], figure.data, layout, {responsive: true, displaylogo: false, displayModeBar: false});
    charts[index].setAttribute("role", "group");
    charts[index].setAttribute("aria-label", figure.title);
  });
}

(async () => {
  try {
    const script = document.createElement("script");
    script.textContent = await gunzip("plotly");
    document.head.append(script);
    script.remove();
    draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  } catch (error) {
    for (const chart of charts) chart.textContent = `The curves need a browser from 2023 or later (${error.message}).`;
  }
})();
