"""What is written about the package agrees with what is there."""

import configparser
import importlib.metadata
import pathlib
import re
import sys
import tomllib

import pytest

import jaction

ROOT = pathlib.Path(__file__).parent.parent
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
REQUIRES = SETUP["options"]["install_requires"].split("\n")[1:]
EXTRAS = {name: [line for line in text.split("\n") if line] for name, text in SETUP["options.extras_require"].items()}


def name_of(requirement: str) -> str:
  return re.match(r"[A-Za-z0-9_.-]+", requirement.strip()).group().lower().replace("_", "-")


def constraints() -> list[str]:
  lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
  return [line for line in lines if line and not line.startswith("#")]


def test_every_package_is_listed_and_mapped():
  """A new folder that setup.cfg does not name would be missing from the wheel alone."""
  folders = {"jaction": ROOT / "jaction"} | {f"jaction.{n}": ROOT / n for n in ("configs", "converters", "launch")}
  there = {
    ".".join([name, *path.parent.relative_to(folder).parts]).rstrip(".")
    for name, folder in folders.items()
    for path in folder.rglob("*.py")
  }
  assert set(SETUP["options"]["packages"].split()) == there
  assert all((ROOT / name / "__init__.py").is_file() for name in ("configs", "converters", "launch"))


def test_the_base_install_has_neither_tensorflow_nor_torch():
  assert not {name_of(line) for line in REQUIRES} & {"tensorflow", "tensorflow-datasets", "torch", "torchvision", "clu"}
  assert set(EXTRAS) == {"cuda", "tpu", "remote", "tfds", "torch", "detect", "wandb", "dev"}
  assert all("torch" != name_of(line) for line in EXTRAS["dev"])


def test_the_constraints_name_one_version_of_each_thing_for_each_python():
  for version in ("3.11", "3.12", "3.13"):
    seen = {}
    for line in constraints():
      pin, _, marker = line.partition(" ; ")
      relation, bound = re.fullmatch(r'python_version (<|>=) "3\.(\d+)"', marker).groups() if marker else (">=", "0")
      if (int(version.split(".")[1]) < int(bound)) == (relation == "<"):
        name, number = pin.split("==")
        assert name not in seen, f"{name} is pinned twice for {version}"
        seen[name_of(name)] = number
    wanted = {name_of(line) for line in [*REQUIRES, *EXTRAS["dev"], *EXTRAS["torch"]]}
    assert wanted <= set(seen), f"not pinned for {version}: {sorted(wanted - set(seen))}"
    assert seen["jax"] == seen["jaxlib"]
    assert seen["jax"].startswith("0.10." if version == "3.11" else "0.12.")


def test_the_constraints_are_sorted():
  assert constraints() == sorted(constraints(), key=str.lower)


def test_the_installed_metadata_is_of_this_version():
  assert importlib.metadata.version("jaction") == jaction.__version__
  assert f"## {jaction.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_console_command_is_the_only_entry_point():
  points = [p for p in importlib.metadata.distribution("jaction").entry_points if p.group == "console_scripts"]
  assert [(p.name, p.value) for p in points] == [("jaction", "jaction.launch.main:console")]
  assert callable(points[0].load())


def test_the_licence_is_the_whole_apache_licence():
  text = (ROOT / "LICENSE").read_text(encoding="utf-8")
  assert "Apache License" in text[:200] and "Version 2.0, January 2004" in text[:200]
  assert "END OF TERMS AND CONDITIONS" in text and text.count("\n") > 190
  assert SETUP["metadata"]["license"] == "Apache-2.0"


def test_tools_agree_on_python_and_line_length():
  settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
  assert SETUP["options"]["python_requires"] == ">=3.11"
  assert settings["ruff"]["target-version"] == "py311" and settings["pyright"]["pythonVersion"] == "3.11"
  assert (settings["ruff"]["indent-width"], settings["ruff"]["line-length"]) == (2, 120)


@pytest.mark.parametrize("target", ["demo", "demo-short", "test", "lint", "wheel", "clean"])
def test_the_makefile_has_what_the_readme_and_ci_call(target):
  assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_exception_to_warnings_as_errors_names_its_library():
  text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
  lines = text.partition("filterwarnings = [")[2].partition("\n]")[0].strip().splitlines()
  assert lines[0].strip() == '"error",'
  assert all(re.search(r'",\s+# [a-zA-Z]', line) for line in lines[1:]), "end each exception with `# library: why`"


def test_this_python_is_one_of_those_named():
  named = re.findall(r"Python :: (3\.\d+)$", SETUP["metadata"]["classifiers"], re.MULTILINE)
  assert f"3.{sys.version_info.minor}" in named
