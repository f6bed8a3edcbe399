"""Turns a language and a key into a text of the page: one table, the same keys in each language."""

_WORDS: dict[str, tuple[str, str]] = {
    "language": ("en", "es"),
    "title": ("A network's training, seen from inside", "El entrenamiento de una red, visto por dentro"),
    "epoch": ("epoch", "época"),
    "epochs": ("epochs done", "épocas hechas"),
    "play": ("Play", "Reproducir"),
    "pause": ("Pause", "Pausa"),
    "rewind": ("To the start", "Al inicio"),
    "theme": ("Colours", "Colores"),
    "auto": ("as the system", "como el sistema"),
    "light": ("light", "claros"),
    "dark": ("dark", "oscuros"),
    "row": ("row", "fila"),
    "layer": ("layer", "capa"),
    "unit": ("unit", "unidad"),
    "input": ("input", "entrada"),
    "inputs": ("inputs", "entradas"),
    "hidden": ("hidden layer", "capa oculta"),
    "output": ("output layer", "capa de salida"),
    "bias": ("bias", "sesgo"),
    "weight": ("weight", "peso"),
    "value": ("value", "valor"),
    "start": ("start", "inicio"),
    "keys": (
        "Keys: arrows on the slider move through the epochs, space plays or pauses.",
        "Teclas: las flechas sobre el control recorren las épocas, el espacio reproduce o para.",
    ),
    "network": ("The network", "La red"),
    "network_text": (
        "Each line is a weight, each stub at a unit its bias. The wider, the larger; solid blue is positive, "
        "dashed orange negative. A unit is filled by its activation for the chosen row. Choose a line or a stub "
        "to follow it below.",
        "Cada línea es un peso; cada trazo junto a una unidad, su sesgo. Cuanto más ancho, mayor; azul continuo es "
        "positivo, naranja discontinuo negativo. El relleno de una unidad es su activación para la fila elegida. "
        "Elija una línea o un trazo para seguirlo abajo.",
    ),
    "network_alt": (
        "Drawing of the network at the chosen epoch: units in columns, weights and biases as lines",
        "Dibujo de la red en la época elegida: unidades en columnas, pesos y sesgos como líneas",
    ),
    "folded": ("more not drawn", "más sin dibujar"),
    "forward": ("One row through the network", "Una fila a través de la red"),
    "forward_text": (
        "For the chosen row, every step of the chosen unit with its numbers: the net input z = Σ w·x + b, then the "
        "activation a = f(z). The curve is f; the dot is this unit.",
        "Para la fila elegida, cada paso de la unidad elegida con sus números: la entrada neta z = Σ w·x + b, y la "
        "activación a = f(z). La curva es f; el punto es esta unidad.",
    ),
    "standardised": ("standardised: (x − mean) / deviation", "estandarizada: (x − media) / desviación"),
    "net_input": ("net input z", "entrada neta z"),
    "activation": ("activation a", "activación a"),
    "norm_layer": (
        "layer norm: n = (z − mean) / √(variance + ε) · scale + shift",
        "normalización de capa: n = (z − media) / √(varianza + ε) · escala + desplazamiento",
    ),
    "norm_rms": (
        "RMS norm: n = z / √(mean of z² + ε) · scale",
        "normalización RMS: n = z / √(media de z² + ε) · escala",
    ),
    "gate": ("gate: a = v · g(u), v and u two net inputs", "compuerta: a = v · g(u), v y u dos entradas netas"),
    "residual": ("residual: input of the layer + a", "residual: entrada de la capa + a"),
    "softmax": ("softmax: a = exp(z) / Σ exp(z)", "softmax: a = exp(z) / Σ exp(z)"),
    "others": ("others", "los demás"),
    "target": ("target", "objetivo"),
    "loss": ("loss", "pérdida"),
    "row_loss": ("loss of this row", "pérdida de esta fila"),
    "all_units": ("All units of the layer", "Todas las unidades de la capa"),
    "chain": ("The chain rule, by numbers", "La regla de la cadena, en números"),
    "chain_text": (
        "Backpropagation passes dL/da from the output back to each layer. For the chosen weight the gradient is a "
        "product of factors; L is the loss of the chosen row alone.",
        "La propagación hacia atrás lleva dL/da desde la salida hasta cada capa. Para el peso elegido el gradiente es "
        "un producto de factores; L es la pérdida de la fila elegida sola.",
    ),
    "through_norm": ("through the norm, which mixes the units", "a través de la normalización, que mezcla las unidades"),
    "through_softmax": ("through softmax, which mixes the outputs", "a través de softmax, que mezcla las salidas"),
    "product": ("product", "producto"),
    "before": ("before", "antes"),
    "after": ("after", "después"),
    "change": ("change", "cambio"),
    "change_text": (
        "The weight before and after, by all rows of the training batches:",
        "El peso antes y después, por todas las filas de los lotes de entrenamiento:",
    ),
    "first_epoch": ("This is the first recorded epoch.", "Esta es la primera época registrada."),
    "over_epochs": ("Layer by layer, over the epochs", "Capa por capa, a lo largo de las épocas"),
    "losses": ("Loss", "Pérdida"),
    "rows_loss": ("on these rows", "en estas filas"),
    "training_loss": ("in training", "en el entrenamiento"),
    "gradient_norms": ("Length of the gradient, dL/d(weights)", "Longitud del gradiente, dL/d(pesos)"),
    "update_ratios": ("Change per epoch by length of the weights", "Cambio por época entre longitud de los pesos"),
    "histogram": ("Net inputs z of the chosen layer", "Entradas netas z de la capa elegida"),
    "count": ("count", "cantidad"),
    "units": ("Dead units (solid) and saturated ones (dashed)", "Unidades muertas (línea continua) y saturadas (discontinua)"),
    "units_text": (
        "Dead: da/dz is 0 on every row. Saturated: |da/dz| is at most 0.05 on 95 % of them or more.",
        "Muerta: da/dz es 0 en todas las filas. Saturada: |da/dz| es a lo sumo 0.05 en el 95 % de ellas o más.",
    ),
    "regions": ("What the network answers in a plane", "Qué responde la red en un plano"),
    "regions_text": (
        "Colour is the answer, stronger where it is surer; lines are where a hidden unit's net input z is 0.",
        "El color es la respuesta, más intenso donde es más segura; las líneas, donde la entrada neta z de una unidad "
        "oculta es 0.",
    ),
    "plane_inputs": ("The plane of both inputs.", "El plano de las dos entradas."),
    "plane_pair": (
        "The plane of two chosen inputs; all others stand at their medians, but the points drawn have values of "
        "their own.",
        "El plano de dos entradas elegidas; las demás están en sus medianas, pero los puntos dibujados tienen sus "
        "propios valores.",
    ),
    "plane_principal": (
        "The plane of the first two principal components of the standardised inputs, through their mean; points are "
        "projected onto it. Share of the variance in it:",
        "El plano de las dos primeras componentes principales de las entradas estandarizadas, por su media; los puntos "
        "se proyectan en él. Parte de la varianza en él:",
    ),
    "plane_none": ("One input has no plane to draw.", "Una sola entrada no tiene plano que dibujar."),
    "component": ("principal component", "componente principal"),
    "confusion": ("Confusion matrix", "Matriz de confusión"),
    "confusion_text": ("Rows are true classes, columns predicted ones.", "Filas: clases verdaderas; columnas: predichas."),
    "right": ("right", "aciertos"),
    "residuals": ("Predictions and residuals", "Predicciones y residuos"),
    "prediction": ("prediction (first output)", "predicción (primera salida)"),
    "residual_spread": ("root mean square of target − prediction", "raíz de la media de (objetivo − predicción)²"),
    "settings": ("Settings, versions, seed", "Ajustes, versiones, semilla"),
    "key": ("random key of the run", "clave aleatoria de la ejecución"),
    "rows_given": ("rows handed over", "filas entregadas"),
    "rows_measured": ("rows measured", "filas medidas"),
    "rows_shown": ("rows held in this file", "filas guardadas en este archivo"),
    "recorded": ("recorded epochs", "épocas registradas"),
    "thinned": ("recorded epochs left out to keep the file small", "épocas registradas omitidas para reducir el archivo"),
    "precision": (
        "The page computes in double precision; the network computes in",
        "La página calcula en doble precisión; la red calcula en",
    ),
    "dropout": (
        "Nothing is dropped here, as in evaluation; in training, hidden activations are, at the rate",
        "Aquí no se anula nada, como al evaluar; en el entrenamiento se anulan activaciones ocultas, con la tasa",
    ),
    "licence": ("Figures by BokehJS, BSD 3-Clause.", "Figuras con BokehJS, BSD de 3 cláusulas."),
}  # fmt: skip
LANGUAGES = ("en", "es")


def texts(language: str) -> dict[str, str]:
    """Returns the texts of a language by key."""
    place = LANGUAGES.index(language)
    return {key: both[place] for key, both in _WORDS.items()}
