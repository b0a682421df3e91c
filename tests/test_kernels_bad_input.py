"""Every bad argument of a kernel raises before anything is changed, and says what is wrong.

Each line of the table replaces one argument of a valid call.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onepass import kernels


def f32(*shape: int) -> NDArray[np.float32]:
    return np.linspace(0.1, 0.9, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def f64(*shape: int) -> NDArray[np.float64]:
    return f32(*shape).astype(np.float64)


def read_only(array: NDArray) -> NDArray:
    array.flags.writeable = False
    return array


def columns(*shape: int) -> NDArray[np.float32]:
    """Return an array whose rows have gaps, which no kernel can write to."""
    return f32(*shape[:-1], 2 * shape[-1])[..., ::2]


def misaligned(*shape: int) -> NDArray[np.float32]:
    return np.frombuffer(bytearray(4 * int(np.prod(shape)) + 1), np.float32, -1, 1).reshape(shape)


def one_row_many_times(*shape: int) -> NDArray[np.float32]:
    return np.lib.stride_tricks.as_strided(f32(shape[-1]), shape, (0, 4))


SHARED = f32(40)
INT = np.arange(3)
SPARSE = "categorical_crossentropy_from_logits"

# n = 3 rows, i = 4 inputs, o = 5 outputs
VALID: dict[str, dict[str, Any]] = {
    "dense_forward": {"x": f32(3, 4), "w": f32(4, 5), "b": f32(5), "activation": "tanh"},
    "dense_backward": {"x": f32(3, 4), "w": f32(4, 5), "y": f32(3, 5), "dy": f32(3, 5)},
    "dense_backward_input": {
        "dz": f32(3, 5),
        "w": f32(4, 5),
        "activation": "tanh",
        "y": f32(3, 4),
    },
    "dense_backward_weights": {"x": f32(3, 4), "dz": f32(3, 5)},
    "activation_forward": {"x": f32(3, 4), "activation": "leaky_relu"},
    "activation_backward": {"y": f32(3, 4), "dy": f32(3, 4), "activation": "tanh"},
    "softmax": {"x": f32(3, 4)},
    "softmax_backward": {"y": f32(3, 4), "dy": f32(3, 4)},
    "log_softmax": {"x": f32(3, 4)},
    "log_softmax_backward": {"y": f32(3, 4), "dy": f32(3, 4)},
    "sparsemax": {"x": f32(3, 4)},
    "sparsemax_backward": {"y": f32(3, 4), "dy": f32(3, 4)},
    "glu": {"x": f32(3, 4)},
    "glu_backward": {"x": f32(3, 4), "dy": f32(3, 2)},
    "dropout": {"x": f32(3, 4), "rate": 0.5, "key": (1, 2)},
    "batch_norm_forward": {"x": f32(3, 4), "gamma": f32(4), "beta": f32(4)},
    "batch_norm_inference": {
        "x": f32(3, 4),
        "moving_mean": f32(4),
        "moving_variance": f32(4),
        "gamma": f32(4),
        "beta": f32(4),
    },
    "batch_norm_backward": {
        "x": f32(3, 4),
        "dy": f32(3, 4),
        "statistics": f32(4, 4),
        "gamma": f32(4),
    },
    "moving_statistics_": {
        "moving_mean": f32(4),
        "moving_variance": f32(4),
        "statistics": f32(4, 4),
    },
    "layer_norm_forward": {"x": f32(3, 4), "gamma": f32(4), "beta": f32(4)},
    "layer_norm_backward": {
        "x": f32(3, 4),
        "dy": f32(3, 4),
        "statistics": f32(3, 3),
        "gamma": f32(4),
    },
    "rms_norm_forward": {"x": f32(3, 4), "scale": f32(4)},
    "rms_norm_backward": {
        "x": f32(3, 4),
        "dy": f32(3, 4),
        "statistics": f32(3, 3),
        "scale": f32(4),
    },
    "unit_norm_forward": {"x": f32(3, 4)},
    "unit_norm_backward": {"x": f32(3, 4), "dy": f32(3, 4), "statistics": f32(3, 3)},
    "combine": {"a": f32(3, 4), "b": f32(4), "op": "multiply"},
    "combine_backward": {"a": f32(3, 4), "b": f32(4), "dy": f32(3, 4), "op": "multiply"},
    "scaled_copy": {"x": f32(3, 1), "scale": 2.0, "shape": (3, 4)},
    "scaled_sum": {"x": f32(3, 2, 4), "scale": 2.0, "shape": (2, 4)},
    "embedding": {"index": INT, "table": f32(3, 4)},
    "embedding_backward": {"index": INT, "dy": f32(3, 4), "rows": 3},
    "alpha_dropout": {"x": f32(3, 4), "rate": 0.5, "key": (1, 2)},
    "gaussian_dropout": {"x": f32(3, 4), "rate": 0.5, "key": (1, 2)},
    "gaussian_noise": {"x": f32(3, 4), "stddev": 0.5, "key": (1, 2)},
    "rrelu": {"x": f32(3, 4), "key": (1, 2), "lower": 0.1, "upper": 0.2},
    "rrelu_backward": {"y": f32(3, 4), "dy": f32(3, 4), "key": (1, 2)},
    "circle": {
        "labels": INT,
        "embeddings": f32(3, 4),
        "ref_labels": INT,
        "ref_embeddings": f32(3, 4),
        "weights": f32(3),
    },
    "loss": {"target": INT, "prediction": f32(3, 4), "loss": SPARSE},
    "row_accuracy": {"target": INT, "prediction": f32(3, 4), "kind": "sparse_categorical"},
    "weighted_sum": {"values": f32(3), "weights": f32(3)},
    "confusion_counts": {
        "target": f32(3, 4),
        "prediction": f32(3, 4),
        "thresholds": [0.2, 0.5],
        "weights": f32(3),
    },
    "column_sums": {"target": f32(3, 4), "prediction": f32(3, 4), "weights": f32(3)},
    "gather_rows": {"source": f32(3, 4), "index": INT},
    "penalty": {"x": f32(3, 4), "l1": 0.1, "l2": 0.2},
    "constrain_": {"x": f32(3, 4), "kind": "column_norms"},
    "global_norm": {"arrays": [f32(3), f32(2, 2)]},
    "clip_by_value_": {"x": f32(3, 4), "clipvalue": 1.0},
    "clip_by_norm_": {"x": f32(3, 4), "clipnorm": 1.0},
    "clip_by_global_norm_": {"arrays": [f32(3), f32(2, 2)], "global_clipnorm": 1.0},
}

# kernel, argument, value, error, words of the message
Case = tuple[str, str, Any, type[Exception], list[str]]


def dtype_cases(kernel: str, argument: str, shape: tuple[int, ...], first: bool) -> list[Case]:
    """Return what every float array refuses; the first decides the dtype of the others."""
    words = [argument, "float32 or float64"]
    cases: list[Case] = [
        (kernel, argument, np.ones(shape, int), TypeError, [*words, "got int64"]),
        (kernel, argument, np.ones(shape, bool), TypeError, [*words, "got bool"]),
        (kernel, argument, np.ones(shape, np.float16), TypeError, [*words, "got float16"]),
        (kernel, argument, np.ones(shape, complex), TypeError, [*words, "got complex128"]),
        (kernel, argument, "text", TypeError, [*words, "got <U4"]),
        (kernel, argument, object(), TypeError, [*words, "got object"]),
        (kernel, argument, [[1.0], [1.0, 2.0]], TypeError, [argument, "array", "got list"]),
    ]
    if not first:
        mixed = [argument, "must be float32", "got float64"]
        cases.append((kernel, argument, f64(*shape), TypeError, mixed))
    return cases


def output_cases(
    kernel: str, argument: str, shape: tuple[int, ...], fits: bool = True
) -> list[Case]:
    """Return what every array that is written to refuses; ``fits``: it must match other arrays."""
    rows = [argument, "contiguous, aligned rows", "strides"]
    cases: list[Case] = [
        (kernel, argument, f32(*shape).tolist(), TypeError, [argument, "NumPy array", "got list"]),
        (kernel, argument, np.ones(shape, int), TypeError, [argument, "got int64"]),
        (kernel, argument, f32(*shape).astype(">f4"), TypeError, [argument, "got >f4"]),
        (kernel, argument, read_only(f32(*shape)), ValueError, [argument, "read-only"]),
        (kernel, argument, columns(*shape), ValueError, rows),
        (kernel, argument, misaligned(*shape), ValueError, rows),
        (kernel, argument, one_row_many_times(*shape), ValueError, rows),
    ]
    if fits:
        cases += [
            (kernel, argument, f64(*shape), TypeError, [argument, "float32", "got float64"]),
            (kernel, argument, f32(7, 7), ValueError, [argument, str(shape), "got (7, 7)"]),
        ]
    return cases


def shape_cases(kernel: str, argument: str, expected: str, *shapes: tuple[int, ...]) -> list[Case]:
    return [
        (kernel, argument, f32(*shape), ValueError, [argument, expected, f"got {shape}"])
        for shape in shapes
    ]


def number_cases(kernel: str, argument: str) -> list[Case]:
    cases: list[Case] = [
        (kernel, argument, value, ValueError, [argument, "must be", f"got {value}"])
        for value in (np.nan, np.inf)
    ]
    for value in ("1", None, True, [1.0], 1j):
        got = f"got {type(value).__name__}"
        cases.append((kernel, argument, value, TypeError, [argument, "number", got]))
    return cases


def activation_cases(kernel: str) -> list[Case]:
    return [
        (kernel, "activation", "tanhh", ValueError, ["activation", "linear, relu", "'tanhh'"]),
        (kernel, "activation", None, TypeError, ["activation", "string", "NoneType"]),
        (kernel, "slope", 1.0, TypeError, ["hyper-parameters", "slope"]),
    ]


CASES: list[Case] = [
    *dtype_cases("dense_forward", "x", (3, 4), True),
    *dtype_cases("dense_forward", "w", (4, 5), False),
    *dtype_cases("dense_forward", "b", (5,), False),
    *shape_cases("dense_forward", "x", "(n, i)", (4,), (1, 3, 4)),
    *shape_cases("dense_forward", "w", "(i, o)", (20,), ()),
    *shape_cases("dense_forward", "w", "(4, 5)", (3, 5)),
    *shape_cases("dense_forward", "b", "(5,)", (4,), (1, 5), ()),
    *output_cases("dense_forward", "out", (3, 5)),
    *output_cases("dense_forward", "z", (3, 5)),
    *activation_cases("dense_forward"),
    *dtype_cases("dense_backward", "x", (3, 4), True),
    *dtype_cases("dense_backward", "w", (4, 5), False),
    *dtype_cases("dense_backward", "y", (3, 5), False),
    *dtype_cases("dense_backward", "dy", (3, 5), False),
    *shape_cases("dense_backward", "x", "(n, i)", (4,)),
    *shape_cases("dense_backward", "w", "(4, 5)", (5, 5)),
    *shape_cases("dense_backward", "y", "(3, 5)", (2, 5), (5, 3)),
    *shape_cases("dense_backward", "dy", "(3, 5)", (3, 4)),
    *activation_cases("dense_backward"),
    *dtype_cases("dense_backward_input", "dz", (3, 5), True),
    *dtype_cases("dense_backward_input", "w", (4, 5), False),
    *dtype_cases("dense_backward_input", "y", (3, 4), False),
    *shape_cases("dense_backward_input", "dz", "(n, o)", (5,)),
    *shape_cases("dense_backward_input", "w", "(4, 5)", (4, 4)),
    *shape_cases("dense_backward_input", "y", "(3, 4)", (3, 5)),
    *shape_cases("dense_backward_input", "z", "(3, 4)", (4, 3)),
    *output_cases("dense_backward_input", "out", (3, 4)),
    *activation_cases("dense_backward_input"),
    ("dense_backward_input", "y", None, ValueError, ["y", "tanh", "None"]),
    *dtype_cases("dense_backward_weights", "x", (3, 4), True),
    *dtype_cases("dense_backward_weights", "dz", (3, 5), False),
    *shape_cases("dense_backward_weights", "x", "(n, i)", (3,)),
    *shape_cases("dense_backward_weights", "dz", "(3, 5)", (2, 5)),
    *dtype_cases("activation_forward", "x", (3, 4), True),
    *output_cases("activation_forward", "out", (3, 4)),
    *activation_cases("activation_forward"),
    *number_cases("activation_forward", "negative_slope"),
    ("activation_forward", "negative_slope", -0.1, ValueError, ["negative_slope", "0", "-0.1"]),
    *dtype_cases("activation_backward", "y", (3, 4), True),
    *dtype_cases("activation_backward", "dy", (3, 4), False),
    *dtype_cases("activation_backward", "x", (3, 4), False),
    *shape_cases("activation_backward", "dy", "(3, 4)", (3, 5), (12,)),
    *shape_cases("activation_backward", "x", "(3, 4)", (4, 3)),
    *output_cases("activation_backward", "out", (3, 4)),
    *activation_cases("activation_backward"),
    *(
        case
        for name in ("softmax", "log_softmax", "sparsemax")
        for case in (
            *dtype_cases(name, "x", (3, 4), True),
            (name, "x", np.float32(1), ValueError, ["x", "1 dimension", "scalar"]),
            *output_cases(name, "out", (3, 4)),
            *dtype_cases(f"{name}_backward", "y", (3, 4), True),
            *dtype_cases(f"{name}_backward", "dy", (3, 4), False),
            *shape_cases(f"{name}_backward", "dy", "(3, 4)", (4, 3)),
            *output_cases(f"{name}_backward", "out", (3, 4)),
        )
    ),
    ("glu", "x", f32(3, 5), ValueError, ["x", "even", "(3, 5)"]),
    *dtype_cases("glu", "x", (3, 4), True),
    *output_cases("glu", "out", (3, 2)),
    *dtype_cases("glu_backward", "x", (3, 4), True),
    *dtype_cases("glu_backward", "dy", (3, 2), False),
    *shape_cases("glu_backward", "dy", "(3, 2)", (3, 4), (2, 2)),
    *output_cases("glu_backward", "out", (3, 4)),
    *dtype_cases("dropout", "x", (3, 4), True),
    ("dropout", "x", f32(3), ValueError, ["x", "2 dimensions", "(3,)"]),
    *number_cases("dropout", "rate"),
    ("dropout", "rate", 1.5, ValueError, ["rate", "from 0 to 1", "1.5"]),
    ("dropout", "key", 3, TypeError, ["key", "tuple", "3"]),
    ("dropout", "key", (1, -1), ValueError, ["key[1]", "-1"]),
    ("dropout", "key", (1.0, 1), TypeError, ["key[0]", "float"]),
    ("dropout", "draw", 1 << 32, ValueError, ["draw", str(1 << 32)]),
    ("dropout", "first", -1, ValueError, ["first", "-1"]),
    *output_cases("dropout", "out", (3, 4)),
    *dtype_cases("combine", "a", (3, 4), True),
    *dtype_cases("combine", "b", (4,), False),
    ("combine", "b", f32(3), ValueError, ["b of shape (3,)", "a of shape (3, 4)", "broadcast"]),
    ("combine", "b", f32(2, 5, 4), ValueError, ["b of shape (2, 5, 4)", "a of shape (3, 4)"]),
    *output_cases("combine", "out", (3, 4)),
    ("combine", "op", "plus", ValueError, ["op", "add, subtract", "'plus'"]),
    ("combine", "op", None, TypeError, ["op", "string", "NoneType"]),
    *dtype_cases("combine_backward", "a", (3, 4), True),
    *dtype_cases("combine_backward", "b", (4,), False),
    *dtype_cases("combine_backward", "dy", (3, 4), False),
    *shape_cases("combine_backward", "dy", "(3, 4)", (4,), (3, 5)),
    ("combine_backward", "op", "plus", ValueError, ["op", "add, subtract", "'plus'"]),
    *dtype_cases("scaled_copy", "x", (3, 1), True),
    *number_cases("scaled_copy", "scale"),
    ("scaled_copy", "shape", (4, 4), ValueError, ["x", "(3, 1)", "(4, 4)"]),
    ("scaled_copy", "shape", 4, TypeError, ["shape", "int"]),
    ("scaled_copy", "shape", (3, 4.0), TypeError, ["shape", "float"]),
    ("scaled_copy", "shape", (3, -1), ValueError, ["shape", "-1"]),
    *output_cases("scaled_copy", "out", (3, 4)),
    *dtype_cases("scaled_sum", "x", (3, 2, 4), True),
    *number_cases("scaled_sum", "scale"),
    ("scaled_sum", "shape", (3, 2, 2), ValueError, ["shape", "(3, 2, 2)", "(3, 2, 4)"]),
    ("scaled_sum", "shape", (1, 3, 2, 4), ValueError, ["shape", "(1, 3, 2, 4)", "(3, 2, 4)"]),
    *output_cases("scaled_sum", "out", (2, 4)),
    *dtype_cases("embedding", "table", (3, 4), True),
    *shape_cases("embedding", "table", "(r, c)", (4,), (1, 3, 4)),
    *output_cases("embedding", "out", (3, 4)),
    ("embedding", "index", f32(3), TypeError, ["index", "integers", "float32"]),
    ("embedding", "index", [0, 3], IndexError, ["index", "0 to 2", "3 at position 1"]),
    ("embedding", "index", [[-1]], IndexError, ["index", "0 to 2", "-1 at position 0"]),
    *dtype_cases("embedding_backward", "dy", (3, 4), True),
    *shape_cases("embedding_backward", "dy", "(3, 4)", (2, 4), (4,)),
    ("embedding_backward", "rows", -1, ValueError, ["rows", "-1"]),
    ("embedding_backward", "rows", 2.0, TypeError, ["rows", "float"]),
    ("embedding_backward", "rows", 2, IndexError, ["index", "0 to 1", "2 at position 2"]),
    *dtype_cases("alpha_dropout", "x", (3, 4), True),
    *number_cases("alpha_dropout", "rate"),
    ("alpha_dropout", "rate", 1.0, ValueError, ["rate", "below 1", "1.0"]),
    ("gaussian_dropout", "rate", 1, ValueError, ["rate", "below 1", "got 1"]),
    *number_cases("gaussian_dropout", "rate"),
    *output_cases("gaussian_dropout", "out", (3, 4)),
    *number_cases("gaussian_noise", "stddev"),
    ("gaussian_noise", "stddev", -1.0, ValueError, ["stddev", "from 0 up", "-1.0"]),
    ("gaussian_noise", "key", (1, 1 << 32), ValueError, ["key[1]", str(1 << 32)]),
    *output_cases("gaussian_noise", "out", (3, 4)),
    *dtype_cases("rrelu", "x", (3, 4), True),
    *number_cases("rrelu", "lower"),
    *number_cases("rrelu", "upper"),
    ("rrelu", "lower", -0.1, ValueError, ["lower", "from 0 up", "-0.1"]),
    ("rrelu", "lower", 0.3, ValueError, ["lower", "at most upper", "0.2", "0.3"]),
    *output_cases("rrelu", "out", (3, 4)),
    *dtype_cases("rrelu_backward", "y", (3, 4), True),
    *dtype_cases("rrelu_backward", "dy", (3, 4), False),
    *shape_cases("rrelu_backward", "dy", "(3, 4)", (3, 3)),
    *output_cases("rrelu_backward", "out", (3, 4)),
    *dtype_cases("circle", "embeddings", (3, 4), True),
    *shape_cases("circle", "embeddings", "(n, c)", (3,), (3, 4, 1)),
    *dtype_cases("circle", "ref_embeddings", (3, 4), False),
    *shape_cases("circle", "ref_embeddings", "as embeddings", (3, 3), (3,)),
    *dtype_cases("circle", "weights", (3,), False),
    *shape_cases("circle", "weights", "(3,)", (4,), (3, 1)),
    ("circle", "labels", f32(3), TypeError, ["labels", "integers", "float32"]),
    ("circle", "labels", np.zeros((3, 2), int), ValueError, ["labels", "(3,)", "(3, 2)"]),
    ("circle", "labels", np.array([0, 1, 2**31]), ValueError, ["labels", "32 bits", str(2**31)]),
    ("circle", "ref_labels", np.zeros(4, int), ValueError, ["ref_labels", "(3,)", "(4,)"]),
    *number_cases("circle", "gamma"),
    *number_cases("circle", "margin"),
    *number_cases("circle", "scale"),
    ("circle", "gamma", -1.0, ValueError, ["gamma", "from 0 up", "-1.0"]),
    ("circle", "remove_diagonal", 1, TypeError, ["remove_diagonal", "bool", "int"]),
    ("circle", "over_positive", None, TypeError, ["over_positive", "bool", "NoneType"]),
    *dtype_cases("loss", "prediction", (3, 4), True),
    *dtype_cases("loss", "weights", (3,), False),
    *shape_cases("loss", "weights", "(3,)", (4,), (3, 1), ()),
    *shape_cases("loss", "target", "(3, 4)", (3,), (4, 3)),
    *output_cases("loss", "probabilities", (3, 4)),
    *number_cases("loss", "scale"),
    *number_cases("loss", "label_smoothing"),
    ("loss", "label_smoothing", 1.5, ValueError, ["label_smoothing", "from 0 to 1", "1.5"]),
    ("loss", "label_smoothing", -0.1, ValueError, ["label_smoothing", "from 0 to 1", "-0.1"]),
    ("loss", "loss", "mse", ValueError, ["loss", "mean_squared_error", "'mse'"]),
    ("loss", "loss", "mean_squared_error", TypeError, ["target", "float32", "int64"]),
    ("loss", "target", f64(3, 4), TypeError, ["target", "must be float32", "float64"]),
    ("loss", "target", np.array([0, 4, 1]), IndexError, ["target", "0 to 3", "4 at position 1"]),
    ("loss", "target", np.array([0, -1, 9]), IndexError, ["target", "0 to 3", "-1 at position 1"]),
    ("loss", "target", np.ones((3, 4), int), ValueError, ["target", "(3,)", "(3, 4)"]),
    ("loss", "target", np.ones(3, bool), TypeError, ["target", "got bool"]),
    ("loss", "prediction", f32(3, 0), IndexError, ["target", "empty", "position 0"]),
    ("loss", "slope", 1.0, TypeError, ["hyper-parameters", "slope"]),
    *dtype_cases("row_accuracy", "prediction", (3, 4), True),
    *number_cases("row_accuracy", "threshold"),
    ("row_accuracy", "kind", "top", ValueError, ["kind", "binary, categorical", "'top'"]),
    ("row_accuracy", "kind", "binary", TypeError, ["target", "float32", "int64"]),
    ("row_accuracy", "target", f32(3), TypeError, ["target", "integers", "float32"]),
    ("row_accuracy", "target", np.arange(4), ValueError, ["target", "(3,)", "(4,)"]),
    ("row_accuracy", "target", INT + 2, IndexError, ["target", "0 to 3", "4 at position 2"]),
    ("row_accuracy", "prediction", f32(3, 0), ValueError, ["prediction", "1 class", "(3, 0)"]),
    ("row_accuracy", "k", 0, ValueError, ["k", "at least 1", "0"]),
    ("row_accuracy", "k", 2.0, TypeError, ["k", "integer", "float"]),
    *dtype_cases("confusion_counts", "prediction", (3, 4), True),
    *dtype_cases("confusion_counts", "target", (3, 4), False),
    *dtype_cases("confusion_counts", "weights", (3,), False),
    *shape_cases("confusion_counts", "target", "(3, 4)", (3,), (4, 3)),
    *shape_cases("confusion_counts", "weights", "(3,)", (4,), (3, 4)),
    ("confusion_counts", "thresholds", 1, ValueError, ["thresholds", "at least 2", "1"]),
    ("confusion_counts", "thresholds", 0.5, TypeError, ["thresholds", "integer", "float"]),
    ("confusion_counts", "thresholds", [0.5, 0.2], ValueError, ["thresholds", "ascending"]),
    ("confusion_counts", "thresholds", [np.nan], ValueError, ["thresholds", "ascending"]),
    ("confusion_counts", "thresholds", [], ValueError, ["thresholds", "ascending"]),
    ("confusion_counts", "thresholds", [[0.5]], ValueError, ["thresholds", "(t,)"]),
    ("confusion_counts", "top_k", 0, ValueError, ["top_k", "at least 1", "0"]),
    *dtype_cases("column_sums", "prediction", (3, 4), True),
    *dtype_cases("column_sums", "target", (3, 4), False),
    *dtype_cases("column_sums", "weights", (3,), False),
    *shape_cases("column_sums", "target", "(3, 4)", (3,), (4, 3)),
    *shape_cases("column_sums", "weights", "(3,)", (4,), (3, 4)),
    ("column_sums", "kind", "misses", ValueError, ["kind", "hits, errors", "'misses'"]),
    ("column_sums", "threshold", "1", TypeError, ["threshold", "number", "str"]),
    *dtype_cases("weighted_sum", "values", (3,), True),
    *dtype_cases("weighted_sum", "weights", (3,), False),
    *shape_cases("weighted_sum", "weights", "(3,)", (4,), (3, 1)),
    *dtype_cases("penalty", "x", (3, 4), True),
    *number_cases("penalty", "l1"),
    *number_cases("penalty", "l2"),
    ("penalty", "l2", -0.1, ValueError, ["l2", "from 0 up", "-0.1"]),
    *output_cases("penalty", "gradient", (3, 4)),
    *output_cases("constrain_", "x", (3, 4), fits=False),
    *number_cases("constrain_", "low"),
    *number_cases("constrain_", "high"),
    *number_cases("constrain_", "rate"),
    ("constrain_", "kind", "max_norm", ValueError, ["kind", "column_norms", "'max_norm'"]),
    ("constrain_", "low", 2.0, ValueError, ["low", "must not exceed high", "2.0 and 1.0"]),
    ("constrain_", "rate", -0.1, ValueError, ["rate", "from 0 to 1", "-0.1"]),
    ("gather_rows", "source", np.ones((3, 4), int), TypeError, ["source", "uint8", "int64"]),
    ("gather_rows", "source", np.float32(1), ValueError, ["source", "1 dimension", "scalar"]),
    ("gather_rows", "index", f32(3), TypeError, ["index", "integers", "float32"]),
    ("gather_rows", "index", np.ones(3, bool), TypeError, ["index", "integers", "bool"]),
    ("gather_rows", "index", np.ones((3, 1), int), ValueError, ["index", "(n,)", "(3, 1)"]),
    ("gather_rows", "index", [0, 3], IndexError, ["index", "0 to 2", "3 at position 1"]),
    ("gather_rows", "index", [-1], IndexError, ["index", "0 to 2", "-1 at position 0"]),
    ("gather_rows", "index", np.uint64([2**63]), IndexError, ["index", "0 to 2", str(2**63)]),
    ("gather_rows", "dtype", np.float16, TypeError, ["dtype", "float32 or float64", "float16"]),
    *number_cases("gather_rows", "scale"),
    ("global_norm", "arrays", f32(3), TypeError, ["arrays", "list or tuple", "ndarray"]),
    ("global_norm", "arrays", None, TypeError, ["arrays", "list or tuple", "NoneType"]),
    ("global_norm", "arrays", [f32(2), f64(2)], TypeError, ["arrays[1]", "float32", "float64"]),
    ("global_norm", "arrays", [INT], TypeError, ["arrays[0]", "float32 or float64", "int64"]),
    *output_cases("clip_by_value_", "x", (3, 4), fits=False),
    *output_cases("clip_by_norm_", "x", (3, 4), fits=False),
    ("clip_by_global_norm_", "arrays", f32(3), TypeError, ["arrays", "list or tuple", "ndarray"]),
    (
        "clip_by_global_norm_",
        "arrays",
        [f32(2), f64(2)],
        TypeError,
        ["arrays[1]", "float32", "float64"],
    ),
    (
        "clip_by_global_norm_",
        "arrays",
        [f32(2), read_only(f32(2))],
        ValueError,
        ["arrays[1]", "read-only"],
    ),
    (
        "clip_by_global_norm_",
        "arrays",
        [SHARED[:3], SHARED[2:5]],
        ValueError,
        ["arrays[1]", "overlap", "arrays[0]"],
    ),
]
for clip, limit in (
    ("clip_by_value_", "clipvalue"),
    ("clip_by_norm_", "clipnorm"),
    ("clip_by_global_norm_", "global_clipnorm"),
):
    CASES += number_cases(clip, limit)
    for not_positive in (0, -1.0):
        CASES.append((clip, limit, not_positive, ValueError, [limit, "above 0", str(not_positive)]))


for norm in ("batch_norm", "layer_norm", "rms_norm", "unit_norm"):
    forward, backward = f"{norm}_forward", f"{norm}_backward"
    statistics = "(4, 4)" if norm == "batch_norm" else "(3, 3)"
    for kernel in (forward, backward):
        CASES += dtype_cases(kernel, "x", (3, 4), True)
        CASES.append((kernel, "x", np.float32(1), ValueError, ["x", "1 dimension", "scalar"]))
        CASES += output_cases(kernel, "out", (3, 4))
        for name in ("gamma", "beta", "scale"):
            if name in VALID[kernel]:
                CASES += dtype_cases(kernel, name, (4,), False)
                CASES += shape_cases(kernel, name, "(4,)", (3,), (1, 4), ())
    CASES += dtype_cases(backward, "dy", (3, 4), False)
    CASES += shape_cases(backward, "dy", "(3, 4)", (4, 3), (12,))
    CASES += dtype_cases(backward, "statistics", (3, 3), False)
    CASES += shape_cases(backward, "statistics", statistics, (3, 4), (3,))
    if norm != "unit_norm":
        CASES += number_cases(forward, "epsilon")
        CASES.append((forward, "epsilon", -1.0, ValueError, ["epsilon", "from 0", "-1.0"]))
CASES += number_cases("batch_norm_inference", "epsilon")
for name in ("moving_mean", "moving_variance"):
    CASES += dtype_cases("batch_norm_inference", name, (4,), False)
    CASES += shape_cases("batch_norm_inference", name, "(4,)", (3,), (1, 4))
    CASES += [
        ("moving_statistics_", name, f32(4).tolist(), TypeError, [name, "NumPy array", "list"]),
        ("moving_statistics_", name, np.ones(4, int), TypeError, [name, "got int64"]),
        ("moving_statistics_", name, read_only(f32(4)), ValueError, [name, "read-only"]),
        ("moving_statistics_", name, columns(4), ValueError, [name, "contiguous"]),
    ]
CASES += [
    ("moving_statistics_", "moving_variance", f64(4), TypeError, ["moving_variance", "float32"]),
    *shape_cases("moving_statistics_", "moving_mean", "(c,)", (4, 1), (2, 2)),
    *shape_cases("moving_statistics_", "moving_variance", "(4,)", (3,), (4, 1)),
    *dtype_cases("moving_statistics_", "statistics", (4, 4), False),
    *shape_cases("moving_statistics_", "statistics", "(4, 4)", (4, 3), (4,)),
    *number_cases("moving_statistics_", "momentum"),
    ("moving_statistics_", "momentum", 1.5, ValueError, ["momentum", "from 0 to 1", "1.5"]),
]


def arrays_in(arguments: dict[str, Any]) -> list[NDArray]:
    found = []
    for value in arguments.values():
        found += [v for v in value if isinstance(v, np.ndarray)] if isinstance(value, list) else []
        found += [value] if isinstance(value, np.ndarray) else []
    return found


@pytest.mark.parametrize("kernel", kernels.__all__)
def test_the_call_that_the_table_changes_is_valid(kernel) -> None:
    copied = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in VALID[kernel].items()}
    getattr(kernels, kernel)(**copied)


@pytest.mark.parametrize(
    ("kernel", "argument", "value", "error", "words"),
    CASES,
    ids=[f"{c[0]}-{c[1]}-{k}" for k, c in enumerate(CASES)],
)
def test_bad_argument(kernel, argument, value, error, words) -> None:
    arguments = VALID[kernel] | {argument: value}
    before = [a.tobytes() for a in arrays_in(arguments)]
    with pytest.raises(error) as raised:
        getattr(kernels, kernel)(**arguments)
    assert type(raised.value) is error
    for word in words:
        assert word in str(raised.value)
    assert [a.tobytes() for a in arrays_in(arguments)] == before


def test_probabilities_need_logits() -> None:
    with pytest.raises(ValueError, match=r"probabilities must be None for mean_squared_error"):
        kernels.loss(
            f32(3, 4), f32(3, 4), "mean_squared_error", probabilities=np.empty((3, 4), np.float32)
        )


# kernel, arguments that share memory, argument named
OVERLAPS = [
    ("dense_forward", {"x": SHARED[:12].reshape(3, 4), "out": SHARED[:15].reshape(3, 5)}, "out"),
    ("dense_forward", {"w": SHARED[:20].reshape(4, 5), "out": SHARED[19:34].reshape(3, 5)}, "out"),
    ("dense_forward", {"b": SHARED[:5], "out": SHARED[4:19].reshape(3, 5)}, "out"),
    ("dense_forward", {"z": SHARED[:15].reshape(3, 5), "out": SHARED[:15].reshape(3, 5)}, "z"),
    (
        "dense_backward_input",
        {"y": SHARED[:12].reshape(3, 4), "out": SHARED[:12].reshape(3, 4)},
        "out",
    ),
    (
        "activation_forward",
        {"x": SHARED[:12].reshape(3, 4), "out": SHARED[1:13].reshape(3, 4)},
        "out",
    ),
    (
        "activation_backward",
        {"dy": SHARED[:12].reshape(3, 4), "out": SHARED[4:16].reshape(3, 4)},
        "out",
    ),
    ("combine", {"a": SHARED[:12].reshape(3, 4), "out": SHARED[1:13].reshape(3, 4)}, "out"),
    ("combine", {"b": SHARED[:4], "out": SHARED[:12].reshape(3, 4)}, "out"),
    ("scaled_copy", {"x": SHARED[:3].reshape(3, 1), "out": SHARED[2:14].reshape(3, 4)}, "out"),
    ("scaled_sum", {"x": SHARED[:24].reshape(3, 2, 4), "out": SHARED[:8].reshape(2, 4)}, "out"),
    ("embedding", {"table": SHARED[:12].reshape(3, 4), "out": SHARED[4:16].reshape(3, 4)}, "out"),
    ("softmax", {"x": SHARED[:12].reshape(3, 4), "out": SHARED[1:13].reshape(3, 4)}, "out"),
    ("softmax", {"x": SHARED[11::-1].reshape(3, 4), "out": SHARED[:12].reshape(3, 4)}, "out"),
    (
        "softmax_backward",
        {"y": SHARED[:12].reshape(3, 4), "out": SHARED[3:15].reshape(3, 4)},
        "out",
    ),
    (
        "batch_norm_forward",
        {"x": SHARED[:12].reshape(3, 4), "out": SHARED[1:13].reshape(3, 4)},
        "out",
    ),
    ("batch_norm_forward", {"gamma": SHARED[:4], "out": SHARED[:12].reshape(3, 4)}, "out"),
    (
        "layer_norm_backward",
        {"dy": SHARED[:12].reshape(3, 4), "out": SHARED[:12].reshape(3, 4)},
        "out",
    ),
    ("moving_statistics_", {"moving_mean": SHARED[:4], "moving_variance": SHARED[3:7]}, "variance"),
    (
        "moving_statistics_",
        {"moving_mean": SHARED[:4], "statistics": SHARED[:16].reshape(4, 4)},
        "moving_mean",
    ),
    (
        "loss",
        {"prediction": SHARED[:12].reshape(3, 4), "probabilities": SHARED[:12].reshape(3, 4)},
        "probabilities",
    ),
]


@pytest.mark.parametrize(("kernel", "shared", "named"), OVERLAPS)
def test_overlap(kernel, shared, named) -> None:
    before = SHARED.copy()
    with pytest.raises(ValueError, match=rf"{named} must not overlap"):
        getattr(kernels, kernel)(**VALID[kernel] | shared)
    np.testing.assert_array_equal(SHARED, before)


def test_outputs_beside_inputs_in_one_buffer_are_fine() -> None:
    buffer = f32(3, 8)
    expected = np.tanh(buffer[:, :4])
    kernels.activation_forward(buffer[:, :4], "tanh", out=buffer[:, 4:])
    np.testing.assert_allclose(buffer[:, 4:], expected, rtol=1e-6)
