"""Networks: one paper, one file; `variants` is the table of names."""

from jaction.models.freeze import frozen_leaves
from jaction.models.fuse import fuse
from jaction.models.layers import initialize
from jaction.models.recognizer import Recognizer
from jaction.models.variants import VARIANTS, Variant, create_model, list_models, variant

__all__ = [
  "VARIANTS",
  "Recognizer",
  "Variant",
  "create_model",
  "frozen_leaves",
  "fuse",
  "initialize",
  "list_models",
  "variant",
]
