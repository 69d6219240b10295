"""What every command shares: a user's mistake ends in one clear line and exit status 2, never in a traceback."""

import sys
from collections.abc import Callable

from jaction.errors import InputError


def run(main: Callable[[list[str]], int | None], argv: list[str] | None = None) -> int:
  """The exit status of `main(argv)`; argv holds no program name.

  An InputError, with the notes that were added on its way, and a file that the system does not let us read or write are
  printed as one message.
  """
  try:
    return main(sys.argv[1:] if argv is None else argv) or 0
  except InputError as error:
    notes = [note for note in getattr(error, "__notes__", []) if "Grain" not in note and "---" not in note]
    print("\n  ".join([f"error: {error}", *notes]), file=sys.stderr)
    return 2
  except BrokenPipeError:  # the reader of our output (head, less) has gone
    sys.stderr.close()
    return 0
  except OSError as error:
    where = f"{error.filename}: " if error.filename else ""
    print(f"error: {where}{error.strerror or error}", file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    return 130
