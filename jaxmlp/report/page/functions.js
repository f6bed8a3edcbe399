// Turns the name of an activation into its function and its derivative, as jax.nn has them.
"use strict";

const sigmoid = (z) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));
const softplus = (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
const clip = (z, low, high) => Math.min(Math.max(z, low), high);
const density = (z) => Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);

// P(Z <= z): a series near 0 and a continued fraction in the tail (Abramowitz & Stegun 26.2.11, 26.2.14).
function normalCdf(z) {
  const x = Math.abs(z);
  let upper;
  if (x < 4) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 80; n += 1) {
      term *= (x * x) / (2 * n + 1);
      sum += term;
    }
    upper = 0.5 - density(x) * sum;
  } else {
    let fraction = x;
    for (let n = 60; n > 0; n -= 1) fraction = x + n / fraction;
    upper = density(x) / fraction;
  }
  return z >= 0 ? 1 - upper : upper;
}

function exponentialUnit(scale, alpha) {
  return [
    (z) => scale * (z > 0 ? z : alpha * Math.expm1(z)),
    (z) => scale * (z > 0 ? 1 : alpha * Math.exp(z)),
  ];
}

const ROOT = Math.sqrt(2 / Math.PI);
const gelu = [
  (z) => 0.5 * z * (1 + Math.tanh(ROOT * (z + 0.044715 * z ** 3))),
  (z) => {
    const t = Math.tanh(ROOT * (z + 0.044715 * z ** 3));
    return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * ROOT * (1 + 3 * 0.044715 * z * z);
  },
];
const silu = [
  (z) => z * sigmoid(z),
  (z) => sigmoid(z) * (1 + z * (1 - sigmoid(z))),
];
const hardSilu = [
  (z) => z * clip(z + 3, 0, 6) / 6,
  (z) => (z <= -3 ? 0 : z >= 3 ? 1 : (2 * z + 3) / 6),
];
const relu = [(z) => Math.max(z, 0), (z) => (z > 0 ? 1 : 0)];
const sigmoidPair = [sigmoid, (z) => sigmoid(z) * sigmoid(-z)];

const FUNCTIONS = {
  celu: exponentialUnit(1, 1),
  elu: exponentialUnit(1, 1),
  gelu,
  gelu_exact: [(z) => z * normalCdf(z), (z) => normalCdf(z) + z * density(z)],
  hard_sigmoid: [(z) => clip(z + 3, 0, 6) / 6, (z) => (z > -3 && z < 3 ? 1 / 6 : 0)],
  hard_silu: hardSilu,
  hard_swish: hardSilu,
  hard_tanh: [(z) => clip(z, -1, 1), (z) => (z > -1 && z < 1 ? 1 : 0)],
  identity: [(z) => z, () => 1],
  leaky_relu: [(z) => (z > 0 ? z : 0.01 * z), (z) => (z > 0 ? 1 : 0.01)],
  log_sigmoid: [(z) => -softplus(-z), (z) => sigmoid(-z)],
  mish: [
    (z) => z * Math.tanh(softplus(z)),
    (z) => {
      const t = Math.tanh(softplus(z));
      return t + z * (1 - t * t) * sigmoid(z);
    },
  ],
  relu,
  relu6: [(z) => clip(z, 0, 6), (z) => (z > 0 && z < 6 ? 1 : 0)],
  selu: exponentialUnit(1.0507009873554805, 1.6732632423543772),
  sigmoid: sigmoidPair,
  silu,
  soft_sign: [(z) => z / (1 + Math.abs(z)), (z) => 1 / (1 + Math.abs(z)) ** 2],
  softplus: [softplus, sigmoid],
  sparse_plus: [
    (z) => (z <= -1 ? 0 : z < 1 ? (z + 1) ** 2 / 4 : z),
    (z) => (z <= -1 ? 0 : z < 1 ? (z + 1) / 2 : 1),
  ],
  sparse_sigmoid: [(z) => 0.5 * clip(z + 1, 0, 2), (z) => (z > -1 && z < 1 ? 0.5 : 0)],
  squareplus: [
    (z) => 0.5 * (z + Math.sqrt(z * z + 4)),
    (z) => 0.5 * (1 + z / Math.sqrt(z * z + 4)),
  ],
  swish: silu,
  tanh: [Math.tanh, (z) => 1 - Math.tanh(z) ** 2],
};
const GATES = { glu: sigmoidPair, reglu: relu, geglu: gelu, swiglu: silu };
