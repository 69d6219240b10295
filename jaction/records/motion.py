"""Motion vectors of compressed video as pictures: what an encoder already knew of what moves."""

import av
import numpy as np

STILL, BOUND = 128, 20.0  # grey of no motion, and the pixels a frame that give 0 or 255, as flow images have them


def motion_picture(frame: av.VideoFrame) -> np.ndarray:
  """Displacements in pixels, float32 [height, width, 2], x and y: from where in an earlier frame a block came.

  0 where a block came from nowhere (a keyframe, a patch drawn anew) or from later frames alone.  How far back the
  earlier frame lies is the encoder's choice, mostly one frame.  The decoder must export them (see Video).
  """
  field = np.zeros((frame.height, frame.width, 2), np.float32)
  vectors = frame.side_data.get("MOTION_VECTORS")
  if vectors is None:
    return field
  table = vectors.to_ndarray()
  table = table[table["source"] < 0]
  left = np.maximum(table["dst_x"] - table["w"] // 2, 0)
  top = np.maximum(table["dst_y"] - table["h"] // 2, 0)
  right, bottom = table["dst_x"] + (table["w"] + 1) // 2, table["dst_y"] + (table["h"] + 1) // 2
  moves = -np.stack([table["motion_x"], table["motion_y"]], axis=-1) / np.maximum(table["motion_scale"], 1)[:, None]
  boxes = zip(left.tolist(), top.tolist(), right.tolist(), bottom.tolist(), moves, strict=True)
  for x1, y1, x2, y2, move in boxes:
    field[y1:y2, x1:x2] = move
  return field


def motion_image(field: np.ndarray) -> np.ndarray:
  """float32 displacements -> uint8 of the same shape: 128 for none, 20 pixels and more at the ends."""
  return np.clip(np.round(STILL + field * (127 / BOUND)), 1, 255).astype(np.uint8)
