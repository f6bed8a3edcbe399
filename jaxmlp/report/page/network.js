// Turns parameters and a row into what every layer computes, and into gradients by the chain rule.
"use strict";

function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.bytes), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const size = packed.bits / 8;
  const values = new Float64Array(bytes.length / size);
  for (let i = 0; i < values.length; i += 1) {
    values[i] = size === 4 ? view.getFloat32(4 * i, true) : view.getFloat64(8 * i, true);
  }
  return { values, shape: packed.shape };
}

// The part of an unpacked array at leading places.
function at(array, ...places) {
  let offset = 0;
  let size = array.values.length;
  places.forEach((place, axis) => {
    size /= array.shape[axis];
    offset += place * size;
  });
  return Array.from(array.values.subarray(offset, offset + size));
}

const sum = (values) => values.reduce((total, value) => total + value, 0);
const mean = (values) => sum(values) / values.length;

// n = (z - mean) / sqrt(variance + eps) * scale + shift; the RMS norm takes no mean off.
function normalise(kind, epsilon, dense, z) {
  const centre = kind === "layer" ? mean(z) : 0;
  const factor = 1 / Math.sqrt(mean(z.map((v) => (v - centre) ** 2)) + epsilon);
  const unit = z.map((v) => (v - centre) * factor);
  const n = unit.map((v, j) => v * dense.scale.values[j] + (dense.shift ? dense.shift.values[j] : 0));
  return { centre, factor, unit, n };
}

function softmax(z) {
  const top = Math.max(...z);
  const powers = z.map((v) => Math.exp(v - top));
  const total = sum(powers);
  return powers.map((v) => v / total);
}

// `own` gives, for a function of the caller's, the values and slopes that JAX computed.
function activate(layer, n, own) {
  if (layer.gated) {
    const half = n.length / 2;
    const [f, slope] = GATES[layer.activation];
    const value = n.slice(0, half);
    const gateInput = n.slice(half);
    const gate = gateInput.map(f);
    return {
      value, gateInput, gate,
      gateSlope: gateInput.map(slope),
      a: value.map((v, j) => v * gate[j]),
    };
  }
  if (own) return { a: own.a, slope: own.slope };
  if (layer.activation === "softmax") return { a: softmax(n) };
  const [f, slope] = FUNCTIONS[layer.activation];
  return { a: n.map(f), slope: n.map(slope) };
}

function forward(run, parameters, x, ownOf) {
  const standard = run.standardization;
  let inputs = standard ? x.map((v, i) => (v - standard.mean.values[i]) / standard.scale.values[i]) : x;
  return run.network.layers.map((layer, index) => {
    const dense = parameters[index];
    const width = dense.kernel.shape[1];
    const z = Array.from({ length: width }, (_, j) =>
      sum(inputs.map((h, i) => h * dense.kernel.values[i * width + j])) + (dense.bias ? dense.bias.values[j] : 0));
    const norm = layer.norm ? normalise(layer.norm, run.network.normEpsilon, dense, z) : null;
    const n = norm ? norm.n : z;
    const active = activate(layer, n, ownOf(index));
    const outputs = layer.residual ? active.a.map((a, j) => a + inputs[j]) : active.a;
    const computed = { inputs, z, norm, n, ...active, outputs };
    inputs = outputs;
    return computed;
  });
}

// dL/dn from dL/da: by f', by both halves of a gate, or by softmax, which mixes the units.
function throughActivation(computed, gradient) {
  if (computed.gate) {
    const value = gradient.map((g, j) => g * computed.gate[j]);
    const gate = gradient.map((g, j) => g * computed.value[j] * computed.gateSlope[j]);
    return [...value, ...gate];
  }
  if (computed.slope) return gradient.map((g, j) => g * computed.slope[j]);
  const mixed = sum(gradient.map((g, j) => g * computed.a[j]));
  return gradient.map((g, j) => computed.a[j] * (g - mixed));
}

function throughNorm(kind, dense, norm, gradient) {
  const unit = gradient.map((g, j) => g * dense.scale.values[j]);
  const centre = kind === "layer" ? mean(unit) : 0;
  const along = mean(unit.map((g, j) => g * norm.unit[j]));
  return unit.map((g, j) => norm.factor * (g - centre - norm.unit[j] * along));
}

// From dL/d(outputs of the network): by layer, dL/da, dL/dn and dL/dz.
function backward(run, parameters, layers, outputGradient) {
  const gradients = [];
  let outer = outputGradient;
  for (let index = layers.length - 1; index >= 0; index -= 1) {
    const layer = run.network.layers[index];
    const dense = parameters[index];
    const computed = layers[index];
    const n = throughActivation(computed, outer);
    const z = computed.norm ? throughNorm(layer.norm, dense, computed.norm, n) : n;
    gradients[index] = { a: outer, n, z };
    const width = z.length;
    const skipped = layer.residual ? outer : null;
    outer = computed.inputs.map((_, i) =>
      sum(z.map((d, j) => d * dense.kernel.values[i * width + j])) + (skipped ? skipped[i] : 0));
  }
  return gradients;
}
