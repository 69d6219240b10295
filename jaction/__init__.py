"""Video understanding in JAX: recognizers, their weights, their training."""

from jaction.models import create_model, list_models

__version__ = "0.1.0"
__all__ = ["create_model", "list_models", "load"]


def load(path):
  """(model, variables) of a model folder or a training work directory; see jaction.folders.load."""
  from jaction import folders  # deferred: a file reader is not needed to build a network

  return folders.load(path)
