// Turns the choice of an epoch into what Bokeh's figures show.
"use strict";

const models = new Map();

function model(name) {
  if (!models.has(name)) {
    models.set(name, Bokeh.documents.map((d) => d.get_model_by_name(name)).find((m) => m) || null);
  }
  return models.get(name);
}

function setData(name, data) {
  const renderer = model(name);
  if (renderer) renderer.data_source.data = data;
}

function showCharts(run, view) {
  const { measures } = run;
  const { layer: index, to: j } = view.choice;
  ["losses", "gradient_norms", "update_ratios", "units"].forEach((name) => {
    model(`now-${name}`).location = view.epoch;
  });
  const { low, high, counts } = measures.histograms[index];
  const width = (high - low) / counts[0].length;
  const edges = counts[0].map((_, n) => low + n * width);
  setData("histogram-bars", { left: edges, right: edges.map((e) => e + width), top: counts[view.epoch] });
  const curve = view.curves[index];
  const layer = run.network.layers[index];
  const computed = view.layers[index];
  if (curve) {
    const unit = layer.gated ? j % layer.units : j;
    const point = layer.gated ? [computed.gateInput[unit], computed.gate[unit]] : [computed.n[unit], computed.a[unit]];
    setData("curve-line", { x: Array.from(curve.z.values), y: Array.from(curve.a.values) });
    setData("curve-point", { x: [point[0]], y: [point[1]] });
  } else {
    setData("curve-line", { x: [], y: [] });
    setData("curve-point", { x: computed.z, y: computed.a });
  }
  if (run.plane) {
    run.epochs.forEach((_, n) => { model(`region-${n}`).visible = n === view.epoch; });
    const lines = run.plane.lines[view.epoch].flat(2);
    setData("zero-lines", { xs: lines.map((line) => line[0]), ys: lines.map((line) => line[1]) });
    const [x, y] = run.plane.points[view.row];
    setData("region-row", { x: [x], y: [y] });
  }
  if (!run.classes) {
    const targets = Array.from(view.targets.values);
    const predictions = at(view.predictions, view.epoch);
    setData("residuals-points", { x: targets, y: predictions });
    const ends = [Math.min(...targets), Math.max(...targets)];
    setData("residuals-diagonal", { x: ends, y: ends });
  }
}

function showErrors(run, view) {
  const { words, measures, classes } = run;
  let content;
  if (classes) {
    const matrix = measures.confusion[view.epoch];
    const total = sum(matrix.map(sum));
    const right = sum(matrix.map((line, n) => line[n]));
    const rows = matrix.map((line, n) => ({ cells: [classes[n], ...line.map(String)] }));
    content = table(["", ...classes], rows, `${words.confusion_text} ${words.right}: ${right} / ${total} (${(100 * right / total).toFixed(1)} %)`);
    content.classList.add("confusion");
    content.querySelectorAll("tbody tr").forEach((line, n) => {
      line.querySelectorAll("td").forEach((cell, m) => {
        const share = matrix[n][m] / Math.max(1, sum(matrix[n]));
        cell.style.setProperty("--share", `${(60 * share).toFixed(0)}%`);
        cell.className = n === m ? "hit" : "miss";
      });
    });
  } else {
    const targets = view.targets.values;
    const errors = at(view.predictions, view.epoch).map((p, n) => (targets[n] - p) ** 2);
    content = make("p", { text: `${words.residual_spread}: ${number(Math.sqrt(mean(errors)))}` });
  }
  document.getElementById("errors").replaceChildren(content);
}

function showPlane(run) {
  const { words, plane } = run;
  let text = words.plane_none;
  if (plane && !plane.features) {
    text = `${words[`plane_principal_${run.standardization ? "standardised" : "given"}`]} ${(100 * plane.share).toFixed(0)} %.`;
  } else if (plane) {
    text = run.network.inFeatures === 2 ? words.plane_inputs : words.plane_pair;
  }
  document.getElementById("plane-text").textContent = text;
}

function showSettings(run) {
  const { words, network } = run;
  const rows = run.settings.map((cells) => ({ cells }));
  const parts = [table(["", ""], rows, words.settings)];
  if (network.computeDtype !== "float64") parts.push(make("p", { class: "note", text: `${words.precision} ${network.computeDtype}.` }));
  if (network.dropout > 0) parts.push(make("p", { class: "note", text: `${words.dropout} ${network.dropout}.` }));
  document.getElementById("settings-table").replaceChildren(...parts);
}

// Bokeh draws on a canvas, which styles do not reach.
function paintCharts() {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink").trim();
  Bokeh.documents.forEach((bokehDocument) => bokehDocument.roots().forEach((plot) => {
    [...plot.below, ...plot.left].forEach((axis) => {
      axis.axis_line_color = ink;
      axis.major_tick_line_color = ink;
      axis.minor_tick_line_color = null;
      axis.major_label_text_color = ink;
      axis.axis_label_text_color = ink;
    });
    plot.above.forEach((legend) => { legend.label_text_color = ink; });
    plot.center.forEach((grid) => { if ("grid_line_color" in grid) grid.grid_line_color = ink; });
    plot.outline_line_color = null;
  }));
}
