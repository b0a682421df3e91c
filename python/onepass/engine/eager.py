"""Layers on arrays: a plan of one layer, kept for the next call of this kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onepass import config
from onepass.engine.feeding import Feed, input_array, same_length, samples_of
from onepass.engine.graph import Trace, input_tensor, recording
from onepass.engine.plan import Plan, build_plan
from onepass.engine.recording import Graph, check_weights_held, record_graph
from onepass.engine.replay import Pass, as_output_rows, batches, empty_output, single_draw
from onepass.engine.structure import flatten, is_nested, map_structure, pack_like
from onepass.layers.inventory import inventory_of

if TYPE_CHECKING:
    from onepass.layers.layer import Layer

_PLAIN = (bool, int, float, str, type(None))  # options by which a plan is known


@recording(False)  # the layer's own functions may be called
def apply(layer: Layer, inputs: Any, training: bool | None = None, **options: Any) -> Any:
    """Return what a layer makes of arrays with a batch dimension.

    Parameters
    ----------
    layer : built for these inputs if it was not built before
    inputs : array, or structure of arrays
    training : whether it behaves as in training; its weights stay as they are
    options : further arguments of ``call``

    Raises
    ------
    TypeError, ValueError
        If the inputs are not numbers or do not fit the layer.
    """
    if is_nested(inputs) and not any(hasattr(leaf, "shape") for leaf in flatten(inputs)):
        inputs = samples_of(inputs, "inputs")  # lists of numbers
    arrays = map_structure(lambda value: samples_of(value, "inputs"), inputs)
    shapes = map_structure(lambda array: array.shape[1:], arrays)
    if all(isinstance(value, _PLAIN) for value in options.values()):
        key = (
            repr(shapes),
            tuple(sorted(options.items())),
            bool(training),
            config.device(),
            inventory_of(layer).structure,
        )
        plans = layer.eager_plans.current()
        if key not in plans:
            plans[key] = _recorded(layer, arrays, bool(training), options)
        graph, plan = plans[key]
    else:
        graph, plan = _recorded(layer, arrays, bool(training), options)
    given = [
        (input_array(array, tensor, "inputs"), 1.0)
        for array, tensor in zip(flatten(arrays), graph.input_list, strict=True)
    ]
    count = same_length(**{f"inputs[{i}]": array for i, (array, _) in enumerate(given)})
    results = [empty_output(tensor, count) for tensor in graph.output_list]
    layer.eager_draws += 1
    Pass(
        plan,
        Feed(given, count),
        batches(count, max(count, 1)),
        outputs=[as_output_rows(result) for result in results],
        draw=single_draw(layer.eager_draws),
    ).run()
    return pack_like(graph.outputs, results)


def _recorded(
    layer: Layer, arrays: Any, training: bool, options: dict[str, Any]
) -> tuple[Graph, Plan]:
    inputs = map_structure(
        lambda array: input_tensor(array.shape[1:], layer.dtype, "input"), arrays
    )
    trace = Trace(training, for_plan=True)
    graph = record_graph(lambda fresh: layer(fresh, **options), inputs, trace)
    check_weights_held(graph, layer.variables)
    return graph, build_plan("sample" if training else "predict", graph)
