"""Weights from PyTorch checkpoints, and back."""

try:
  from jaction.converters.inflation import inflate
  from jaction.converters.names import from_torch, to_torch
except ModuleNotFoundError as error:
  raise ImportError(
    f"jaction is not installed here ({error}): run `pip install -e .` in the checkout, or `make test`"
  ) from error

__all__ = ["from_torch", "inflate", "to_torch"]
