"""Config files are read off their syntax tree: values, bases, and what must neither run nor hang."""

import os
import subprocess
import sys
import textwrap

import pytest

from jaction.converters.config_reader import MAX_BYTES, MAX_FILES, read_config
from jaction.converters.config_values import MISSING
from jaction.errors import InputError


@pytest.fixture
def read(tmp_path):
  """Writes {name: text} (or the text of main.py) and reads main.py."""

  def run(files):
    for name, text in ({"main.py": files} if isinstance(files, str) else files).items():
      (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
      (tmp_path / name).write_text(textwrap.dedent(text), encoding="utf-8")
    return read_config(tmp_path / "main.py")

  return run


@pytest.mark.parametrize(
  ("text", "wanted"),
  [
    ("a = 1", 1),
    ("a = -1.5e-3", -1.5e-3),
    ("a = 'x' 'y'", "xy"),
    ("a = None", None),
    ("a = True", True),
    ("a = [1, (2, 3), {'k': None}]", [1, (2, 3), {"k": None}]),
    ("a = dict(type='X', lr=0.1)", {"type": "X", "lr": 0.1}),
    ("a = dict({'b': 1}, c=2)", {"b": 1, "c": 2}),
    ("b = dict(x=1); a = dict(type='N', **b)", {"type": "N", "x": 1}),
    ("b = dict(x=1); a = {**b, 'y': 2}", {"x": 1, "y": 2}),
    ("b = [1, 2]; a = [*b, 3]", [1, 2, 3]),
    ("b = [1, 2]; a = b + [3] * 2", [1, 2, 3, 3]),
    ("root = 'data/'; a = root + 'list.txt'", "data/list.txt"),
    ("n = 8; a = f'x{n}y'", "x8y"),
    ("b = dict(c=[5, 6]); a = b['c'][-1]", 6),
    ("b = [1, 2, 3]; a = b[1:]", [2, 3]),
    ("a = 0.01 * 2 / 4 + 3 ** 2 - 7 // 2 % 5", 0.005 + 9 - 3),
    ("a, b = 4, 5", 4),
    ("a = b = 3", 3),
    ("a: int = 3", 3),
    ("a = 3\na += 4", 7),
    ("a = list(range(2, 6, 2)); ", [2, 4]),
    ("a = float('inf')", float("inf")),
    ("a = dict(b=dict(c=1))\na['b']['c'] = 2", {"b": {"c": 2}}),
    ("b = dict(c=1)\na = dict(x=b, y=b)\na['x']['c'] = 2", {"x": {"c": 2}, "y": {"c": 1}}),
  ],
)
def test_plain_values_are_what_python_makes_of_them(read, text, wanted):
  config = read(text)
  assert config.values["a"] == wanted
  assert not config.unread


@pytest.mark.parametrize(
  "text",
  [
    "import os\na = os.getcwd()",
    "a = open('f', 'w')",
    "a = __import__('os').system('touch ran')",
    "a = eval('1')",
    "a = (lambda: 1)()",
    "a = [x for x in (1, 2)]",
    "a = 1 if 2 else 3",
    "a = (b := 3)",
    "a = ().__class__",
    "a = unknown",
    "def dict(**k): pass\na = dict(b=1)",
    "from os import system as dict\na = dict(b=1)",
    "dict = 3\na = dict(b=1)",
    "a = '%d' % 3",
    "a = 1 / 0",
    "a = [1][3]",
    "a = 'x' + 1",
    "a = (-8) ** 0.5",
    "a = {**3}['b']",
    "a = b'x'",
    "a = 1\nif a: a = 2",
    "a = [1]\na.append(2)",
    "a = [1]\nfor a in range(3): pass",
    "a = 1\nwith b as a: pass",
  ],
)
def test_what_would_have_to_be_run_is_named_with_its_line_and_left_out(read, text):
  config = read(text)
  assert config.values.get("a", MISSING) is MISSING
  assert config.unread[-1].line in (1, 2)
  assert config.unread[-1].why


def test_the_rest_of_a_dict_survives_an_entry_that_cannot_be_read(read):
  config = read("model = dict(a=1, b=foo(2), c=[1, foo(3)])")
  assert config.values["model"] == {"a": 1, "b": MISSING, "c": [1]}
  assert [place.line for place in config.unread] == [1, 1]


def test_bases_merge_dict_by_dict_and_delete_replaces(read):
  config = read(
    {
      "main.py": """
        _base_ = ['base/a.py', './base/b.py']
        model = dict(head=dict(n=2), neck=dict(_delete_=True, z=1))
        items = [9]
        copied = {{_base_.lr}}
        chosen = _base_.model.head.kind
        """,
      "base/a.py": "_base_ = '../deep.py'\nmodel = dict(head=dict(n=1, kind='H'), neck=dict(y=1))\nitems = [1, 2]",
      "base/b.py": "lr = 0.5",
      "deep.py": "model = dict(depth=50, head=dict(old=True))\nkept = 'yes'",
    }
  )
  head = {"n": 2, "kind": "H", "old": True}
  assert config.values["model"] == {"depth": 50, "head": head, "neck": {"z": 1}}
  assert (config.values["items"], config.values["kept"]) == ([9], "yes")
  assert (config.values["copied"], config.values["chosen"]) == (0.5, "H")
  assert [path.name for path in config.files] == ["main.py", "a.py", "deep.py", "b.py"]


def test_what_cannot_be_read_hides_the_value_of_the_base(read):
  files = {"main.py": "_base_ = 'b.py'\noptimizer = dict(lr=foo())", "b.py": "optimizer = dict(lr=0.1, momentum=0.9)"}
  assert read(files).values["optimizer"] == {"lr": MISSING, "momentum": 0.9}


@pytest.mark.parametrize(
  ("files", "said"),
  [
    ({"main.py": "_base_ = 'main.py'"}, "leads back to itself: main.py -> main.py"),
    ({"main.py": "_base_ = 'b.py'", "b.py": "_base_ = ['./main.py']"}, "main.py -> b.py -> main.py"),
    ({"main.py": "_base_ = 'absent.py'"}, "absent.py.*a _base_ of .*main.py.*No such file"),
    ({"main.py": "_base_ = foo()"}, "line 1: _base_ is .*wanted a file"),
    ({"main.py": "_base_ = 3"}, "_base_ is 3; wanted a file"),
    ({"main.py": "_base_ = 'b.py'\na = dict(x=1)", "b.py": "a = 3"}, "a is a dict here and a int in the base"),
    ({"main.py": "_base_ = '/dev/zero'"}, "is not a file"),
    ({"main.py": "_base_ = '.'"}, "is not a file"),
    ({"main.py": "a = ="}, "line 1: is not Python"),
    ({"main.py": "a = '\0'"}, "null bytes"),
    ({"main.py": "#" * (MAX_BYTES + 1)}, "larger than"),
    (
      {"main.py": "_base_ = ['b0.py']"}
      | {f"b{i}.py": f"_base_ = ['b{i + 1}.py', 'b{i + 1}.py']" for i in range(40)}
      | {"b40.py": ""},
      f"more than {MAX_FILES} files",
    ),
  ],
  ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_a_file_that_is_no_config_is_one_clear_error(read, files, said):
  with pytest.raises(InputError, match=said):
    read(files)


def test_a_missing_file_and_one_that_is_no_text_are_clear_errors(tmp_path):
  with pytest.raises(InputError, match="cannot be read: No such file"):
    read_config(tmp_path / "absent.py")
  (tmp_path / "x.py").write_bytes(b"a = '\xff'")
  with pytest.raises(InputError, match="is not UTF-8"):
    read_config(tmp_path / "x.py")


HOSTILE = {
  "a shell": "import os\nos.system('touch ran')\nmodel = dict(a=os.system('touch ran'))",
  "an import": "__import__('os').system('touch ran')\na = __import__('pathlib').Path('ran').touch()",
  "exec": "exec('open(\"ran\", \"w\")')\n@open('ran', 'w').write\ndef f(x=open('ran', 'w')): pass",
  "a class": "class A(metaclass=print):\n  open('ran', 'w')\n",
  "a power": "a = 10**10**10\nb = 2.0**9**9**9\nc = (10**18)**64",
  "a long text": "a = 'a'*10**12\nb = 'a' * 10000\nc = b*10000",
  "texts": "a = 'a' * 10000\nb = [" + "a + '', " * 20000 + "]",
  "lists": "a = [0] * 10000\nb = [" + "a + a, " * 20000 + "]",
  "a shift": "a = 1 << 10**10",
  "a format": "a = '%1000000000d' % 1\nb = f'{1:1000000000}'\nc = '{:1000000000}'.format(1)",
  "a range": "a = list(range(10**12))\nb = tuple(range(0, -10**15, -1))",
  "doubling": "a = [1, 1]\n" + "a = [a, a]\n" * 3000,
  "doubling dicts": "a = dict(x=1)\n" + "a = dict(x=a, y=a)\n" * 3000,
  "doubling lists": "a = [1]\n" + "a += a\n" * 3000,
  "the same again": "a = [0] * 10000\n" + "b = [a]\n" * 20000,
  "nested lists": "a = " + "[" * 150 + "]" * 150,
  "nested names": "a = []\n" + "a = [a]\n" * 20000,
  "signs": "a = " + "-" * 100000 + "1",
  "a long sum": "a = " + "1 + " * 50000 + "1",
  "attributes": "a = b" + ".c" * 50000,
  "calls": "a = f" + "()" * 50000,
  "lambdas": "a = " + "lambda: " * 20000 + "1",
  "braces": "a = " + "{" * 150,
  "dicts of dicts": "a = " + "{1: " * 90 + "1" + "}" * 90,
  "stars": "a = {1: 2}\nb = {" + "**a, " * 40000 + "}",
  "a huge number": "a = " + "9" * 100000,
  "itself in itself": "a = []\na[0:0] = [a]\na[0] = a\nb = {}\nb['b'] = b\nb['b']['b'] = b",
}


def test_hostile_files_run_nothing_and_end_soon_in_little_memory(tmp_path):
  """In a process of its own, whose memory and time are limited."""
  if not os.path.exists("/proc/self/statm"):
    pytest.skip("no /proc here")
  for i, text in enumerate(HOSTILE.values()):
    (tmp_path / f"x{i}.py").write_text(text)
  code = """
    import resource, sys, time
    from jaction.converters.config_reader import read_config
    from jaction.errors import InputError
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20),) * 2)
    for i in range(int(sys.argv[1])):
      print(f"x{i}.py", flush=True)
      began = time.process_time()
      try:
        read_config(f"x{i}.py")
      except InputError:
        pass
      assert time.process_time() - began < 10
    print("done")
  """
  command = [sys.executable, "-c", textwrap.dedent(code), str(len(HOSTILE))]
  done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
  last = (done.stdout.split() or ["none"])[-1]
  assert done.returncode == 0 and last == "done", f"{last}: {done.stderr[-2000:]}"
  assert {path.name for path in tmp_path.iterdir()} == {f"x{i}.py" for i in range(len(HOSTILE))}, "a file was run"
