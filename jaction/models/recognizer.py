"""A backbone and a head over the views of each video."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.errors import InputError
from jaction.models.freeze import freezing
from jaction.models.layers import rematerialized


class Recognizer(nn.Module):
  """Normalised clips [B, V, T, H, W, C] -> scores [B, V, K] before softmax; V counts views (clips x crops).

  The networks on sound, whose `clip` has two sizes, take log-mel spectrograms [B, V, T, F, 1].
  Two pathways may also be given already sampled, as a pair (slow, fast).  With `return_features` the result is the
  pooled features [B, V, F] that the last layer would see.  The computation runs in `dtype`; parameters, batch
  statistics and the result are float32.  With `aux` the result is (scores, {name: scores of an auxiliary head}), from
  networks that have such heads.

  `frozen_stages` and `frozen_norms` say what training leaves as it is (see freeze.py); `remat` makes training keep the
  input of each block alone, and compute its inside again in the backward pass: less memory, the same gradients.
  """

  backbone: nn.Module
  head: nn.Module
  clip: tuple[int, ...] = (8, 224, 224)  # T, H, W that one view is meant to have; T, F of sound
  dtype: Any = jnp.float32
  frozen_stages: int = -1  # 0: what lies before the first stage; n: the first n stages too; -1: nothing
  frozen_norms: str = "none"  # of the backbone: statistics, all, partial; see freeze.NORMS
  remat: bool = False

  @nn.nowrap
  def inputs(self, channels: int = 3) -> tuple[jax.ShapeDtypeStruct, ...]:
    """What the model takes for one view of one video.  Every network of `create_model` has this method."""
    return (jax.ShapeDtypeStruct((1, 1, *self.clip, channels), jnp.float32),)

  def __call__(
    self,
    clips: Array | Sequence[Array],
    *,
    train: bool = False,
    return_features: bool = False,
    aux: bool = False,
  ) -> Array | tuple[Array, dict[str, Array]]:
    pair = isinstance(clips, tuple | list)
    for array in clips if pair else [clips]:
      if array.ndim != len(self.clip) + 3:
        wanted = "clips must be [B, V, T, H, W, C]" if len(self.clip) == 3 else "spectrograms must be [B, V, T, F, 1]"
        raise ValueError(f"{wanted}, got shape {tuple(array.shape)}")
      if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"clips must be normalised floats, got {array.dtype}: see jaction.clips.normalize")
    b, v = (clips[0] if pair else clips).shape[:2]
    one = (1,) * (3 - len(self.clip))  # a spectrogram is one frame
    folded = jax.tree.map(lambda x: jnp.asarray(x, self.dtype).reshape(b * v, *one, *x.shape[2:]), clips)
    with freezing((*self.path, "backbone"), self.frozen_stages, self.frozen_norms), _remat(self.remat and train):
      features = self.backbone(folded, train=train)
    extra = {"aux": True} if aux else {}
    if aux and not hasattr(self.head, "aux_weight"):
      raise ValueError(f"aux=True wants a network with auxiliary heads; a {type(self.head).__name__} has none")
    out = self.head(features, train=train, return_features=return_features, **extra)
    return jax.tree.map(lambda x: x.astype(jnp.float32).reshape(b, v, -1), out)


@contextlib.contextmanager
def _remat(wanted: bool) -> Iterator[None]:
  """Within it `call_block` keeps no inner values.  InputError where the network has no blocks."""
  if not wanted:
    yield
    return
  token = rematerialized.set(blocks := [])
  try:
    yield
  finally:
    rematerialized.reset(token)
  if not blocks:
    raise InputError("remat=True: this network has no blocks whose inside could be computed again")
