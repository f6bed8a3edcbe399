// Turns a network's weights, biases and activations into a drawing.
"use strict";

const MOST_UNITS = 12;

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
  node.append(...children);
  return node;
}

function titled(node, text) {
  const title = svg("title", {});
  title.textContent = text;
  node.prepend(title);
  return node;
}

// The first units of a column, and the chosen one, if it is folded away.
function unitsShown(count, chosen) {
  const shown = Array.from({ length: Math.min(count, MOST_UNITS) }, (_, n) => n);
  if (chosen >= shown.length) shown[shown.length - 1] = chosen;
  return shown;
}

function placeColumns(run, view, height) {
  const { layer: index, from, to } = view.choice;
  const widths = [run.network.inFeatures, ...run.network.layers.map((layer) => layer.units)];
  const gap = 800 / Math.max(1, widths.length - 1);
  return widths.map((count, column) => {
    const units = run.network.layers[column - 1];
    let chosen = -1;
    if (column === index) chosen = from;
    if (column === index + 1) chosen = to % units.units;
    const shown = unitsShown(count, chosen);
    const step = height / (shown.length + 1);
    return { x: 100 + gap * column, count, shown, y: new Map(shown.map((unit, n) => [unit, step * (n + 1)])) };
  });
}

function lineStyle(weight, largest) {
  const sign = weight < 0 ? "negative" : "positive";
  return { class: sign, "stroke-width": (0.3 + 5.7 * Math.min(1, Math.abs(weight) / largest)).toFixed(2) };
}

function drawNetwork(run, view, choose) {
  const { words } = run;
  const most = Math.max(...[run.network.inFeatures, ...run.network.layers.map((l) => l.units)].map((n) => Math.min(n, MOST_UNITS)));
  const height = Math.max(220, 46 * (most + 1));
  const columns = placeColumns(run, view, height);
  const lines = svg("g", { fill: "none" });
  const units = svg("g", {});
  run.network.layers.forEach((layer, index) => {
    const dense = view.parameters[index];
    const width = dense.kernel.shape[1];
    const [left, right] = [columns[index], columns[index + 1]];
    // One scale for all epochs, so that growth shows.
    const largest = view.largest[index];
    const halves = layer.gated ? [0, 1] : [0];
    right.shown.forEach((unit) => halves.forEach((half) => {
      const j = unit + half * layer.units;
      const y = right.y.get(unit) + (layer.gated ? (half ? 5 : -5) : 0);
      left.shown.forEach((i) => {
        const weight = dense.kernel.values[i * width + j];
        const isChosen = view.choice.layer === index && view.choice.from === i && view.choice.to === j;
        const line = svg("path", {
          ...lineStyle(weight, largest),
          d: `M${left.x + 13} ${left.y.get(i)} L${right.x - 13} ${y}`,
        });
        if (isChosen) line.classList.add("chosen");
        line.addEventListener("click", () => choose({ layer: index, from: i, to: j }));
        lines.append(titled(line, `${words.weight} ${inputName(run, index, i)} → ${unitName(run, index, j)}: ${number(weight)}`));
      });
      if (dense.bias) {
        const bias = dense.bias.values[j];
        const stub = svg("path", { ...lineStyle(bias, largest), d: `M${right.x - 24} ${y - 17} L${right.x - 9} ${y - 6}` });
        stub.classList.add("bias");
        if (view.choice.layer === index && view.choice.from === -1 && view.choice.to === j) stub.classList.add("chosen");
        stub.addEventListener("click", () => choose({ layer: index, from: -1, to: j }));
        lines.append(titled(stub, `${words.bias} → ${unitName(run, index, j)}: ${number(bias)}`));
      }
    }));
  });
  columns.forEach((column, place) => {
    const values = place === 0 ? view.layers[0].inputs : view.layers[place - 1].outputs;
    const top = Math.max(1e-12, ...values.map(Math.abs));
    column.shown.forEach((unit) => {
      const value = values[unit];
      const isChosen = place > 0 && view.choice.layer === place - 1 && view.choice.to % run.network.layers[place - 1].units === unit;
      const circle = svg("circle", {
        cx: column.x, cy: column.y.get(unit), r: 12,
        class: `unit ${value < 0 ? "negative" : "positive"}${isChosen ? " chosen" : ""}`,
        "fill-opacity": (0.9 * Math.min(1, Math.abs(value) / top)).toFixed(3),
      });
      if (place > 0) circle.addEventListener("click", () => choose({ layer: place - 1, from: view.choice.from, to: unit }));
      const name = place === 0 ? run.features[unit] : unitName(run, place - 1, unit);
      units.append(titled(circle, `${name}: ${number(value)}`));
      const text = svg("text", { x: column.x, y: column.y.get(unit) + 24, "text-anchor": "middle" });
      text.textContent = number(value);
      units.append(text);
      if (place > 0 && place < columns.length - 1) {
        const inside = svg("text", { x: column.x, y: column.y.get(unit) + 4, "text-anchor": "middle", class: "inside" });
        inside.textContent = name;
        units.append(inside);
      } else {
        const side = place === 0 ? { x: column.x - 18, "text-anchor": "end" } : { x: column.x + 18 };
        const title = svg("text", { ...side, y: column.y.get(unit) + 4 });
        title.textContent = name.length > 12 ? `${name.slice(0, 11)}…` : name;
        units.append(title);
      }
    });
    const hidden = column.count - column.shown.length;
    const label = svg("text", { x: column.x, y: height + 16, "text-anchor": "middle", class: "label" });
    label.textContent = place === 0 ? words.inputs : layerName(run, place - 1);
    units.append(label);
    if (hidden) {
      const more = svg("text", { x: column.x, y: height + 32, "text-anchor": "middle" });
      more.textContent = `+ ${hidden} ${words.folded}`;
      units.append(more);
    }
  });
  const drawing = svg("svg", { viewBox: `0 0 1000 ${height + 40}`, role: "img", "aria-label": words.network_alt }, lines, units);
  document.getElementById("network-drawing").replaceChildren(drawing);
}
