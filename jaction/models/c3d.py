"""C3D: 3 x 3 x 3 convolutions and two wide layers (Tran et al., 2014; arXiv:1412.0767, Figure 3)."""

from flax import linen as nn
from jax import Array

from jaction.models.conv import max_pool, same
from jaction.models.layers import Conv, Dense, Draw

CONVOLUTIONS = (  # of the five groups: letter -> channels
  {"a": 64},
  {"a": 128},
  {"a": 256, "b": 256},
  {"a": 512, "b": 512},
  {"a": 512, "b": 512},
)
CLIP = (16, 112, 112)  # T, H, W that make the map 1 x 4 x 4 in front of fc6


class C3D(nn.Module):
  """[B, 16, 112, 112, C] -> [B, 1, 1, 1, 4096], of no other size: fc6 sees the whole map.

  No norm; every convolution has a bias.  The first pool keeps all frames (sec. 3.2).
  """

  wide: int = 4096
  fc_dropout: float = 0.5  # behind fc6; the head drops behind fc7

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    if x.shape[1:-1] != CLIP:
      raise ValueError(f"C3D wants clips [B, 16, 112, 112, C], got {tuple(x.shape)}")
    for i, group in enumerate(CONVOLUTIONS, start=1):
      for letter, channels in group.items():
        x = nn.relu(Conv(channels, (3, 3, 3), use_bias=True, name=f"conv{i}{letter}")(x))
      window = (1 if i == 1 else 2, 2, 2)
      x = max_pool(x, window, window, same((1, 2, 2)) if i == 5 else ((0, 0),) * 3)  # pool5 makes 4 x 4 of 7 x 7
    x = nn.relu(Dense(self.wide, Draw(std=0.005), name="fc6")(x.reshape(x.shape[0], -1)))
    x = nn.Dropout(self.fc_dropout, deterministic=not train)(x)
    x = nn.relu(Dense(self.wide, Draw(std=0.005), name="fc7")(x))
    return x[:, None, None, None]
