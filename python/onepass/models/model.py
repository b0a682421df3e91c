"""What all models share: layers, weights, summary; training is `trainer`'s."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

from onepass.engine.plan import Mode
from onepass.layers.layer import Layer
from onepass.layers.weights import HasWeights, unique
from onepass.models.compiled import Compiled
from onepass.models.summary import plan_text, summary_text
from onepass.models.trainer import Trainer

if TYPE_CHECKING:
    from onepass.engine.storage import Floats, Variable


class Model(Trainer, HasWeights):
    """Base of all models. A subclass says how its layers make an output from an input.

    Attributes
    ----------
    layers : list of Layer
    optimizer : Optimizer or None
    stop_training : bool
        A callback may set it; ``fit`` stops after the batch or epoch.
    history : History or None
        Of the last ``fit``.
    """

    def __init__(self, *arguments: Any, name: str = "", **options: Any) -> None:
        if arguments or options or type(self).graph is Compiled.graph:
            raise NotImplementedError(
                "functional and subclassed models are not there yet: use Sequential"
            )
        super().__init__(name)

    @property
    def layers(self) -> list[Layer]:
        """The layers in order."""
        raise NotImplementedError

    @property
    def trainable(self) -> bool:
        """Whether any layer is trained; setting it sets all layers."""
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            layer.trainable = bool(value)

    # -- weights ---------------------------------------------------------------------------------

    @property
    def variables(self) -> list[Variable]:
        """All weights; one that several layers share counts once."""
        return unique(v for layer in self.layers for v in layer.variables)

    @property
    def trainable_variables(self) -> list[Variable]:
        """Weights that ``fit`` changes."""
        return unique(v for layer in self.layers for v in layer.trainable_variables)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or its place."""
        if index is not None:
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = [layer.name for layer in self.layers]
        raise ValueError(f"no layer is named {name!r}; there are {known}")

    def require_built(self) -> None:
        if not self.built:
            raise ValueError(
                f"model {self.name!r} has no weights yet: begin with Input(shape), call "
                "build(input_shape), or fit it to data first"
            )

    # -- calling and showing ---------------------------------------------------------------------

    def __call__(self, x: Any, training: bool = False) -> Floats:
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
