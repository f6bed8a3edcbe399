"""Turns outputs of networks into predictions of an estimator, as nodes of an ONNX graph."""

from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto

from ...interchange.onnx import TYPES, NodeList, activated
from ..heads import Head

# The least of `losses.gaussian_parameters`.
_MIN_SCALE = 1e-3


class Predicted(NamedTuple):
    """What a model gives: a tensor of a graph, its type, and its shape without the axis of rows."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class PredictionNodes:
    """Appends the nodes that do what an estimator's `predict` and the like do.

    Args:
        nodes: Where they go.
        estimator: A fitted one.
        dtype: Type of its networks' outputs.
    """

    def __init__(self, nodes: NodeList, estimator: Any, dtype: str) -> None:
        self.nodes, self.estimator, self.dtype = nodes, estimator, dtype
        self.head: Head = estimator._head
        self.targets: int = estimator.n_outputs_

    def of_network(self, outputs: str) -> dict[str, str]:
        """Names what the outputs of one network mean, shape (rows, outputs)."""
        self.nodes.scope = "predictions"
        return self._activated(outputs, axes=1)

    def of_members(self, outputs: str) -> dict[str, str]:
        """Averages what members say, a tensor of (members, networks, rows, outputs), in float64."""
        nodes = self.nodes
        nodes.scope = "predictions"
        activated_ = self._activated(outputs, axes=3)
        if self.head.loss == "gaussian":
            return self._mixed(**{name: self._wide(each) for name, each in activated_.items()})
        ((name, each),) = activated_.items()
        mean = nodes.mean(each, 1, keepdims=False)
        mean = nodes.mean(self._wide(mean), 0, keepdims=False)
        if self.head.out_activation == "softmax":
            total = nodes.add("ReduceSum", mean, nodes.integers([1]), keepdims=1)
            mean = nodes.add("Div", mean, total)
        return {name: mean}

    def classified(self, outputs: str, dtype: str, classes: np.ndarray) -> dict[str, Predicted]:
        """Returns "label" and "probabilities".

        Args:
            outputs: Probabilities, shape (rows, outputs).
            dtype: Their type.
            classes: What to call the classes: whole numbers or strings.
        """
        nodes, several = self.nodes, self.estimator._label_binarizer.y_type_ == "multiclass"
        nodes.scope = "label"
        if several:
            chosen = nodes.add("ArgMax", outputs, axis=1, keepdims=0)
            label = self._named(chosen, classes)
            return {"label": label, "probabilities": Predicted(outputs, dtype, (len(classes),))}
        is_above = nodes.add("Greater", outputs, nodes.constant(0.5, dtype))
        if self.targets > 1:
            labels = Predicted(nodes.cast(is_above, TensorProto.INT64), "int64", (self.targets,))
            return {"label": labels, "probabilities": Predicted(outputs, dtype, (self.targets,))}
        chosen = nodes.cast(nodes.add("Squeeze", is_above, nodes.integers([1])), TensorProto.INT64)
        # One class alone is that of all rows.
        label = self._named(chosen, classes[[0, -1]])
        other = nodes.add("Sub", nodes.constant(1.0, dtype), outputs)
        both = nodes.add("Concat", other, outputs, axis=1)
        return {"label": label, "probabilities": Predicted(both, dtype, (2,))}

    def numbers(self, named: dict[str, str], dtype: str) -> dict[str, Predicted]:
        """Returns "variable", and "std" or "quantiles" of losses that have them, in target units.

        Args:
            named: What `of_network` or `of_members` returned.
            dtype: Its type.
        """
        estimator = self.estimator
        self.nodes.scope = "targets"
        is_scaled = estimator.target_mean_ is not None
        if is_scaled:
            named = {
                name: self._in_target_units(name, self._wide(each, dtype))
                for name, each in named.items()
            }
            dtype = "float64"
        levels = self.head.outputs_per_target
        shapes = {"quantiles": (self.targets, levels)}
        made = {
            name: Predicted(each, dtype, shapes.get(name, (self.targets,)))
            for name, each in named.items()
        }
        if "quantiles" in made:
            made = self._with_nearest(made["quantiles"])
        if is_scaled and estimator.preset_ != "sklearn" and estimator.recipe_.clip:
            made["variable"] = self._clipped(made["variable"])
        return made

    def _in_target_units(self, name: str, values: str) -> str:
        """Does what `in_target_units` does."""
        nodes, estimator = self.nodes, self.estimator
        mean, scale = estimator.target_mean_, estimator.target_scale_
        if name == "quantiles":
            mean, scale = mean[:, None], scale[:, None]
        values = nodes.add("Mul", values, nodes.array(f"{name}.scale", scale))
        return (
            values if name == "std" else nodes.add("Add", values, nodes.array("targets.mean", mean))
        )

    def _activated(self, outputs: str, axes: int) -> dict[str, str]:
        """Does what `Head.activate` does, for outputs behind so many axes."""
        nodes, head = self.nodes, self.head
        if head.loss == "gaussian":
            halves = nodes.integers([self.targets] * 2)
            mean, raw = nodes.add_all("Split", outputs, halves, outputs=2, axis=-1)
            scale = activated(nodes, "softplus", raw, self.dtype)
            least = nodes.constant(_MIN_SCALE, self.dtype)
            return {"variable": mean, "std": nodes.add("Add", scale, least)}
        if head.loss == "quantile":
            levels = head.outputs_per_target
            shape = nodes.integers([*[0] * axes, self.targets, levels])
            by_target = nodes.add("Reshape", outputs, shape)
            in_order, _ = nodes.add_all(
                "TopK", by_target, nodes.integers([levels]), outputs=2, axis=-1, largest=0, sorted=1
            )
            return {"quantiles": in_order}
        names = {"softmax": "softmax", "logistic": "sigmoid"}
        if head.out_activation in names:
            made = activated(nodes, names[head.out_activation], outputs, self.dtype)
            return {"probabilities": made}
        return {"variable": nodes.add("Exp", outputs) if head.loss == "poisson" else outputs}

    def _mixed(self, variable: str, std: str) -> dict[str, str]:
        """Mean and deviation of a mixture of normal distributions, of two leading axes of them."""
        nodes = self.nodes

        def averaged(each: str) -> str:
            return nodes.mean(nodes.mean(each, 1, keepdims=False), 0, keepdims=False)

        mean = averaged(variable)
        # Var = E[Var] + Var[E]
        apart = nodes.add("Sub", variable, mean)
        between = averaged(nodes.add("Mul", apart, apart))
        within = averaged(nodes.add("Mul", std, std))
        return {"variable": mean, "std": nodes.add("Sqrt", nodes.add("Add", within, between))}

    def _with_nearest(self, quantiles: Predicted) -> dict[str, Predicted]:
        nodes = self.nodes
        nearest = nodes.integers([int(abs(self.estimator._options - 0.5).argmin())])
        chosen = nodes.add("Gather", quantiles.name, nearest, axis=-1)
        chosen = nodes.add("Squeeze", chosen, nodes.integers([2]))
        if self.targets == 1:
            levels = quantiles.shape[1:]
            only = nodes.add("Squeeze", quantiles.name, nodes.integers([1]))
            quantiles = quantiles._replace(name=only, shape=levels)
        variable = Predicted(chosen, quantiles.dtype, (self.targets,))
        return {"variable": variable, "quantiles": quantiles}

    def _clipped(self, variable: Predicted) -> Predicted:
        nodes = self.nodes
        least, most = self.estimator.target_range_
        above = nodes.add("Max", variable.name, nodes.array("targets.least", least))
        return variable._replace(name=nodes.add("Min", above, nodes.array("targets.most", most)))

    def _named(self, chosen: str, classes: np.ndarray) -> Predicted:
        """Labels of the classes at places, shape (rows,)."""
        if classes.dtype == np.int64:
            table = self.nodes.array("label.classes", classes)
            return Predicted(self.nodes.add("Gather", table, chosen), "int64", ())
        label = self.nodes.add(
            "LabelEncoder",
            chosen,
            domain="ai.onnx.ml",
            keys_int64s=[*range(len(classes))],
            values_strings=[str(each).encode() for each in classes],
        )
        return Predicted(label, "string", ())

    def _wide(self, name: str, dtype: str | None = None) -> str:
        if (dtype or self.dtype) == "float64":
            return name
        return self.nodes.cast(name, TYPES["float64"])
