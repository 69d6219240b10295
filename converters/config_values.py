"""What an expression of a config file is worth, where that can be told without running anything."""

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from jaction.errors import InputError

MAX_DEPTH = 64  # of nesting, in a file and in a value
MAX_ITEMS = 20_000  # in the value of a name
MAX_TEXT = 10_000  # characters of a text that is put together
MAX_NUMBER = 2**63
MAX_WORK = 1_000_000  # items and characters put together in a whole reading
MAX_UNREAD = 200  # places that are listed


class Unread(NamedTuple):
  """A place that was not understood."""

  file: str
  line: int
  text: str
  why: str


class _Missing:
  """Stands where a value could not be read, so that a base's value does not shine through."""

  def __repr__(self) -> str:
    return "(not read)"

  def __bool__(self) -> bool:
    return False


MISSING = _Missing()


class _CannotRead(Exception):
  """Says why an expression is not read."""


class Work:
  """Counts what is put together, so that small files cannot ask for much."""

  def __init__(self):
    self.done = 0

  def add(self, name: str, amount: int) -> None:
    self.done += amount
    if self.done > MAX_WORK:
      raise InputError(f"{name}: asks for more than {MAX_WORK:,} items and characters, which no config file does")


class Names:
  """The names of one file, statement by statement; what is not read goes to `unread`."""

  def __init__(self, name: str, lines: list[str], unread: list[Unread], work: Work):
    self.name, self.lines, self.unread, self.work = name, lines, unread, work
    self.values: dict[str, Any] = {}
    self.base: Mapping[str, Any] = {}
    self.shadowed: set[str] = set()  # names that the file gives a meaning of its own

  def bases(self, tree: ast.Module) -> list[str]:
    for node in tree.body:
      if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "_base_" for t in node.targets):
        value = self.value(node.value)
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
          raise InputError(
            f"{self.name}, line {node.lineno}: _base_ is {value!r:.80}; wanted a file or a list of files"
          )
        return list(value)
    return []

  def run(self, tree: ast.Module, base: Mapping[str, Any]) -> None:
    self.base = base
    for node in tree.body:
      self.statement(node)

  def statement(self, node: ast.stmt) -> None:
    if isinstance(node, ast.Assign):
      if not any(isinstance(t, ast.Name) and t.id == "_base_" for t in node.targets):
        value = self.value(node.value)
        for target in node.targets:
          self.assign(target, value)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
      self.assign(node.target, self.value(node.value))
    elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
      load = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
      self.assign(node.target, self.value(ast.copy_location(ast.BinOp(load, node.op, node.value), node)))
    elif isinstance(node, ast.Delete) and all(isinstance(t, ast.Name) for t in node.targets):
      for target in node.targets:
        self.values.pop(getattr(target, "id", ""), None)
    elif not (isinstance(node, ast.Pass) or isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
      self.skipped(node)

  def skipped(self, node: ast.stmt) -> None:
    """A statement that is not read; the names that it may set have no value from here on."""
    names = set()
    defines = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    for inner in [node] if defines else ast.walk(node):
      if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store | ast.Del):
        names.add(inner.id)
      elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        names.add(inner.name)
      elif isinstance(inner, ast.Import | ast.ImportFrom):
        names |= {(alias.asname or alias.name).split(".")[0] for alias in inner.names}
      elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
        changed = _root(inner.func)  # model.update(...): a value that is changed in place
        names |= {changed} & set(self.values)
      elif isinstance(inner, ast.Subscript | ast.Attribute) and isinstance(inner.ctx, ast.Store | ast.Del):
        names.add(_root(inner))
    names.discard("")
    self.shadowed |= names
    known = sorted(names & set(self.values))
    self.values |= dict.fromkeys(known, MISSING)
    kind = {"Import": "an import", "ImportFrom": "an import", "If": "a condition", "Expr": "a call"}
    why = kind.get(type(node).__name__, f"a statement of kind {type(node).__name__}")
    self.note(node, why + (f"; {', '.join(known)} no longer known" if known else ""))

  def assign(self, target: ast.expr, value: Any) -> None:
    if isinstance(target, ast.Name):
      size = weight(value, MAX_ITEMS)
      self.work.add(self.name, size)
      if size > MAX_ITEMS or _depth(value) > MAX_DEPTH:
        self.note(target, f"a value of more than {MAX_ITEMS} items, or nested deeper than {MAX_DEPTH}")
        value = MISSING
      self.values[target.id] = value
      self.shadowed.add(target.id)
    elif isinstance(target, ast.Tuple | ast.List) and not any(isinstance(t, ast.Starred) for t in target.elts):
      fits = isinstance(value, list | tuple) and len(value) == len(target.elts)
      for i, inner in enumerate(target.elts):
        self.assign(inner, value[i] if fits else MISSING)
    elif isinstance(target, ast.Subscript):
      self.assign_item(target, value)
    else:
      self.note(target, "an assignment to something other than a name")

  def assign_item(self, target: ast.Subscript, value: Any) -> None:
    try:
      holder, key = self.expression(target.value, 1), self.expression(target.slice, 1)
      changed = holder.copy() if isinstance(holder, dict | list) else None
      if changed is None:
        raise _CannotRead("an assignment into something that is no dict or list")
      changed[key] = value
    except (_CannotRead, TypeError, IndexError, ValueError) as error:
      self.note(target, str(error) or "an assignment to an item that is not there")
      root = _root(target)
      if root in self.values:
        self.values[root] = MISSING
      return
    self.assign(target.value, changed)

  def note(self, node: ast.AST, why: str) -> None:
    line = getattr(node, "lineno", 0)
    text = self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""
    if len(self.unread) < MAX_UNREAD:
      self.unread.append(Unread(self.name, line, text if len(text) <= 80 else f"{text[:77]}...", why))

  def value(self, node: ast.expr, depth: int = 0) -> Any:
    """The value, or MISSING, which is listed."""
    try:
      return self.expression(node, depth)
    except _CannotRead as error:
      self.note(node, str(error))
      return MISSING

  def expression(self, node: ast.expr, depth: int) -> Any:
    if depth > MAX_DEPTH:
      raise _CannotRead(f"nested deeper than {MAX_DEPTH}")
    reads: Callable | None = _READS.get(type(node))
    if reads is None:
      raise _CannotRead(f"an expression of kind {type(node).__name__}")
    found = reads(self, node, depth + 1)
    if not isinstance(node, ast.Name | ast.Constant):
      self.work.add(self.name, len(found) + 1 if isinstance(found, str | list | tuple | dict) else 1)
    return found

  def constant(self, node: ast.Constant, depth: int) -> Any:
    if isinstance(node.value, bytes | complex) or node.value is ...:
      raise _CannotRead(f"a constant of kind {type(node.value).__name__}")
    return _bounded(node.value)

  def name_of(self, node: ast.Name, depth: int) -> Any:
    if node.id not in self.values:
      raise _CannotRead(f"the name {node.id}, which has no value here")
    if self.values[node.id] is MISSING:
      raise _CannotRead(f"the name {node.id}, which could not be read")
    return self.values[node.id]

  def sequence(self, node: ast.List | ast.Tuple, depth: int) -> Any:
    items: list[Any] = []
    for item in node.elts:
      if isinstance(item, ast.Starred):
        more = self.value(item.value, depth)
        items += more if isinstance(more, list | tuple) else [MISSING]
      else:
        items.append(self.value(item, depth))
      if len(items) > MAX_ITEMS:
        raise _CannotRead(f"more than {MAX_ITEMS} items")
    return items if isinstance(node, ast.List) else tuple(items)

  def pairs(self, pairs: Iterator[tuple[Any, ast.expr]], depth: int) -> dict:
    made: dict[Any, Any] = {}
    for key, node in pairs:
      value = self.value(node, depth)
      if key is not None:
        made[key] = value
      elif isinstance(value, dict):
        self.work.add(self.name, len(value))
        made |= value
      elif value is not MISSING:
        self.note(node, "** of something that is no dict")
    return made

  def mapping(self, node: ast.Dict, depth: int) -> dict:
    def keyed():
      for key, value in zip(node.keys, node.values, strict=True):
        read = None if key is None else self.value(key, depth)
        if isinstance(read, str | int | float | bool) or key is None:
          yield read, value
        elif read is not MISSING:
          self.note(key, "a key that is neither text nor number")

    return self.pairs(keyed(), depth)

  def call(self, node: ast.Call, depth: int) -> Any:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in ("dict", "list", "tuple", "range", "float", "int") or name in self.shadowed:
      raise _CannotRead("a call, which is not run")
    args = [self.expression(arg, depth) for arg in node.args]
    if name == "dict" and len(args) <= 1 and all(isinstance(arg, dict) for arg in args):
      return (dict(args[0]) if args else {}) | self.pairs(((k.arg, k.value) for k in node.keywords), depth)
    if name in ("list", "tuple") and not node.keywords and all(isinstance(arg, list | tuple | range) for arg in args):
      items = args[0] if len(args) == 1 else []
      return list(items) if name == "list" else tuple(items)
    if name == "range" and not node.keywords and 1 <= len(args) <= 3 and all(type(arg) is int for arg in args):
      if len(args) < 3 or args[2]:
        made = range(*args)
        if -MAX_ITEMS <= made.stop <= MAX_ITEMS and -MAX_ITEMS <= made.start <= MAX_ITEMS:
          return list(made)
    if name in ("float", "int") and len(args) == 1 and not node.keywords and isinstance(args[0], int | float | str):
      try:
        return _bounded(float(args[0]) if name == "float" else int(args[0]))
      except (ValueError, OverflowError) as error:
        raise _CannotRead(f"{name} of something that is no number") from error
    raise _CannotRead(f"{name} of arguments that are not plain values")

  def item(self, node: ast.Subscript, depth: int) -> Any:
    holder, key = self.expression(node.value, depth), self.expression(node.slice, depth)
    try:
      found = holder[key]
    except (TypeError, LookupError) as error:
      raise _CannotRead(f"the item {key!r:.40}, which is not there") from error
    if found is MISSING:
      raise _CannotRead("an item that could not be read")
    return found

  def part(self, node: ast.Slice, depth: int) -> slice:
    ends = [None if end is None else self.expression(end, depth) for end in (node.lower, node.upper, node.step)]
    return slice(*ends)

  def attribute(self, node: ast.Attribute, depth: int) -> Any:
    """`_base_.a.b`, by which 1.x refers to a base's value."""
    path = []
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute) and len(path) < MAX_DEPTH:
      path.append(inner.attr)
      inner = inner.value
    found: Any = self.base
    if not (isinstance(inner, ast.Name) and inner.id == "_base_"):
      raise _CannotRead("an attribute")
    for key in reversed(path):
      if not isinstance(found, Mapping) or found.get(key, MISSING) is MISSING:
        raise _CannotRead(f"_base_ has no {key}")
      found = found[key]
    return found

  def braces(self, node: ast.Set, depth: int) -> Any:
    """`{{_base_.a}}`, as 0.x writes it."""
    inner = node.elts[0]
    if len(node.elts) == 1 and isinstance(inner, ast.Set) and len(inner.elts) == 1:
      return self.expression(inner.elts[0], depth)
    raise _CannotRead("a set")

  def signed(self, node: ast.UnaryOp, depth: int) -> Any:
    value = self.expression(node.operand, depth)
    if isinstance(node.op, ast.Not) and not isinstance(value, _Missing):
      return not value
    if isinstance(value, int | float) and isinstance(node.op, ast.USub | ast.UAdd):
      return -value if isinstance(node.op, ast.USub) else +value
    raise _CannotRead("an operator on something that is no number")

  def operation(self, node: ast.BinOp, depth: int) -> Any:
    a, b = self.expression(node.left, depth), self.expression(node.right, depth)
    if isinstance(node.op, ast.Add) and type(a) is type(b) and isinstance(a, str | list | tuple):
      if len(a) + len(b) <= (MAX_TEXT if isinstance(a, str) else MAX_ITEMS):
        return a + b
      raise _CannotRead("a sum too large to be meant")
    if isinstance(node.op, ast.Mult) and isinstance(a, str | list | tuple) and type(b) is int:
      if len(a) * max(b, 0) <= MAX_TEXT:
        return a * max(b, 0)
      raise _CannotRead("a product too large to be meant")
    if isinstance(node.op, ast.Mult) and isinstance(b, str | list | tuple) and type(a) is int:
      return self.operation(ast.copy_location(ast.BinOp(node.right, node.op, node.left), node), depth)
    does = _OPERATORS.get(type(node.op))
    if does is None or not isinstance(a, int | float) or not isinstance(b, int | float):
      raise _CannotRead("an operator on something that is no number")
    if isinstance(node.op, ast.Pow) and not (-64 <= b <= 64):
      raise _CannotRead("a power too large to be meant")
    try:
      result = does(a, b)
    except (ArithmeticError, ValueError, TypeError) as error:
      raise _CannotRead(f"arithmetic that fails: {error}") from error
    if not isinstance(result, int | float):
      raise _CannotRead("arithmetic whose result is no real number")
    return _bounded(result)

  def joined(self, node: ast.JoinedStr, depth: int) -> str:
    parts = []
    for part in node.values:
      plain = isinstance(part, ast.FormattedValue) and part.conversion == -1 and part.format_spec is None
      value = self.expression(part.value if plain else part, depth)
      if not isinstance(value, str | int | float) or sum(map(len, parts)) > MAX_TEXT:
        raise _CannotRead("an f-string of more than short texts and numbers")
      parts.append(str(value))
    return _bounded("".join(parts))


_READS: Mapping[type, Callable] = {
  ast.Constant: Names.constant,
  ast.Name: Names.name_of,
  ast.List: Names.sequence,
  ast.Tuple: Names.sequence,
  ast.Dict: Names.mapping,
  ast.Call: Names.call,
  ast.Subscript: Names.item,
  ast.Slice: Names.part,
  ast.Attribute: Names.attribute,
  ast.Set: Names.braces,
  ast.UnaryOp: Names.signed,
  ast.BinOp: Names.operation,
  ast.JoinedStr: Names.joined,
}
_OPERATORS: Mapping[type, Callable] = {
  ast.Add: operator.add,
  ast.Sub: operator.sub,
  ast.Mult: operator.mul,
  ast.Div: operator.truediv,
  ast.FloorDiv: operator.floordiv,
  ast.Mod: operator.mod,
  ast.Pow: operator.pow,
}


def _bounded(value: Any) -> Any:
  if isinstance(value, int) and abs(value) > MAX_NUMBER or isinstance(value, str) and len(value) > MAX_TEXT:
    raise _CannotRead("a number or text too large to be meant")
  if isinstance(value, float) and math.isnan(value):
    raise _CannotRead("not a number")
  return value


def _root(node: ast.expr) -> str:
  while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
    node = node.func if isinstance(node, ast.Call) else node.value
  return node.id if isinstance(node, ast.Name) else ""


def weight(value: Any, limit: int) -> int:
  """How many values hang together, as if nothing were shared; counting stops above `limit`."""
  stack, count = [value], 0
  while stack and count <= limit:
    item = stack.pop()
    count += 1
    if isinstance(item, dict | list | tuple):
      stack += list(item.values() if isinstance(item, dict) else item)[: limit + 1]
  return count


def _depth(value: Any) -> int:
  deepest, level = 0, [value]
  while level and deepest <= MAX_DEPTH:
    deepest += 1
    level = [x for v in level if isinstance(v, dict | list | tuple) for x in (v.values() if isinstance(v, dict) else v)]
  return deepest
