"""Models: layers put together, trained and served."""

from onepass.models.cloning import clone_model
from onepass.models.model import Model
from onepass.models.sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model"]
