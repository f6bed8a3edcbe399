// Turns what the reader chooses into what the page shows, and writes the numbers shown beside it.
"use strict";

(async function start() {
  const run = JSON.parse(document.getElementById("run").textContent);
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const get = (id) => document.getElementById(id);
  const parts = ["kernel", "bias", "scale", "shift"];
  const parameters = run.parameters.map((layers) => layers.map((dense) =>
    Object.fromEntries(parts.filter((part) => dense[part]).map((part) => [part, unpack(dense[part])]))));
  const statistics = run.standardization;
  if (statistics) run.standardization = { mean: unpack(statistics.mean), scale: unpack(statistics.scale) };
  const { measures } = run;
  const rowsX = unpack(run.x);
  const rowsY = unpack(run.y);
  run.y = rowsY;
  const rowLosses = unpack(measures.rowLosses);
  const outputGradients = unpack(measures.outputGradients);
  const own = measures.own.map((each) => each && { a: unpack(each.a), slope: unpack(each.slope) });
  const curves = measures.curves.map((curve) => curve && { z: unpack(curve.z), a: unpack(curve.a) });
  const targets = measures.targets && unpack(measures.targets);
  const predictions = measures.predictions && unpack(measures.predictions);
  const decided = measures.decided && unpack(measures.decided);
  const largest = run.network.layers.map((_, index) => Math.max(1e-12, ...parameters.map((layers) => {
    const values = [layers[index].kernel, layers[index].bias].filter((a) => a).map((a) => a.values);
    return Math.max(...values.map((v) => v.reduce((top, w) => Math.max(top, Math.abs(w)), 0)));
  })));
  const rows = rowsX.shape[0];
  const outputs = targets ? targets.shape[1] : 1;
  const state = { epoch: 0, row: 0, layer: 0, from: 0, to: 0, output: 0 };
  let timer = null;

  function fill(select, names, value) {
    select.replaceChildren(...names.map(([key, text]) => make("option", { value: key, text })));
    select.value = String(value);
  }

  // Whatever was asked for, choices that there are.
  function bound() {
    const within = (value, low, high) => clip(Math.round(Number(value)) || 0, low, high);
    state.epoch = within(state.epoch, 0, run.epochs.length - 1);
    state.row = within(state.row, 0, rows - 1);
    state.layer = within(state.layer, 0, run.network.layers.length - 1);
    state.output = within(state.output, 0, outputs - 1);
    const dense = parameters[state.epoch][state.layer];
    state.from = within(state.from, dense.bias ? -1 : 0, dense.kernel.shape[0] - 1);
    state.to = within(state.to, 0, dense.kernel.shape[1] - 1);
    return dense;
  }

  function weightAt(epoch) {
    const dense = parameters[epoch][state.layer];
    if (state.from === -1) return dense.bias.values[state.to];
    return dense.kernel.values[state.from * dense.kernel.shape[1] + state.to];
  }

  function isWrong(row) {
    return decided !== undefined && decided.values[state.epoch * rows + row] !== rowsY.values[row];
  }

  function nextWrong() {
    for (let step = 1; step <= rows; step += 1) {
      const row = (state.row + step) % rows;
      if (isWrong(row)) {
        choose({ row });
        return;
      }
    }
  }

  function show() {
    const dense = bound();
    const { epoch, row } = state;
    const x = at(rowsX, row);
    const ownOf = (index) => own[index] && { a: at(own[index].a, epoch, row), slope: at(own[index].slope, epoch, row) };
    const layers = forward(run, parameters[epoch], x, ownOf);
    const gradients = backward(run, parameters[epoch], layers, at(outputGradients, epoch, row));
    const view = {
      epoch, row, x, layers, gradients, curves, targets, predictions, largest,
      output: state.output,
      decided: decided ? decided.values[epoch * rows + row] : null,
      wrong: Array.from({ length: rows }, (_, n) => n).filter(isWrong).length,
      y: at(rowsY, row),
      loss: rowLosses.values[epoch * rows + row],
      parameters: parameters[epoch],
      choice: { layer: state.layer, from: state.from, to: state.to },
      before: epoch ? weightAt(epoch - 1) : null,
      after: weightAt(epoch),
    };
    get("epoch").value = String(epoch);
    get("epoch").setAttribute("aria-valuetext", `${run.words.epoch} ${run.epochs[epoch]}`);
    const notes = [run.epochs[epoch] === 0 && run.words.start, epoch === run.returned && run.words.returned];
    const told = notes.filter((note) => note).join(", ");
    get("epoch-text").textContent = `${run.epochs[epoch]}${told && ` (${told})`}`;
    get("row").max = String(rows - 1);
    get("row").value = String(row);
    fill(get("layer"), run.network.layers.map((_, n) => [n, layerName(run, n)]), state.layer);
    const sources = Array.from({ length: dense.kernel.shape[0] }, (_, i) => [i, inputName(run, state.layer, i)]);
    fill(get("from"), dense.bias ? [[-1, run.words.bias], ...sources] : sources, state.from);
    fill(get("to"), Array.from({ length: dense.kernel.shape[1] }, (_, j) => [j, unitName(run, state.layer, j)]), state.to);
    if (outputs > 1) {
      fill(get("output"), Array.from({ length: outputs }, (_, n) => [n, unitName(run, run.network.layers.length - 1, n)]), state.output);
    }
    get("next-wrong").disabled = view.wrong === 0;
    drawNetwork(run, view, choose);
    const answer = showAnswer(run, view);
    showForward(run, view);
    const chain = showChain(run, view);
    showCharts(run, view);
    showErrors(run, view);
    const shown = {
      epoch: run.epochs[epoch], row, layer: state.layer, from: state.from, to: state.to,
      layers: layers.map((layer, n) => ({ inputs: layer.inputs, z: layer.z, n: layer.n, a: layer.a, outputs: layer.outputs, delta: gradients[n].z })),
      loss: view.loss, factors: chain.factors.map((f) => f.value), product: chain.product,
      before: view.before, after: view.after, answer, wrong: view.wrong, output: state.output,
    };
    get("shown").textContent = JSON.stringify(shown);
  }

  function choose(change) {
    Object.assign(state, change);
    show();
    const address = new URLSearchParams(state).toString();
    // A page in a frame has no address of its own.
    if (location.protocol !== "about:") history.replaceState(null, "", `#${address}`);
  }

  function readAddress() {
    new URLSearchParams(location.hash.slice(1)).forEach((value, name) => {
      if (name in state) state[name] = Number(value);
      if (name === "theme" && ["auto", "light", "dark"].includes(value)) get("theme").value = value;
    });
  }

  function play(on) {
    clearInterval(timer);
    timer = null;
    if (on) {
      if (state.epoch === run.epochs.length - 1) choose({ epoch: 0 });
      timer = setInterval(() => {
        choose({ epoch: state.epoch + 1 });
        if (state.epoch === run.epochs.length - 1) play(false);
      }, 700);
    }
    get("play").textContent = on ? run.words.pause : run.words.play;
  }

  function paint() {
    document.documentElement.dataset.theme = get("theme").value;
    paintCharts();
  }

  await Promise.all(figures.map((figure) => Bokeh.embed.embed_item(figure)));
  Object.keys(state).forEach((name) => {
    get(name).addEventListener("input", (event) => choose({ [name]: Number(event.target.value) }));
  });
  get("play").addEventListener("click", () => play(timer === null));
  get("rewind").addEventListener("click", () => { play(false); choose({ epoch: 0 }); });
  get("next-wrong").addEventListener("click", nextWrong);
  get("next-wrong").hidden = !decided;
  get("output").parentElement.hidden = outputs === 1;
  get("theme").addEventListener("input", paint);
  document.addEventListener("keydown", (event) => {
    if (event.key === " " && !["BUTTON", "INPUT", "SELECT", "SUMMARY"].includes(event.target.tagName)) {
      event.preventDefault();
      play(timer === null);
    }
    const isFree = !event.ctrlKey && !event.metaKey && !event.altKey && event.target.tagName !== "SELECT";
    if (event.key.toLowerCase() === "n" && isFree) nextWrong();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  addEventListener("hashchange", () => { readAddress(); paint(); show(); });
  state.epoch = run.returned === null ? run.epochs.length - 1 : run.returned;
  readAddress();
  showPlane(run);
  showSettings(run);
  show();
  paint();
  document.documentElement.dataset.ready = "true";
}());
