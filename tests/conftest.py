"""Eight CPU devices, strict rank promotion, and where the reference data lies."""

import os
import pathlib

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parent.parent / ".jax_cache"))

import jax
import pytest
from absl import flags

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
if not flags.FLAGS.is_parsed():  # grain reads absl's flags
  flags.FLAGS.mark_as_parsed()

SHARED = pathlib.Path(os.environ.get("JACTION_SHARED", pathlib.Path(__file__).parent.parent.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
  """The folder of reference data (JACTION_SHARED, or ../shared); a test that wants it is skipped where it is absent."""
  if not SHARED.is_dir():
    pytest.skip(f"no reference data at {SHARED}; set JACTION_SHARED")
  return SHARED
