"""Weights from PyTorch checkpoints, and back."""

from jaction.converters.names import from_torch, to_torch

__all__ = ["from_torch", "to_torch"]
