"""Entry points: thin, flags in, one call, exit status out."""

try:
  import jaction.launch.cli  # noqa: F401  where jaction is not installed, this is what fails
except ModuleNotFoundError as error:
  raise SystemExit(
    f"error: jaction is not installed here ({error}): run `pip install -e .` in the checkout, or `make test`"
  ) from error
