"""Turns prepared rows into the outputs of all members of a recipe, as nodes of an ONNX graph."""

from typing import Any

import numpy as np

from ...interchange.onnx import NodeList, activated
from ...tabular import (
    Bins,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    SharedDense,
    TabularConfig,
    TabularParams,
)
from .prepared_nodes import PreparedNodes, refuse_constant, smooth_clip_nodes


class MemberNodes:
    """Appends the nodes that do what `apply_tabular` does, for all members of a recipe at once.

    Tensors have the axes (members, networks, rows, features): networks are those that share the
    kernels of a member. Either of the first two is 1 where nothing before differs by it.

    Args:
        nodes: Where they go.
        config: How networks are built.
        params: Parameters of all members, which have a leading axis of them.
        bins: Bins of a piecewise-linear embedding.
    """

    def __init__(
        self, nodes: NodeList, config: TabularConfig, params: TabularParams, bins: Bins | None
    ) -> None:
        self.nodes, self.config, self.params, self.bins = nodes, config, params, bins
        self.members = len(params.output.kernel)
        self.dtype = params.output.kernel.dtype.name

    def outputs(self, rows: PreparedNodes) -> str:
        """Returns the name of the outputs."""
        h = self._embedded(rows)
        for number, layer in enumerate(self.params.hidden):
            self.nodes.scope = f"hidden.{number}"
            z = self._dense(h, layer)
            h = activated(self.nodes, self.config.activation, z, self.dtype)
            if layer.slope is not None:
                # z + slope * (f(z) - z)
                bent = self.nodes.add("Sub", h, z)
                bent = self.nodes.add("Mul", self._vector("slope", layer.slope), bent)
                h = self.nodes.add("Add", z, bent)
        self.nodes.scope = "output"
        return self._dense(h, self.params.output)

    def _embedded(self, rows: PreparedNodes) -> str:
        """What the first layer is given: embedded numbers, columns, embedded categories."""
        nodes, parts = self.nodes, []
        nodes.scope = "embedding"
        if rows.numbers is not None:
            parts.append(self._numbers(smooth_clip_nodes(nodes, rows.numbers, self.dtype)))
        if rows.columns is not None:
            parts.append(nodes.add("Unsqueeze", rows.columns, nodes.integers([0])))
        for place, (table, code) in enumerate(zip(self.params.categories, rows.codes, strict=True)):
            name = nodes.array(f"embedding.categories.{place}", np.asarray(table))
            parts.append(nodes.add("Gather", name, code, axis=1))
        if not parts:
            refuse_constant()
        if len(parts) > 1:
            every = nodes.integers([self.members, 1, 1])
            parts = [nodes.add("Expand", part, every) for part in parts]
            parts = [nodes.add("Concat", *parts, axis=2)]
        h = nodes.add("Unsqueeze", parts[0], nodes.integers([1]))
        if self.params.scale is not None:
            h = nodes.add("Mul", h, self._vector("scale", self.params.scale))
        return h

    def _numbers(self, x: str) -> str:
        """Embedded numbers, shape (members or 1, rows, features)."""
        nodes, embedding = self.nodes, self.params.embedding
        if embedding is None:
            return nodes.add("Unsqueeze", x, nodes.integers([0]))
        # (1, numbers, rows, 1)
        x = nodes.add("Unsqueeze", nodes.add("Transpose", x, perm=[1, 0]), nodes.integers([0, 3]))
        if isinstance(embedding, PeriodicEmbedding):
            made = self._periodic(x, embedding)
            # A product with 1 gives every member its own.
            ones = nodes.array("embedding.ones", np.ones((self.members, 1, 1, 1), self.dtype))
            made = nodes.add("Concat", made, nodes.add("Mul", x, ones), axis=3)
            width = embedding.bias.shape[-1] + 1
        else:
            made = self._piecewise_linear(x, embedding)
            width = embedding.bias.shape[-1]
        made = nodes.add("Transpose", made, perm=[0, 2, 1, 3])
        features = embedding.bias.shape[1] * width
        return nodes.add("Reshape", made, nodes.integers([0, 0, features]))

    def _periodic(self, x: str, embedding: PeriodicEmbedding) -> str:
        nodes = self.nodes
        frequency = self._by_number("frequency", embedding.frequency)
        turn = nodes.constant(2 * np.pi, self.dtype)
        angle = nodes.add("Mul", nodes.add("Mul", turn, x), frequency)
        waves = nodes.add("Cos", nodes.add("Add", angle, self._by_number("phase", embedding.phase)))
        product = nodes.add(
            "MatMul", waves, nodes.array("embedding.kernel", np.asarray(embedding.kernel))
        )
        return nodes.add("Add", product, self._by_number("bias", embedding.bias))

    def _piecewise_linear(self, x: str, embedding: PiecewiseLinearEmbedding) -> str:
        nodes = self.nodes
        assert self.bins is not None
        low, width = (np.asarray(part) for part in self.bins)
        used = width > 0
        place = np.arange(width.shape[1])
        last = place == used.sum(axis=1, keepdims=True) - 1
        # The first bin goes on below and the last one above; one that is not used is 0.
        low_end = np.where(used & (place == 0), -np.inf, 0.0).astype(width.dtype)
        high_end = np.where(used, np.where(last, np.inf, 1.0), 0.0).astype(width.dtype)
        share = nodes.add("Sub", x, self._by_number("bins.low", low[None]))
        divisor = np.where(used, width, 1).astype(width.dtype)
        share = nodes.add("Div", share, self._by_number("bins.width", divisor[None]))
        share = nodes.add("Max", share, self._by_number("bins.low_end", low_end[None]))
        share = nodes.add("Min", share, self._by_number("bins.high_end", high_end[None]))
        product = nodes.add(
            "MatMul", share, nodes.array("embedding.kernel", np.asarray(embedding.kernel))
        )
        linear = nodes.add("Mul", x, self._by_number("weight", embedding.weight))
        linear = nodes.add("Add", linear, self._by_number("bias", embedding.bias))
        return nodes.add("Add", linear, product)

    def _dense(self, h: str, layer: SharedDense) -> str:
        nodes = self.nodes
        if layer.input_scale is not None:
            h = nodes.add("Mul", h, self._vector("input_scale", layer.input_scale))
        kernel: Any = layer.kernel
        inputs = kernel.shape[-2]
        kernel = kernel if kernel.ndim == 4 else kernel[:, None]
        z = nodes.add("MatMul", h, nodes.array(f"{nodes.scope}.kernel", kernel))
        if self.config.ntk:
            z = nodes.add("Mul", z, nodes.constant(max(inputs, 1) ** -0.5, self.dtype))
        if layer.output_scale is not None:
            z = nodes.add("Mul", z, self._vector("output_scale", layer.output_scale))
        return nodes.add("Add", z, self._vector("bias", layer.bias))

    def _vector(self, name: str, array: Any) -> str:
        """One number per feature, of every member or of every network of it too."""
        array = array[:, :, None] if array.ndim == 3 else array[:, None, None]
        return self.nodes.array(f"{self.nodes.scope}.{name}", array)

    def _by_number(self, name: str, array: Any) -> str:
        """Numbers of an embedding, (members, numbers, k), which all rows share."""
        return self.nodes.array(f"{self.nodes.scope}.{name}", array[:, :, None])
