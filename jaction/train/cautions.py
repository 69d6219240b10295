"""What of a config is allowed and yet seldom meant, as lines that a run says before it begins."""

from collections.abc import Callable, Mapping
from typing import Any

FEWEST = 8  # samples below which the statistics of a batch norm are noise (arXiv:1803.08494, fig. 1)
NOTHING = 1e-7  # of the highest rate: float32 holds no smaller share of a number


def schedule_warnings(
  settings: Mapping[str, Any], rate: Callable[[int], float], *, total: int, batch_size: int, examples: int
) -> list[str]:
  """Milestones that are never reached, and a rate with which nothing is learnt any more.

  `settings` and `rate`: see schedules.make_schedule; `total` steps.
  """
  lines, end = [], total * batch_size / examples
  late = [epoch for epoch in settings["milestones"] if epoch >= end] if settings["name"] == "step" else []
  if late:
    lines.append(
      f"warning: schedule.milestones={tuple(settings['milestones'])}: the run ends at epoch {end:.4g}, so that the "
      f"rate does not fall at {', '.join(f'{epoch:g}' for epoch in late)}"
    )
  highest = max(rate(step) for step in range(0, total, max(1, total // 1000)))
  low, high = 0, total  # the first step from which on the rate is next to nothing: rates fall at the end
  while low < high:
    middle = (low + high) // 2
    low, high = (low, middle) if rate(middle) < NOTHING * highest else (middle + 1, high)
  if total - low > max(1, total // 20):
    lines.append(
      f"warning: the learning rate is {rate(low):.3g} and less from step {low} of {total} on (its highest is "
      f"{highest:.3g}): nothing is learnt any more. Near it: schedule.gamma, schedule.final_lr, duration"
    )
  return lines


def norm_warning(model: Any, batch_stats: Any, clips: int) -> list[str]:
  """Statistics over few clips; clips: of a step that go through the network at once."""
  if clips >= FEWEST or not batch_stats or getattr(model, "frozen_norms", "none") in ("statistics", "all"):
    return []
  return [
    f"warning: batch norm sees {clips} clips at a time, and its statistics are noise below {FEWEST}: wanted a larger "
    "batch_size, fewer parts (accumulate), or --config.model.fields.frozen_norms=statistics"
  ]
