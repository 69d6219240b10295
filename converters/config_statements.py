"""The statements of a config file: which names they set, as far as that can be told without running them."""

import ast
from collections.abc import Mapping
from typing import Any

from jaction.converters.config_values import (
  MAX_DEPTH,
  MAX_ITEMS,
  MISSING,
  CannotRead,
  Expressions,
  depth_of,
  root_of,
  weight,
)
from jaction.errors import InputError


class Names(Expressions):
  """The names of one file, statement by statement; what is not read goes to `unread`."""

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
        changed = root_of(inner.func)  # model.update(...): a value that is changed in place
        names |= {changed} & set(self.values)
      elif isinstance(inner, ast.Subscript | ast.Attribute) and isinstance(inner.ctx, ast.Store | ast.Del):
        names.add(root_of(inner))
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
      if size > MAX_ITEMS or depth_of(value) > MAX_DEPTH:
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
        raise CannotRead("an assignment into something that is no dict or list")
      changed[key] = value
    except (CannotRead, TypeError, IndexError, ValueError) as error:
      self.note(target, str(error) or "an assignment to an item that is not there")
      root = root_of(target)
      if root in self.values:
        self.values[root] = MISSING
      return
    self.assign(target.value, changed)
