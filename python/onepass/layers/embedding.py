"""Vectors for whole numbers, such as words or categories."""

from __future__ import annotations

from typing import Any

import numpy as np

from onepass import constraints, initializers, regularizers
from onepass.engine.graph import record
from onepass.engine.ops import EmbeddingOp
from onepass.engine.storage import Variable
from onepass.layers.layer import Layer

_NOT_YET = ("lora_rank", "lora_alpha")


class Embedding(Layer):
    """Replace each whole number by a row of a trained table: (batch, n) -> (batch, n, output_dim).

    Where the numbers are a model's input they are checked before anything is computed. Of numbers
    that the model computes those that are no place in the table give rows of NaN.

    Parameters
    ----------
    input_dim : int
        Rows of the table: numbers are from 0 to ``input_dim - 1``. In float32 at most 2**24.
    output_dim : int
        Columns of the table.
    embeddings_initializer : str or Initializer, default "uniform"
    embeddings_regularizer : str, dict or Regularizer, optional
    embeddings_constraint : str, dict or Constraint, optional
    lora_rank, lora_alpha
        Only None: they are not supported yet.
    mask_zero : bool
        Only False: there are no masks.
    weights : array (input_dim, output_dim), or list of it, optional
        The table to begin with.
    **kwargs
        See ``Layer``.

    Attributes
    ----------
    embeddings : Variable (input_dim, output_dim)

    Raises
    ------
    TypeError, ValueError
        If an argument is not what is said above.
    """

    embeddings: Variable

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: None = None,
        lora_alpha: None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name in _NOT_YET:
            if locals()[name] is not None:
                raise ValueError(f"Embedding: {name} is not supported yet, leave it at None")
        if mask_zero:
            raise ValueError("Embedding: mask_zero=True is not possible, there are no masks")
        for name, size in (("input_dim", input_dim), ("output_dim", output_dim)):
            if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
                raise TypeError(f"Embedding: {name} must be an int, got {type(size).__name__}")
            if size < 1:
                raise ValueError(f"Embedding: {name} must be at least 1, got {size}")
        most = 1 << (np.finfo(self.dtype).nmant + 1)
        if input_dim > most:
            raise ValueError(
                f"Embedding: {self.dtype} cannot tell more than {most} numbers apart, got "
                f"input_dim={input_dim}"
            )
        self.input_dim, self.output_dim = int(input_dim), int(output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, (list, tuple)) else [weights])

    def build(self, input_shape: Any = None) -> None:
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            "embeddings",
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )

    def call(self, inputs: Any) -> Any:
        if inputs.node is None:  # a model's input, which can be looked at before it is fed
            known = (self.input_dim, inputs.index_below)
            inputs.index_below = min(limit for limit in known if limit is not None)
        return record(EmbeddingOp(self.embeddings), [inputs])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": regularizers.serialize(self.embeddings_regularizer),
            "embeddings_constraint": constraints.serialize(self.embeddings_constraint),
            "mask_zero": False,
        }
