// Turns what a row's layers computed into tables of steps with their numbers.
"use strict";

const MOST_TERMS = 8;
const MOST_ANSWERS = 10;

// Text only: names of the caller's never become markup.
function make(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  Object.entries(options).forEach(([name, value]) => {
    if (name === "text") node.textContent = value;
    else node.setAttribute(name, value);
  });
  node.append(...children);
  return node;
}

function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(3).replaceAll("-", "−");
  return value.toPrecision(size >= 1000 ? 6 : 4).replace("-", "−");
}

function table(head, rows, caption) {
  const columns = make("tr", {}, ...head.map((text) => make("th", { scope: "col", text })));
  const lines = rows.map(({ cells, chosen }) =>
    make("tr", chosen ? { class: "chosen" } : {}, ...cells.map((cell, n) =>
      make(n ? "td" : "th", { ...(n ? {} : { scope: "row" }), text: typeof cell === "number" ? number(cell) : cell }))));
  return make("table", {}, make("caption", { text: caption }), make("thead", {}, columns), make("tbody", {}, ...lines));
}

function layerName(run, index) {
  const { words, network } = run;
  return index === network.layers.length - 1 ? words.output : `${words.hidden} ${index + 1}`;
}

function inputName(run, index, i) {
  return index === 0 ? run.features[i] : `a${i + 1}`;
}

function unitName(run, index, j) {
  const layer = run.network.layers[index];
  if (layer.gated) return j < layer.units ? `v${j + 1}` : `u${j - layer.units + 1}`;
  const last = index === run.network.layers.length - 1;
  return last && run.classes && run.classes.length === layer.units ? run.classes[j] : `${j + 1}`;
}

function outputName(run, index) {
  return `${run.words.of_output} ${unitName(run, run.network.layers.length - 1, index)}`;
}

// The probability of each class; of a single output that of class 0 first.
function probabilitiesOf(run, outputs) {
  const { probabilities } = run.network;
  if (probabilities === "softmax") return softmax(outputs);
  if (probabilities === "given") return outputs;
  const one = probabilities === "one" ? outputs[0] : sigmoid(outputs[0]);
  return [1 - one, one];
}

// What the network answers for the row, and whether that is right.
function showAnswer(run, view) {
  const { words, classes } = run;
  const values = view.layers[view.layers.length - 1].outputs;
  const box = document.getElementById("answer");
  if (!classes) {
    const [, outputs] = view.targets.shape;
    const shown = Array.from({ length: outputs }, (_, k) => k).slice(0, MOST_ANSWERS);
    if (!shown.includes(view.output)) shown[shown.length - 1] = view.output;
    const rows = shown.map((k) => {
      const target = view.targets.values[view.row * outputs + k];
      return { cells: [outputName(run, k), values[k], target, target - values[k]], chosen: outputs > 1 && k === view.output };
    });
    box.replaceChildren(table(["", words.prediction, words.target, words.residual_of_row], rows, words.answer));
    return values;
  }
  const probabilities = probabilitiesOf(run, values);
  const truth = view.y[0];
  const ranked = probabilities.map((_, n) => n).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  const shown = ranked.slice(0, MOST_ANSWERS);
  if (!shown.includes(truth)) shown[shown.length - 1] = truth;
  const rows = shown.map((n) => {
    const notes = [n === view.decided && words.prediction, n === truth && words.target].filter((note) => note);
    return { cells: [classes[n], probabilities[n], notes.join(", ")], chosen: n === view.decided };
  });
  const hidden = probabilities.length - shown.length;
  if (hidden) rows.push({ cells: [`${hidden} ${words.others}`, sum(ranked.filter((n) => !shown.includes(n)).map((n) => probabilities[n])), ""] });
  const told = `${words.prediction}: ${classes[view.decided]}, ${view.decided === truth ? words.is_right : words.is_wrong}; ${words.target}: ${classes[truth]}`;
  const count = `${words.wrong_rows}: ${view.wrong} / ${run.y.shape[0]}.`;
  box.replaceChildren(make("p", { "aria-live": "polite", text: `${told}. ${count}` }), table([words.class, words.probability, ""], rows, words.answer));
  return probabilities;
}

// The largest terms w * x of a net input, the chosen one among them, and the sum of the others.
function terms(run, view) {
  const { layer: index, from, to: j } = view.choice;
  const dense = view.parameters[index];
  const width = dense.kernel.shape[1];
  const all = view.layers[index].inputs.map((h, i) => {
    const w = dense.kernel.values[i * width + j];
    return { i, name: inputName(run, index, i), w, h, product: w * h };
  });
  const rank = ({ i, product }) => (i === from ? Infinity : Math.abs(product));
  const ranked = [...all].sort((a, b) => rank(b) - rank(a));
  const hidden = ranked.splice(MOST_TERMS);
  return {
    shown: ranked.sort((a, b) => a.i - b.i),
    rest: sum(hidden.map((term) => term.product)),
    hidden: hidden.length,
  };
}

function showForward(run, view) {
  const { words } = run;
  const { layer: index, to: j, from } = view.choice;
  const layer = run.network.layers[index];
  const computed = view.layers[index];
  const dense = view.parameters[index];
  const parts = [];
  if (run.standardization && index === 0) {
    const { mean: means, scale } = run.standardization;
    const rows = terms(run, view).shown.map(({ i, name }) =>
      ({ cells: [name, view.x[i], means.values[i], scale.values[i], computed.inputs[i]] }));
    parts.push(table(["", "x", words.mean, words.deviation, words.value], rows, words.standardised));
  }
  const { shown, rest, hidden } = terms(run, view);
  const rows = shown.map(({ i, name, w, h, product }) => ({ cells: [name, w, h, product], chosen: i === from }));
  if (hidden) rows.push({ cells: [`${hidden} ${words.others}`, "", "", rest] });
  if (dense.bias) rows.push({ cells: [words.bias, "", "", dense.bias.values[j]], chosen: from === -1 });
  rows.push({ cells: ["z = Σ", "", "", computed.z[j]] });
  parts.push(table([words.input, "w", index ? "a" : "x", index ? "w·a" : "w·x"], rows, `${layerName(run, index)}, ${words.unit} ${unitName(run, index, j)}: ${words.net_input}`));
  if (computed.norm) {
    const { norm } = computed;
    const cells = layer.norm === "layer" ? [[words.mean, norm.centre]] : [];
    cells.push(["1/√(· + ε)", norm.factor], [words.value, norm.unit[j]], [words.scale, dense.scale.values[j]]);
    if (dense.shift) cells.push([words.shift, dense.shift.values[j]]);
    cells.push(["n", norm.n[j]]);
    parts.push(table(["", ""], cells.map((c) => ({ cells: c })), words[`norm_${layer.norm}`]));
  }
  const unit = layer.gated ? j % layer.units : j;
  const steps = [];
  if (layer.gated) {
    steps.push(["v", computed.value[unit]], ["u", computed.gateInput[unit]], ["g(u)", computed.gate[unit]]);
  }
  steps.push([`a = ${layer.gated ? "v · g(u)" : `f(${computed.norm ? "n" : "z"})`}`, computed.a[unit]]);
  if (layer.residual) steps.push([words.input, computed.inputs[unit]], ["Σ", computed.outputs[unit]]);
  const caption = layer.gated ? words.gate : layer.activation === "softmax" ? words.softmax : words.activation;
  parts.push(table(["", layer.activation], steps.map((c) => ({ cells: c })), layer.residual ? `${caption}; ${words.residual}` : caption));
  const target = run.y.shape[1] === 1 && run.classes ? run.classes[view.y[0]] : view.y.map(number).join(", ");
  parts.push(make("p", { text: `${words.target}: ${target}; ${words.row_loss}: ${number(view.loss)}` }));
  document.getElementById("forward-steps").replaceChildren(...parts);
  const every = computed.z.map((z, k) => {
    const cells = [unitName(run, index, k), z];
    if (computed.norm) cells.push(computed.n[k]);
    cells.push(k < computed.a.length ? computed.a[k] : "", view.gradients[index].z[k]);
    return { cells, chosen: k === j };
  });
  const head = [words.unit, "z", ...(computed.norm ? ["n"] : []), "a", "dL/dz"];
  document.getElementById("layer-table").replaceChildren(table(head, every, layerName(run, index)));
}

// The factors of dL/dw, whose product is the gradient.
function chainOf(run, view) {
  const { layer: index, from, to: j } = view.choice;
  const layer = run.network.layers[index];
  const computed = view.layers[index];
  const gradient = view.gradients[index];
  const unit = layer.gated ? j % layer.units : j;
  const fed = computed.norm ? "n" : "z";
  const factors = [];
  const isMixed = layer.activation === "softmax";
  if (isMixed) {
    factors.push({ name: `dL/d${fed}`, value: gradient.n[j], note: run.words.through_softmax });
  } else {
    factors.push({ name: "dL/da", value: gradient.a[unit] });
    if (!layer.gated) factors.push({ name: `da/d${fed}`, value: computed.slope[j] });
    else if (j < layer.units) factors.push({ name: "da/dv = g(u)", value: computed.gate[unit] });
    else factors.push({ name: "da/du = v · g′(u)", value: computed.value[unit] * computed.gateSlope[unit] });
  }
  let product = isMixed ? gradient.n[j] : factors.reduce((p, f) => p * f.value, 1);
  if (computed.norm) {
    // dL/dz_j is a sum over the units k of dL/dn_k · dn_k/dz_j: no product of this unit's alone.
    factors.length = 0;
    factors.push({ name: "dL/dz = Σ dL/dn · dn/dz", value: gradient.z[j], note: run.words.through_norm });
    product = gradient.z[j];
  }
  const last = from === -1 ? 1 : computed.inputs[from];
  factors.push({ name: from === -1 ? "dz/db" : "dz/dw", value: last });
  return { factors, product: product * last };
}

function showChain(run, view) {
  const { words } = run;
  const { layer: index, from, to: j } = view.choice;
  const computed = view.layers[index];
  const gradient = view.gradients[index];
  const chain = chainOf(run, view);
  const parts = [];
  if (computed.norm && !run.network.layers[index].gated) {
    const cells = [["dL/da", gradient.a[j]], ["da/dn", computed.slope[j]], ["dL/dn", gradient.n[j]]];
    parts.push(table(["", ""], cells.map((c) => ({ cells: c })), words.activation));
  }
  const rows = chain.factors.map((f) => ({ cells: [f.note ? `${f.name} (${f.note})` : f.name, f.value] }));
  const symbol = from === -1 ? "dL/db" : "dL/dw";
  rows.push({ cells: [`${symbol} = ${words.product}`, chain.product], chosen: true });
  const what = from === -1 ? words.bias : `${words.weight} ${inputName(run, index, from)} →`;
  parts.push(table(["", ""], rows, `${layerName(run, index)}: ${what} ${unitName(run, index, j)}`));
  if (view.before === null) {
    parts.push(make("p", { text: words.first_epoch }));
  } else {
    const [first, last] = [run.epochs[view.epoch - 1], run.epochs[view.epoch]];
    const cells = [
      [`${words.before}: ${words.epoch} ${first}`, view.before],
      [`${words.after}: ${words.epoch} ${last}`, view.after],
      [words.change, view.after - view.before],
    ];
    const caption = `${words.change_text} ${last - first}.`;
    parts.push(table(["", ""], cells.map((c) => ({ cells: c })), caption));
  }
  document.getElementById("chain-steps").replaceChildren(...parts);
  return chain;
}
