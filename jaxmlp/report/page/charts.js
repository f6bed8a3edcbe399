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

// The images of an epoch, one for each output, as they came.
const images = new Map();

function showRegions(run, view) {
  const { plane } = run;
  run.epochs.forEach((_, n) => { model(`region-${n}`).visible = n === view.epoch; });
  if (plane.ranges) {
    const source = model(`region-${view.epoch}`).data_source;
    if (!images.has(view.epoch)) images.set(view.epoch, source.data);
    const all = Object.entries(images.get(view.epoch));
    source.data = Object.fromEntries(all.map(([name, values]) => [name, [values[view.output]]]));
    model("region-points").glyph.fill_color = { field: `output-${view.output}` };
    const [low, high] = plane.ranges[view.output];
    document.getElementById("plane-colours").textContent = `${run.words.colours} ${number(low)} – ${number(high)}.`;
  }
  const lines = plane.lines[view.epoch].flat(2);
  setData("zero-lines", { xs: lines.map((line) => line[0]), ys: lines.map((line) => line[1]) });
  const [x, y] = plane.points[view.row];
  setData("region-row", { x: [x], y: [y] });
}

// Targets and predictions of all rows for the chosen output.
function pairsOf(view) {
  const [rows, outputs] = view.targets.shape;
  const predictions = at(view.predictions, view.epoch);
  const column = (values) => Array.from({ length: rows }, (_, n) => values[n * outputs + view.output]);
  return { x: column(view.targets.values), y: column(predictions) };
}

function showCharts(run, view) {
  const { measures } = run;
  const { layer: index, to: j } = view.choice;
  ["gradient_norms", "update_ratios", "units"].forEach((name) => {
    model(`now-${name}`).location = view.epoch;
  });
  ["losses", "metrics"].filter((name) => model(`now-${name}`)).forEach((name) => {
    model(`now-${name}`).location = run.epochs[view.epoch];
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
  if (run.plane) showRegions(run, view);
  if (!run.classes) {
    const pairs = pairsOf(view);
    setData("residuals-points", pairs);
    const ends = [Math.min(...pairs.x), Math.max(...pairs.x)];
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
    const { x, y } = pairsOf(view);
    const spread = number(Math.sqrt(mean(x.map((target, n) => (target - y[n]) ** 2))));
    content = make("p", { text: `${outputName(run, view.output)}: ${words.residual_spread}: ${spread}` });
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
  if (plane && plane.oneScale) text += ` ${words.one_scale}`;
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
    [...plot.above, ...plot.right].forEach((legend) => { legend.label_text_color = ink; });
    plot.center.forEach((grid) => { if ("grid_line_color" in grid) grid.grid_line_color = ink; });
    plot.outline_line_color = null;
  }));
  if (model("region-row")) model("region-row").glyph.line_color = ink;
}
