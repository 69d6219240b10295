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


class CannotRead(Exception):
  """Says why an expression is not read."""


class Work:
  """Counts what is put together, so that small files cannot ask for much."""

  def __init__(self):
    self.done = 0

  def add(self, name: str, amount: int) -> None:
    self.done += amount
    if self.done > MAX_WORK:
      raise InputError(f"{name}: asks for more than {MAX_WORK:,} items and characters, which no config file does")


class Expressions:
  """The expressions of one file; what is not read goes to `unread`."""

  def __init__(self, name: str, lines: list[str], unread: list[Unread], work: Work):
    self.name, self.lines, self.unread, self.work = name, lines, unread, work
    self.values: dict[str, Any] = {}
    self.base: Mapping[str, Any] = {}
    self.shadowed: set[str] = set()  # names that the file gives a meaning of its own

  def note(self, node: ast.AST, why: str) -> None:
    line = getattr(node, "lineno", 0)
    text = self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""
    if len(self.unread) < MAX_UNREAD:
      self.unread.append(Unread(self.name, line, text if len(text) <= 80 else f"{text[:77]}...", why))

  def value(self, node: ast.expr, depth: int = 0) -> Any:
    """The value, or MISSING, which is listed."""
    try:
      return self.expression(node, depth)
    except CannotRead as error:
      self.note(node, str(error))
      return MISSING

  def expression(self, node: ast.expr, depth: int) -> Any:
    if depth > MAX_DEPTH:
      raise CannotRead(f"nested deeper than {MAX_DEPTH}")
    reads: Callable | None = _READS.get(type(node))
    if reads is None:
      raise CannotRead(f"an expression of kind {type(node).__name__}")
    found = reads(self, node, depth + 1)
    if not isinstance(node, ast.Name | ast.Constant):
      self.work.add(self.name, len(found) + 1 if isinstance(found, str | list | tuple | dict) else 1)
    return found

  def constant(self, node: ast.Constant, depth: int) -> Any:
    if isinstance(node.value, bytes | complex) or node.value is ...:
      raise CannotRead(f"a constant of kind {type(node.value).__name__}")
    return _bounded(node.value)

  def name_of(self, node: ast.Name, depth: int) -> Any:
    if node.id not in self.values:
      raise CannotRead(f"the name {node.id}, which has no value here")
    if self.values[node.id] is MISSING:
      raise CannotRead(f"the name {node.id}, which could not be read")
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
        raise CannotRead(f"more than {MAX_ITEMS} items")
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
      raise CannotRead("a call, which is not run")
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
        raise CannotRead(f"{name} of something that is no number") from error
    raise CannotRead(f"{name} of arguments that are not plain values")

  def item(self, node: ast.Subscript, depth: int) -> Any:
    holder, key = self.expression(node.value, depth), self.expression(node.slice, depth)
    try:
      found = holder[key]
    except (TypeError, LookupError) as error:
      raise CannotRead(f"the item {key!r:.40}, which is not there") from error
    if found is MISSING:
      raise CannotRead("an item that could not be read")
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
      raise CannotRead("an attribute")
    for key in reversed(path):
      if not isinstance(found, Mapping) or found.get(key, MISSING) is MISSING:
        raise CannotRead(f"_base_ has no {key}")
      found = found[key]
    return found

  def braces(self, node: ast.Set, depth: int) -> Any:
    """`{{_base_.a}}`, as 0.x writes it."""
    inner = node.elts[0]
    if len(node.elts) == 1 and isinstance(inner, ast.Set) and len(inner.elts) == 1:
      return self.expression(inner.elts[0], depth)
    raise CannotRead("a set")

  def signed(self, node: ast.UnaryOp, depth: int) -> Any:
    value = self.expression(node.operand, depth)
    if isinstance(node.op, ast.Not) and not isinstance(value, _Missing):
      return not value
    if isinstance(value, int | float) and isinstance(node.op, ast.USub | ast.UAdd):
      return -value if isinstance(node.op, ast.USub) else +value
    raise CannotRead("an operator on something that is no number")

  def operation(self, node: ast.BinOp, depth: int) -> Any:
    a, b = self.expression(node.left, depth), self.expression(node.right, depth)
    if isinstance(node.op, ast.Add) and type(a) is type(b) and isinstance(a, str | list | tuple):
      if len(a) + len(b) <= (MAX_TEXT if isinstance(a, str) else MAX_ITEMS):
        return a + b
      raise CannotRead("a sum too large to be meant")
    if isinstance(node.op, ast.Mult) and isinstance(a, str | list | tuple) and type(b) is int:
      if len(a) * max(b, 0) <= MAX_TEXT:
        return a * max(b, 0)
      raise CannotRead("a product too large to be meant")
    if isinstance(node.op, ast.Mult) and isinstance(b, str | list | tuple) and type(a) is int:
      return self.operation(ast.copy_location(ast.BinOp(node.right, node.op, node.left), node), depth)
    does = _OPERATORS.get(type(node.op))
    if does is None or not isinstance(a, int | float) or not isinstance(b, int | float):
      raise CannotRead("an operator on something that is no number")
    if isinstance(node.op, ast.Pow) and not (-64 <= b <= 64):
      raise CannotRead("a power too large to be meant")
    try:
      result = does(a, b)
    except (ArithmeticError, ValueError, TypeError) as error:
      raise CannotRead(f"arithmetic that fails: {error}") from error
    if not isinstance(result, int | float):
      raise CannotRead("arithmetic whose result is no real number")
    return _bounded(result)

  def joined(self, node: ast.JoinedStr, depth: int) -> str:
    parts = []
    for part in node.values:
      plain = isinstance(part, ast.FormattedValue) and part.conversion == -1 and part.format_spec is None
      value = self.expression(part.value if plain else part, depth)
      if not isinstance(value, str | int | float) or sum(map(len, parts)) > MAX_TEXT:
        raise CannotRead("an f-string of more than short texts and numbers")
      parts.append(str(value))
    return _bounded("".join(parts))


_READS: Mapping[type, Callable] = {
  ast.Constant: Expressions.constant,
  ast.Name: Expressions.name_of,
  ast.List: Expressions.sequence,
  ast.Tuple: Expressions.sequence,
  ast.Dict: Expressions.mapping,
  ast.Call: Expressions.call,
  ast.Subscript: Expressions.item,
  ast.Slice: Expressions.part,
  ast.Attribute: Expressions.attribute,
  ast.Set: Expressions.braces,
  ast.UnaryOp: Expressions.signed,
  ast.BinOp: Expressions.operation,
  ast.JoinedStr: Expressions.joined,
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
    raise CannotRead("a number or text too large to be meant")
  if isinstance(value, float) and math.isnan(value):
    raise CannotRead("not a number")
  return value


def root_of(node: ast.expr) -> str:
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


def depth_of(value: Any) -> int:
  deepest, level = 0, [value]
  while level and deepest <= MAX_DEPTH:
    deepest += 1
    level = [x for v in level if isinstance(v, dict | list | tuple) for x in (v.values() if isinstance(v, dict) else v)]
  return deepest
