"""Video understanding in JAX: recognizers, their weights, their training."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from jaction.models import create_model, list_models

__version__ = "0.1.0"
__all__ = ["create_model", "list_models", "load"]


def __getattr__(name: str):
  # Deferred, so that the processes that decode videos import no jax (jaction.workers).
  if name in ("create_model", "list_models"):
    from jaction import models

    return getattr(models, name)
  raise AttributeError(f"module 'jaction' has no attribute {name!r}")


def __dir__() -> list[str]:
  return sorted({*globals(), *__all__})


def load(path):
  """(model, variables) of a model folder or a training work directory; see jaction.folders.load."""
  from jaction import folders  # deferred: a file reader is not needed to build a network

  return folders.load(path)
