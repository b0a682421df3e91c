"""What an optimizer asks of the model that it steps."""

from __future__ import annotations

from typing import Any, Protocol

from onepass.optimizers._arrays import Array


class HasStates(Protocol):
    """Who keeps the states of an optimizer's parameters: a model."""

    @property
    def states(self) -> list[Array]:
        """All of them."""

    @property
    def averages(self) -> list[Array]:
        """Moving averages, where they are kept."""

    def finalize(self, variables: Any = None) -> None:
        """Make these parameters, or all, their averages."""
