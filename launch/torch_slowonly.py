"""SlowOnly-R50 in plain PyTorch, with MMAction2's names: what `jaction benchmark models` measures against.

Imported only where torch is installed; a `reference` test holds it to the parity case of the same network.
"""

import torch
from torch import nn


class ConvNorm(nn.Module):
  def __init__(self, inputs, outputs, kernel, stride=(1, 1, 1)):
    super().__init__()
    self.conv = nn.Conv3d(inputs, outputs, kernel, stride, tuple(k // 2 for k in kernel), bias=False)
    self.bn = nn.BatchNorm3d(outputs)

  def forward(self, x):
    return self.bn(self.conv(x))


class Bottleneck(nn.Module):
  def __init__(self, inputs, width, stride, temporal):
    super().__init__()
    strides = (1, stride, stride)
    self.conv1 = ConvNorm(inputs, width, (temporal, 1, 1))
    self.conv2 = ConvNorm(width, width, (1, 3, 3), strides)
    self.conv3 = ConvNorm(width, 4 * width, (1, 1, 1))
    self.downsample = None
    if stride != 1 or inputs != 4 * width:
      self.downsample = ConvNorm(inputs, 4 * width, (1, 1, 1), strides)

  def forward(self, x):
    y = self.conv3(torch.relu(self.conv2(torch.relu(self.conv1(x)))))
    return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class Backbone(nn.Module):
  def __init__(self):
    super().__init__()
    self.conv1 = ConvNorm(3, 64, (1, 7, 7), (1, 2, 2))
    inputs = 64
    for i, (blocks, temporal) in enumerate(zip((3, 4, 6, 3), (1, 1, 3, 3), strict=True)):
      width, layers = 64 * 2**i, []
      for j in range(blocks):
        layers.append(Bottleneck(inputs, width, 2 if i and j == 0 else 1, temporal))
        inputs = 4 * width
      setattr(self, f"layer{i + 1}", nn.Sequential(*layers))

  def forward(self, x):
    x = nn.functional.max_pool3d(torch.relu(self.conv1(x)), (1, 3, 3), (1, 2, 2), (0, 1, 1))
    return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class SlowOnly(nn.Module):
  """[N, 3, T, H, W] -> [N, num_classes]."""

  def __init__(self, num_classes=400):
    super().__init__()
    self.backbone = Backbone()
    self.cls_head = nn.Module()
    self.cls_head.fc_cls = nn.Linear(2048, num_classes)

  def forward(self, x):
    return self.cls_head.fc_cls(self.backbone(x).mean((2, 3, 4)))
