"""A 2-D network's weights in a 3-D one: a still picture looks the same to both."""

import jax
import numpy as np
import pytest

from jaction.errors import InputError
from jaction.folders import merge
from jaction.models import create_model, initialize
from jaction.models.inflation import FORMS, in_time, inflated


def networks():
  flat, tall = (create_model(f"{name}_tiny_1x1x8", num_classes=5) for name in ("tsn", "i3d"))
  return (flat, initialize(flat, *flat.inputs(), seed=1)), (tall, initialize(tall, *tall.inputs(), seed=2))


@pytest.mark.parametrize("form", FORMS)
def test_a_still_clip_has_the_same_scores_before_and_after(form):
  (flat, weights), (tall, own) = networks()
  variables, report = merge(inflated(weights, own, form), own)
  assert not report.reinitialized
  still = np.repeat(np.random.default_rng(0).standard_normal((1, 1, 1, 32, 32, 3), np.float32), 33, axis=2)
  wanted = flat.apply(weights, still[:, :, :8])
  got = tall.apply(variables, still)
  # Away from the clip's ends alike; the averaged form sees zeros beyond them, in three frames at either end.
  tolerance = 1e-5 if form == "centred" else 0.3
  np.testing.assert_allclose(got, wanted, atol=tolerance * np.abs(wanted).max())
  moved = np.random.default_rng(1).standard_normal((1, 1, 8, 32, 32, 3), np.float32)
  scores, mixed = tall.apply(variables, moved), tall.apply(variables, moved[:, :, [0, 4, 1, 5, 2, 6, 3, 7]])
  change = np.abs(scores - mixed).max() / np.abs(scores).max()
  assert change < 1e-4 if form == "centred" else change > 1e-3  # the one sees each frame alone until it learns more


def test_kernels_that_fit_or_never_will_are_left_as_they_are():
  (_, weights), (_, own) = networks()
  assert jax.tree.all(jax.tree.map(np.array_equal, inflated(weights, weights), weights))
  odd = {"params": {"backbone": {"conv1": {"conv": {"kernel": np.ones((2, 2, 48, 16), np.float32)}}}}}
  assert inflated(odd, own)["params"]["backbone"]["conv1"]["conv"]["kernel"].shape == (2, 2, 48, 16)


def test_a_form_that_there_is_not_is_named_with_the_nearest():
  with pytest.raises(InputError, match="form='centered'.*centred"):
    in_time(np.ones((1, 1, 2, 2)), 3, "centered")
