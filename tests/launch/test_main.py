"""The console command: its table, its help, and that looking at it costs nothing."""

import ast
import importlib.util
import pathlib
import subprocess
import sys

import pytest

import jaction
from jaction.errors import InputError
from jaction.launch import cli, main

LAUNCH = pathlib.Path(main.__file__).parent


def test_help_lists_every_command(capsys):
  assert main.main(["--help"]) == 0
  shown = capsys.readouterr().out
  assert all(f"  {name} " in shown for name in main.COMMANDS)
  assert max(map(len, shown.splitlines())) <= 120


def test_no_arguments_show_the_help(capsys):
  assert main.main([]) == 0
  assert capsys.readouterr().out.startswith("usage: jaction COMMAND")


def test_version(capsys):
  assert main.main(["--version"]) == 0
  assert capsys.readouterr().out == f"jaction {jaction.__version__}\n"


def test_an_unknown_command_names_the_nearest():
  with pytest.raises(InputError, match=r"no command 'trian'.*Near it: train"):
    main.main(["trian"])


def test_an_unknown_command_exits_with_2_and_one_line(capsys):
  assert cli.run(main.main, ["evalute"]) == 2
  captured = capsys.readouterr()
  assert captured.out == "" and captured.err.startswith("error: no command 'evalute'") and "evaluate" in captured.err


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_has_a_module_with_a_main_of_one_list(name):
  spec = importlib.util.find_spec(main.COMMANDS[name].module)
  assert spec is not None and spec.origin is not None, f"{main.COMMANDS[name].module} is not there"
  functions = {
    n.name: n for n in ast.parse(pathlib.Path(spec.origin).read_text()).body if isinstance(n, ast.FunctionDef)
  }
  arguments = functions["main"].args
  assert len(arguments.args) == 1 and not arguments.kwonlyargs


def test_every_entry_point_is_in_the_table():
  """A file in launch/ with a main is a command; what helps the commands has none."""
  entry = {path.stem for path in LAUNCH.glob("*.py") if "\ndef main(argv" in path.read_text()} - {"main"}
  assert {f"jaction.launch.{name}" for name in entry} <= {command.module for command in main.COMMANDS.values()}


def test_a_command_gets_the_rest_of_the_line(monkeypatch):
  seen = []
  monkeypatch.setattr(main.importlib, "import_module", lambda name: type("M", (), {"main": staticmethod(seen.append)}))
  main.main(["train", "--config=x", "--workdir", "y"])
  assert seen == [["--config=x", "--workdir", "y"]]


def test_help_imports_no_command():
  code = (
    "import sys; from jaction.launch import main; main.main(['--help']); "
    "late = {'jaction.launch.train', 'grain', 'orbax.checkpoint', 'matplotlib', 'av', 'cv2'} & set(sys.modules); "
    "sys.exit(' '.join(late) or 0)"
  )
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
  assert done.returncode == 0, done.stderr
