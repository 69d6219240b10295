"""Draws docs/recipes.png from the runs of docs/recipes.md: python docs/make_recipes.py DIR"""

import json
import pathlib
import sys

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PANELS = {
  "order of time": {"tsm": "TSM: sees the order of frames", "tsn": "TSN: averages over frames"},
  "first weights, TSM": {"tsm_2d": "from a 2-D network's weights", "tsm": "from nothing"},
  "first weights, inflated": {"i3d_2d": "from a 2-D network's weights", "i3d": "from nothing"},
}


def curve(folder: pathlib.Path) -> tuple[list[float], list[float]]:
  """Epochs and accuracies of a run's evaluations."""
  rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
  kept = [row for row in rows if row["kind"] == "val"]
  return [row["epoch"] for row in kept], [100 * row["top1"] for row in kept]


def main(runs: pathlib.Path, to: pathlib.Path) -> None:
  figure = Figure(figsize=(13, 3.6), layout="constrained")
  for axes, (title, lines) in zip(figure.subplots(1, 3, sharey=True), PANELS.items(), strict=True):
    for name, label in lines.items():
      axes.plot(*curve(runs / name), marker=".", label=label)
    axes.axhline(50, color="grey", linewidth=0.8, linestyle=":", label="what the shapes alone give")
    axes.set(title=title, xlabel="epoch", ylim=(0, 102))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
  figure.axes[0].set_ylabel("top-1 on the validation list, %")
  FigureCanvasAgg(figure)
  figure.savefig(to, dpi=110)


if __name__ == "__main__":
  main(pathlib.Path(sys.argv[1]), pathlib.Path(__file__).with_name("recipes.png"))
