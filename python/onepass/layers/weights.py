"""What layers and models say about their weights, in Keras's words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from onepass.engine.storage import Floats, Variable


def unique(variables: Iterable[Variable]) -> list[Variable]:
    """Return variables once each, in order of first appearance."""
    return list({id(variable): variable for variable in variables}.values())


class HasWeights:
    """Base of everything with weights. A subclass names them; the rest follows."""

    name: str

    @property
    def variables(self) -> list[Variable]:
        """All weights, trainable or not, in order of creation."""
        raise NotImplementedError

    @property
    def trainable_variables(self) -> list[Variable]:
        """Weights that training changes."""
        raise NotImplementedError

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """Weights that training leaves alone."""
        trained = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in trained]

    @property
    def weights(self) -> list[Variable]:
        """The same as ``variables``."""
        return self.variables

    @property
    def trainable_weights(self) -> list[Variable]:
        """The same as ``trainable_variables``."""
        return self.trainable_variables

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The same as ``non_trainable_variables``."""
        return self.non_trainable_variables

    @property
    def losses(self) -> list[Any]:
        """Penalties of the weights as they are, those that training changes."""
        return [v.regularizer(v.array) for v in self.trainable_variables if v.regularizer]

    def require_built(self) -> None:
        """Raise ValueError where there are no weights yet and should be."""

    def get_weights(self) -> list[Floats]:
        """Return copies of all weights."""
        self.require_built()
        return [variable.numpy() for variable in self.variables]

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Overwrite all weights, or none where an array does not fit.

        Raises
        ------
        TypeError, ValueError
            If the number of arrays, a shape or a dtype does not fit.
        """
        self.require_built()
        given = [np.asarray(weight) for weight in weights]
        if len(given) != len(self.variables):
            raise ValueError(
                f"{self.name}: expected {len(self.variables)} weights, got {len(given)}"
            )
        for variable, value in zip(self.variables, given, strict=True):
            variable.check(value)
        for variable, value in zip(self.variables, given, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """Return the number of elements of all weights."""
        self.require_built()
        return sum(variable.size for variable in self.variables)
