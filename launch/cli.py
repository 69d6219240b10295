"""What every command shares: a user's mistake ends in one clear line and exit status 2, never in a traceback."""

import sys
from collections.abc import Callable

from jaction.errors import InputError


def run(main: Callable[[list[str]], int | None], argv: list[str] | None = None) -> int:
  """The exit status of `main(argv)`; argv holds no program name.  An InputError is printed as one message."""
  try:
    return main(sys.argv[1:] if argv is None else argv) or 0
  except InputError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    return 130
