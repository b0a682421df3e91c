"""What all models are: layers between inputs and outputs. Training them is `trainer`'s."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

from onepass.engine.graph import Shape, SymbolicTensor, Trace, input_tensor
from onepass.engine.plan import Mode
from onepass.engine.recording import Graph, check_weights_held, record_graph
from onepass.engine.structure import map_structure
from onepass.layers.inventory import Inventory, inventory_of
from onepass.layers.layer import (
    Layer,
    takes_training,
    unique_name,
)
from onepass.layers.shapes import sample_shape
from onepass.models.building import undone_on_error
from onepass.models.network import Network
from onepass.models.objectives import output_names
from onepass.models.summary import plan_text, summary_text
from onepass.models.trainer import Trainer

_OWN = {"_network", "_inputs", "_graph", "_calls", "_epochs", "_plans", "_bound", "_predictor"}


class Model(Trainer):
    """Layers between inputs and outputs, given as symbolic tensors or by a subclass's ``call``.

    Parameters
    ----------
    inputs, outputs : SymbolicTensor, or list, tuple or dict of them
        The functional way: what was made of the inputs by calling layers becomes a model. A
        subclass that overrides ``call(self, inputs, training=False)`` passes neither.
    name : str, optional
    trainable : bool, default True
    dtype : {"float32", "float64"}, optional
        Of a subclass; a functional model has its inputs'.

    Attributes
    ----------
    layers : list of Layer
    optimizer : Optimizer or None
    stop_training : bool
        A callback may set it; ``fit`` stops after the batch or epoch.
    history : History or None
        Of the last ``fit``.

    Raises
    ------
    TypeError, ValueError
        If inputs and outputs are not connected symbolic tensors.

    Examples
    --------
    >>> import onepass
    >>> wide, deep = onepass.Input([5]), onepass.Input([6])
    >>> hidden = onepass.layers.Dense(30, activation="relu")(deep)
    >>> output = onepass.layers.Dense(1)(onepass.layers.concatenate([wide, hidden]))
    >>> onepass.Model(inputs=[wide, deep], outputs=[output]).count_params()
    246
    """

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        self._network: Network | None = None
        self._inputs: Any = None  # what a graph is recorded for
        self._graph: Graph | None = None
        self._graph_inventory: Inventory | None = None  # when it was last looked at
        # Layers that it was recorded of: as keys, where they do not count as this one's parts.
        self._graph_of: dict[Layer, None] | None = None
        if name is None and type(self) is Model:
            name = unique_name("functional")
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        if (inputs is None) != (outputs is None):
            raise TypeError("Model: give both inputs and outputs, or neither")
        if inputs is not None:
            inputs, outputs = _unwrapped(inputs), _unwrapped(outputs)
            self._network = Network(inputs, outputs)
            graph = Graph(inputs, outputs)
            check_weights_held(graph, self.variables)
            self.dtype = graph.dtype
            # A subclass that goes on from there is recorded when it is complete.
            own = type(self).call is not Model.call
            self._inputs, self._graph, self.built = inputs, None if own else graph, True
        elif type(self).call is Model.call:
            raise TypeError(
                "Model: give inputs and outputs, or override call(self, inputs) in a subclass"
            )

    # -- what it consists of ---------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers: in order of depth, or as a subclass's attributes."""
        return list(self.sublayers())

    def sublayers(self) -> Iterator[Layer]:
        connected = [] if self._network is None else self._network.layers
        return iter(dict.fromkeys([*connected, *super().sublayers()]))

    @property
    def network(self) -> Network | None:
        """How a functional model's layers are connected."""
        return self._network

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics"):
            if name in vars(cls):
                raise TypeError(
                    f"{cls.__name__}.{name}: steps run natively and call no such method; write a "
                    "loss or layer of your own, or a loop over train_on_batch"
                )

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Layer) and (hasattr(Model, name) or name in _OWN):
            raise AttributeError(
                f"{type(self).__name__}: {name!r} is a name that models use themselves; keep the "
                "layer under another one"
            )
        super().__setattr__(name, value)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or its place."""
        if index is not None:
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = [layer.name for layer in self.layers]
        raise ValueError(f"no layer is named {name!r}; there are {known}")

    def sources_by_layer(self) -> dict[Layer, list[str]]:
        """Return the names of what each layer of a functional model is called on."""
        return {} if self._network is None else self._network.sources_by_layer()

    def require_built(self) -> None:
        own_build = not type(self).build.__module__.startswith("onepass.")
        lacking = own_build or any(layer.lacks_weights() for layer in self.layers)
        if not self.built and (lacking or not self.layers):
            raise ValueError(
                f"model {self.name!r} has no weights yet: begin with Input(shape), call "
                "build(input_shape), or fit it to data first"
            )

    # -- recording -------------------------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Apply the model to symbolic inputs. A subclass overrides this."""
        assert self._network is not None
        return self._network(inputs)

    def build(self, input_shape: Any = None) -> None:
        """Create all weights.

        Parameters
        ----------
        input_shape : tuple, or list, tuple or dict of tuples, one for each input
            With the batch dimension first, as in Keras: ``(None, 8)``. Not needed behind
            ``Input``.
        """
        if self._graph is None:
            if input_shape is None:
                raise ValueError("build: give input_shape=(None, ...), or begin with Input(shape)")
            self._record_for(_inputs_like(input_shape, self.dtype))
        self.built = True

    def prepare_for(self, shapes: Callable[[], Any]) -> None:
        if not self.built:
            self.build(shapes())
        if self._inputs is None:  # a build of a subclass's own
            self._record_for(_inputs_like(shapes(), self.dtype))

    def _record_for(self, inputs: Any) -> None:
        """Build what is not built, and find out all shapes; or leave all as it was."""
        with undone_on_error(self):
            graph = record_graph(self._applied(None), inputs, Trace())
            check_weights_held(graph, self.variables)
        self._inputs, self._graph = inputs, graph
        self._graph_inventory, self._graph_of = None, self._all_layers()

    def _applied(self, training: bool | None) -> Callable[[Any], Any]:
        """Return ``call``, told whether the model is being trained if it wants to know."""
        if not takes_training(self):
            return self.call
        return lambda inputs: self.call(inputs, training=training)

    def graph(self) -> Graph:
        if not self.built:
            self.require_built()
            raise ValueError(
                f"model {self.name!r} does not know its inputs yet: begin with Input(shape), call "
                "build(input_shape), or call it on data first"
            )
        inventory = inventory_of(self)
        if self._graph is None or self._graph_inventory is not inventory:
            if self._graph is None or self._has_changed():
                self._record_for(self._inputs)  # of a copy, or of layers that have changed
            self._graph_inventory = inventory
        assert self._graph is not None
        return self._graph

    def forget(self, weights: int) -> None:
        super().forget(weights)
        self._inputs = self._graph = None

    def _has_changed(self) -> bool:
        """Whether other layers are inside than when the graph was recorded."""
        now = self._all_layers()
        if self._graph_of is None:  # the user's own tensors
            self._graph_of = now
        return list(now) != list(self._graph_of)

    def _all_layers(self) -> dict[Layer, None]:
        return dict.fromkeys(layer for layer, _ in self.structure())

    def record(self, training: bool) -> Graph:
        trace = Trace(training, for_plan=True)
        return record_graph(self._applied(training), self.graph().inputs, trace)

    def __getstate__(self) -> dict[str, Any]:
        graph = self._graph if self._network is not None else None
        unsaved = {"_graph": graph, "_graph_inventory": None, "_graph_of": None}
        return {**super().__getstate__(), **unsaved}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        vars(self).update(saved)
        if self._network is not None:
            self._network.remember_calls()

    # -- inputs and outputs ----------------------------------------------------------------------

    @property
    def input(self) -> Any:
        """The symbolic input, or the structure of them."""
        return self.graph().inputs

    @property
    def output(self) -> Any:
        """The symbolic output, or the structure of them."""
        return self.graph().outputs

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic inputs."""
        return list(self.graph().input_list)

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic outputs."""
        return list(self.graph().output_list)

    @property
    def input_names(self) -> list[str]:
        """The inputs' names, by which a dict of arrays may come."""
        return [tensor.name for tensor in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """The outputs' names, which stand before those of their losses and metrics in logs."""
        return output_names(self.graph())

    @property
    def input_shape(self) -> Any:
        """Shape of a batch of inputs, or the structure of shapes."""
        return map_structure(lambda tensor: tensor.shape, self.graph().inputs)

    @property
    def output_shape(self) -> Any:
        """Shape of a batch of outputs, or the structure of shapes."""
        return map_structure(lambda tensor: tensor.shape, self.graph().outputs)

    # -- calling and showing ---------------------------------------------------------------------

    def call_on_arrays(self, x: Any, training: bool | None = None) -> Any:
        """Return the outputs for samples, as ``predict``.

        With ``training=True`` layers behave as in training: dropout draws a new mask at every call
        (Monte Carlo dropout stacks the results of many). Weights stay as they are.
        """
        return self.sample(x) if training else self.predict(x)

    def summary(
        self,
        line_length: int | None = None,
        print_fn: Callable[[str], Any] = print,
        show_trainable: bool = False,
        *,
        plan: bool | Mode = False,
    ) -> None:
        """Print the layers, their output shapes and numbers of parameters.

        Parameters
        ----------
        line_length : int, optional
        print_fn : callable(str), default print
        show_trainable : bool
            Add a column that says which layers are trained.
        plan : bool or {"train", "evaluate", "predict", "sample"}
            Print the kernel calls instead that one step makes; True is the training step if the
            model is compiled, else prediction.
        """
        if plan not in (False, True, *get_args(Mode)):
            raise ValueError(
                f"summary: plan must be a bool or one of {get_args(Mode)}, got {plan!r}"
            )
        if plan:
            mode: Mode = plan if isinstance(plan, str) else "train" if self.loss else "predict"
            print_fn(plan_text(self.name, mode, self.plan_for(mode)))
            return
        states = 0 if self._bound is None else self._bound.state_size
        print_fn(summary_text(self, line_length, show_trainable, states))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r} built={self.built}>"


def _unwrapped(structure: Any) -> Any:
    """Return the tensor of a list or tuple of one, as Keras does."""
    if isinstance(structure, (list, tuple)) and len(structure) == 1:
        return structure[0]
    return structure


def _inputs_like(shapes: Any, dtype: str) -> Any:
    """Return symbolic inputs for a shape with the batch dimension, or a structure of such."""
    if isinstance(shapes, dict):
        return {key: _inputs_like(shape, dtype) for key, shape in shapes.items()}
    if any(isinstance(item, (list, tuple)) for item in shapes):
        return type(shapes)(_inputs_like(shape, dtype) for shape in shapes)
    sample: Shape = tuple(dim if dim is not None else 0 for dim in shapes[1:])
    return input_tensor(sample_shape(sample), dtype, unique_name("input_layer"))
