"""Who may import whom, whatever the form of the import, and what `import jaction` costs."""

import ast
import pathlib
import subprocess
import sys
import textwrap

import pytest

ROOT = pathlib.Path(__file__).parent.parent
LEAVES = {"boxes", "segments", "errors"}
INNER = {
  "records",
  "order",
  "clips",
  "batches",
  "workers",
  "faults",
  "hands",
  "memory",
  "models",
  "losses",
  "losses_localization",
  "metrics",
  "checkpoints",
  "folders",
  "flops",
  "predict",
  "train",
}

MAY = {  # a package, or a single file of it -> the packages of ours that it may import
  "jaction": {"models", "folders"},  # jaction/__init__.py
  "records": set(),
  "order": set(),
  "clips": {"records"},
  "batches": {"clips", "order", "records", "workers", "faults", "hands"},
  "faults": set(),
  "hands": set(),
  "memory": set(),
  "workers": {"records"},
  "models": set(),
  "losses": set(),
  "losses_localization": set(),
  "metrics": set(),
  "flops": {"models"},
  "checkpoints": {"models"},
  "folders": {"models"},
  "predict": {"records", "clips", "batches", "models", "checkpoints", "folders"},
  "train": INNER,
  "converters": {"models"},
  "converters/convert.py": {"models", "folders", "records", "launch"},  # the entry point: reads labels, writes a folder
  "converters/config.py": {"models", "launch"},  # the entry point: packaged configs, as launch.train finds them
  "converters/config_compare.py": {"models", "clips", "launch"},  # settings' defaults; configs
  "configs": set(),
  "launch": INNER | {"jaction", "configs", "converters"},
}
OUTSIDE = {  # a package -> the only packages not ours that it may import; others may import what setup.cfg requires
  "configs": {"ml_collections"},
}
FOREIGN = {"tensorflow", "tensorflow_datasets", "clu", "torch", "torchvision", "onnxruntime"}  # nowhere but here:
MAY_TORCH = {"launch/benchmark.py", "launch/torch_slowonly.py"}
MAY_ONNX = {"jaction/predict/people.py"}

FOLDERS = {"jaction": ROOT / "jaction"} | {
  f"jaction.{name}": ROOT / name for name in ("configs", "converters", "launch")
}
FILES = {path: f"{name}.{'.'.join(path.relative_to(folder).with_suffix('').parts)}".removesuffix(".__init__")
         for name, folder in FOLDERS.items() for path in sorted(folder.rglob("*.py"))}  # fmt: skip
MODULES = set(FILES.values())


def imported(source: str, module: str, is_package: bool, modules: set[str] = MODULES) -> list[str]:
  """The dotted names of the modules that a source text imports; names that are no modules are cut off."""
  here = module.split(".") if is_package else module.split(".")[:-1]
  found = []
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.Import):
      found += [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      base = here[: len(here) - node.level + 1] if node.level else []
      stem = ".".join([*base, *([node.module] if node.module else [])])
      found += [f"{stem}.{a.name}" if f"{stem}.{a.name}" in modules else stem for a in node.names]
    elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__", "find_spec"):
      text = node.args[0] if node.args else None
      if isinstance(text, ast.JoinedStr):  # f"jaction.configs.{name}": its constant beginning says the package
        text = text.values[0]
      if isinstance(text, ast.Constant) and isinstance(text.value, str):
        found.append(text.value.rstrip("."))
  return found


def _called(node: ast.Call) -> str:
  return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def package(name: str) -> str:
  """The package of ours that a dotted name belongs to: "jaction" itself, or the part behind it."""
  parts = name.split(".")
  return parts[1] if len(parts) > 1 else parts[0]


def names(path: pathlib.Path) -> list[str]:
  return imported(path.read_text(encoding="utf-8"), FILES[path], path.name == "__init__.py")


def allowed(path: pathlib.Path) -> set[str]:
  relative = path.relative_to(ROOT).as_posix()
  own = package(FILES[path])
  assert relative in MAY or own in MAY or own in LEAVES, (
    f"{relative}: {own} is not in the table of tests/test_imports.py"
  )
  return (set() if own in LEAVES else MAY.get(relative, MAY.get(own, set())) | LEAVES) | {own}


def test_there_is_something_to_look_at():
  assert len(FILES) > 40
  seen = {package(module) for module in FILES.values()}
  assert set(MAY) - {name for name in MAY if "/" in name} <= seen, "the table names packages that are not there"
  assert all((ROOT / name).is_file() for name in {*MAY, *MAY_TORCH} if "/" in name)
  pairs = {
    (package(FILES[path]), package(name)) for path in FILES for name in names(path) if name.startswith("jaction")
  }
  assert {("clips", "errors"), ("train", "models"), ("launch", "predict"), ("converters", "models")} <= pairs


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_one_way(path):
  ours = {package(name) for name in names(path) if name.split(".")[0] == "jaction"}
  assert ours <= allowed(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_folders_beside_jaction_are_imported_by_their_installed_names(path):
  """config_flags loads a config by its path, `python -m launch.X` runs outside any package: neither knows relatives."""
  tops = {name.split(".")[0] for name in names(path)}
  assert not tops & {"configs", "launch", "converters", ""}
  if path.is_relative_to(ROOT / "jaction"):
    assert not {package(name) for name in names(path)} & {"configs", "launch", "converters"}
  else:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_needs_tensorflow_or_torch(path):
  tops = {name.split(".")[0] for name in names(path)}
  name = path.relative_to(ROOT).as_posix()
  if name not in MAY_TORCH:
    assert not tops & FOREIGN - ({"onnxruntime"} if name in MAY_ONNX else set())
  only = OUTSIDE.get(package(FILES[path]))
  if only is not None:
    assert tops - {"jaction"} - set(sys.stdlib_module_names) <= only


@pytest.mark.parametrize(
  ("source", "wanted"),
  [
    ("import jaction.records.lists as l", ["jaction.records.lists"]),
    ("from jaction import records", ["jaction.records"]),
    ("from jaction import load, records", ["jaction", "jaction.records"]),
    ("from jaction.records import lists, Record", ["jaction.records.lists", "jaction.records"]),
    ("from . import sampling", ["jaction.clips.sampling"]),
    ("from .sampling import sample_frames", ["jaction.clips.sampling"]),
    ("from .. import models", ["jaction.models"]),
    ("from ..models import layers", ["jaction.models.layers"]),
    ("from jaction.clips import *", ["jaction.clips"]),
    ("def f():\n  from jaction import launch", ["jaction.launch"]),
    ("import importlib\nimportlib.import_module('jaction.launch.train')", ["importlib", "jaction.launch.train"]),
    ("__import__(f'jaction.configs.{x}')", ["jaction.configs"]),
  ],
)
def test_every_form_of_import_is_resolved(source, wanted):
  modules = {f"jaction{name}" for name in ("", ".records", ".records.lists", ".clips", ".clips.sampling", ".models",
                                           ".models.layers", ".launch", ".launch.train", ".configs")}  # fmt: skip
  assert imported(source, "jaction.clips.transforms", False, modules) == wanted


def test_importing_jaction_is_quick_and_brings_neither_tensorflow_nor_torch():
  code = """
    import sys, time
    began = time.perf_counter()
    import jax, flax.linen, optax
    theirs = time.perf_counter() - began
    began = time.perf_counter()
    import jaction
    ours = time.perf_counter() - began
    late = {"tensorflow", "torch", "grain", "orbax.checkpoint", "matplotlib", "cv2", "av", "tensorboardX"}
    assert not late & set(sys.modules), late & set(sys.modules)
    assert ours < max(0.5, theirs), f"import jaction took {ours:.2f} s beyond the {theirs:.2f} s of jax and flax"
  """
  done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=300)
  assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
  "module", ["jaction.launch.main", "jaction.train.loop", "jaction.converters", "jaction.predict.scoring"]
)
def test_nothing_of_ours_brings_tensorflow_or_torch(module):
  code = f"import sys, {module}; sys.exit(' '.join({{'tensorflow', 'torch'}} & set(sys.modules)) or 0)"
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
  assert done.returncode == 0, done.stderr
