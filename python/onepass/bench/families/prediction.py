"""Predictions of a classifier with relu: rows in, probabilities out, beside all rivals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from onepass import config
from onepass.bench import rivals
from onepass.bench.cases import Array, Contender, Prepared
from onepass.bench.families.data import SETS, Draw, in_turn
from onepass.bench.families.networks import Network
from onepass.bench.families.rival_estimators import keras_model, sklearn_model
from onepass.bench.families.rival_training import jax_forward, torch_module

Predict = Callable[[Any], Any]


def _numpy(x: Array, weights: Sequence[Array]) -> Array:
    last = len(weights) // 2 - 1
    for at in range(last + 1):
        x = x @ weights[2 * at] + weights[2 * at + 1]
        if at < last:
            np.maximum(x, 0.0, out=x)
    x = np.exp(x - x.max(-1, keepdims=True))
    shares: Array = x / x.sum(-1, keepdims=True)
    return shares


def _torch(network: Network, weights: Sequence[Array]) -> Predict:
    torch = rivals.torch()
    module = torch.nn.Sequential(*torch_module(network, weights), torch.nn.Softmax(-1))
    predict: Predict = torch.inference_mode()(module)
    return predict


def _jax(network: Network, weights: Sequence[Array]) -> Predict:
    jax = rivals.jax()
    parameters = [jax.numpy.array(w) for w in weights]
    compiled = jax.jit(lambda given, x: jax.nn.softmax(jax_forward(network, given, x)))
    return lambda x: compiled(parameters, x).block_until_ready()


def _keras(network: Network, weights: Sequence[Array]) -> Predict:
    predict: Predict = keras_model(network, weights).predict_on_batch
    return predict


def _sklearn(network: Network, weights: Sequence[Array]) -> Predict:
    predict: Predict = sklearn_model(network, weights).predict_proba
    return predict


def _onnx_type(dtype: str) -> Any:
    kinds = rivals.onnx().TensorProto
    return {"float32": kinds.FLOAT, "float64": kinds.DOUBLE}[dtype]


def _onnx_graph(network: Network, weights: Sequence[Array]) -> Any:
    onnx = rivals.onnx()
    helper, floats = onnx.helper, _onnx_type(network.dtype)
    nodes, last = [], len(weights) // 2 - 1
    for at in range(last + 1):
        given = [f"x{at}", f"w{2 * at}", f"w{2 * at + 1}"]
        nodes.append(helper.make_node("Gemm", given, [f"z{at}"]))
        then = "Relu" if at < last else "Softmax"
        nodes.append(helper.make_node(then, [f"z{at}"], [f"x{at + 1}"]))
    values = [onnx.numpy_helper.from_array(w, f"w{at}") for at, w in enumerate(weights)]
    ends = [
        helper.make_tensor_value_info(name, floats, ["rows", width])
        for name, width in (("x0", network.widths[0]), (f"x{last + 1}", network.widths[-1]))
    ]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], values)
    versions = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=versions, ir_version=9)


def _onnxruntime(network: Network, weights: Sequence[Array]) -> Predict:
    runtime = rivals.onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = config.threads(), 1
    # Its threads spin within a call as always, but not on into the next contender's sample.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    graph = _onnx_graph(network, weights).SerializeToString()
    session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x0": x})[0]


def _rivals(network: Network, weights: list[Array], sets: list[Array]) -> Iterator[Contender]:
    if rivals.numpy_controlled():
        yield _contender("numpy", partial(_numpy, weights=weights), sets)
        if rivals.sklearn_networks() is not None:  # whose products are NumPy's
            yield _contender("scikit-learn", _sklearn(network, weights), sets)
    if (torch := rivals.torch()) is not None:
        yield _contender("torch", _torch(network, weights), [torch.from_numpy(x) for x in sets])
    if (jax := rivals.jax()) is not None:
        yield _contender("JAX jit", _jax(network, weights), [jax.numpy.array(x) for x in sets])
    if (keras := rivals.keras()) is not None:
        tensors = [keras.ops.convert_to_tensor(x) for x in sets]
        name = f"Keras {keras.backend.backend()}"
        yield _contender(name, _keras(network, weights), tensors)
    if rivals.onnxruntime() is not None:
        yield _contender("onnxruntime", _onnxruntime(network, weights), sets)


def _contender(name: str, predict: Predict, sets: Sequence[Any]) -> Contender:
    run = in_turn(predict, [(x,) for x in sets])
    return Contender(name, run, lambda: [np.asarray(predict(sets[-1]))])


def prepare(network: Network, rows: int) -> Prepared:
    """Return a prediction of so many rows; rivals have their inputs in their own arrays."""
    model = network.model()
    draw = Draw(network.dtype)
    sets = [draw.uniform(rows, network.widths[0]) for _ in range(SETS)]
    others = list(_rivals(network, model.get_weights(), sets))
    return Prepared(_contender("onepass", model.predict, sets), others)
