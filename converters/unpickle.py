"""A pickle reader that builds nothing but plain containers, numbers, arrays and inert stubs.

No global is ever looked up and nothing is ever called but the functions in CALLS, which are ours: a pickle that wants
`os.system` gets a `Stub` with that name.  Memory and time stay in proportion to the bytes read.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

OPCODES = 5_000_000  # a checkpoint of 5,000 tensors with its optimizer takes about one million


class Damaged(Exception):
  """What is wrong with the bytes; `reader` puts the file's name before it."""


class Truncated(Damaged):
  """The bytes end too early."""


class Name(NamedTuple):
  """A global as the pickle names it."""

  module: str
  name: str

  def __str__(self) -> str:
    return f"{self.module}.{self.name}"


class Stub:
  """Stands for an object of a class that is not built: what it was made from, kept and never looked into."""

  __slots__ = ("args", "entries", "of", "state")

  def __init__(self, of: Any, args: Any = ()):
    self.of, self.args, self.state = of, args, None
    self.entries: dict | None = None


class Storage(NamedTuple):
  """A block of numbers in the file; `offset` and `numel` count elements of `dtype`, a name such as "float32"."""

  key: Any
  dtype: str
  numel: int
  offset: int = 0


class Tensor(NamedTuple):
  """A strided view of a storage, in elements, not yet read and not yet checked."""

  storage: Any
  offset: Any
  size: Any
  stride: Any
  dtype: str | None = None


class Array:
  """A numpy array while its state is on the way."""

  __slots__ = ("value",)

  def __init__(self, *_: Any):
    self.value = None


class Unpickler:
  """Reads pickles from one stream, one after another, within one bound on the work.

  `persistent` makes an object of a persistent id; `globals` collects the names that stayed stubs.
  """

  def __init__(self, persistent: Callable[[Any], Any] | None = None):
    self.persistent = persistent
    self.globals: set[str] = set()
    self._left = OPCODES

  def load(self, stream: BinaryIO) -> Any:
    """The object of the pickle that starts where `stream` stands; the stream then stands behind it.

    Raises Damaged for anything but a whole, readable pickle.
    """
    stack: list = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    try:
      for opcode, arg, _ in pickletools.genops(stream):
        self.spend(1)
        if opcode.name == "STOP":
          return stack.pop()
        self._run(opcode.name, arg, stack, marks, memo)
    except Damaged:
      raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
      if not stream.read(1):
        raise Truncated("its pickle ends too early") from error
      raise Damaged(f"its pickle makes no sense ({type(error).__name__}: {str(error)[:120]})") from error
    raise Truncated("its pickle ends too early")

  def spend(self, work: int) -> None:
    """Counts opcodes and copied items, so that a small file cannot keep us busy for hours."""
    self._left -= work
    if self._left < 0:
      raise Damaged(f"its pickles take more than {OPCODES:,} steps, which no checkpoint needs")

  def _run(self, op: str, arg: Any, stack: list, marks: list[int], memo: dict) -> None:
    if op in LITERALS:
      stack.append(arg)
    elif op in ("BINPUT", "LONG_BINPUT", "PUT"):
      memo[arg] = stack[-1]
    elif op == "MEMOIZE":
      memo[len(memo)] = stack[-1]
    elif op in ("BINGET", "LONG_BINGET", "GET"):
      stack.append(memo[arg])
    elif op == "MARK":
      marks.append(len(stack))
    elif op in CONSTANTS:
      stack.append(CONSTANTS[op])
    elif op in ("TUPLE1", "TUPLE2", "TUPLE3"):
      stack.append(tuple(_cut(stack, len(stack) - int(op[-1]))))
    elif op == "TUPLE":
      stack.append(tuple(_cut(stack, marks.pop())))
    elif op in EMPTY:
      stack.append(EMPTY[op]())
    elif op in ("LIST", "FROZENSET"):
      stack.append(_cut(stack, marks.pop()))
    elif op == "DICT":
      stack.append(_put({}, _cut(stack, marks.pop())))
    elif op in ("SETITEM", "SETITEMS"):
      items = _cut(stack, len(stack) - 2 if op == "SETITEM" else marks.pop())
      _put(stack[-1], items)
    elif op in ("APPEND", "APPENDS", "ADDITEMS"):
      items = _cut(stack, len(stack) - 1 if op == "APPEND" else marks.pop())
      if isinstance(stack[-1], list):  # a stub's items are nobody's concern
        stack[-1].extend(items)
    elif op == "GLOBAL":
      stack.append(Name(*arg.split(" ", 1)))
    elif op == "STACK_GLOBAL":
      stack.append(_name(*_cut(stack, len(stack) - 2)))
    elif op in ("REDUCE", "NEWOBJ"):
      stack.append(self.call(*_cut(stack, len(stack) - 2)))
    elif op == "NEWOBJ_EX":
      of, args, _ = _cut(stack, len(stack) - 3)
      stack.append(self.call(of, args))
    elif op == "INST":
      stack.append(self.call(Name(*arg.split(" ", 1)), tuple(_cut(stack, marks.pop()))))
    elif op == "OBJ":
      of, *args = _cut(stack, marks.pop())
      stack.append(self.call(of, tuple(args)))
    elif op == "BUILD":
      state, target = stack.pop(), stack.pop()
      stack.append(self._build(target, state))
    elif op in ("BINPERSID", "PERSID"):
      if self.persistent is None:
        raise Damaged("its pickle refers to storages that the file does not have")
      stack.append(self.persistent(stack.pop() if op == "BINPERSID" else arg))
    elif op == "POP_MARK" or (op == "POP" and marks and marks[-1] == len(stack)):
      _cut(stack, marks.pop())
    elif op == "POP":
      stack.pop()
    elif op == "DUP":
      stack.append(stack[-1])
    elif op not in ("PROTO", "FRAME"):
      raise Damaged(f"its pickle uses {op}, which no checkpoint does")

  def call(self, of: Any, args: Any) -> Any:
    """What one of our own functions makes of `args`, or a stub."""
    if not isinstance(of, Name) or not isinstance(args, tuple):
      return Stub(of, args)
    if of == ("torch._tensor", "_rebuild_from_type_v2"):  # a Parameter with attributes of its own
      function, _, inner, _ = args
      if isinstance(function, Name) and function != of:
        return self.call(function, inner)
    made = CALLS.get(of)
    if made is None:
      self.globals.add(str(of))
      return Stub(of, args)
    self.spend(sum(len(arg) for arg in args if isinstance(arg, list | tuple | dict)))
    self.spend(sum(len(arg) // 64 for arg in args if isinstance(arg, str)))
    return made(*args)

  def _build(self, target: Any, state: Any) -> Any:
    if isinstance(target, Stub):
      target.state = state
    elif isinstance(target, Array):
      _, shape, dtype, fortran, data = state
      self.spend(len(data) // 64 if isinstance(data, str) else 0)
      target.value = _array(data, dtype, shape, "F" if fortran else "C")
    elif isinstance(target, np.dtype):
      order = state[1] if isinstance(state, tuple) and len(state) > 1 else "|"
      target = target.newbyteorder(order) if order in ("<", ">") else target
    return target  # a dict's attributes (a state dict's _metadata) are dropped


LITERALS = frozenset(
  "INT BININT BININT1 BININT2 LONG LONG1 LONG4 STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 "
  "BYTEARRAY8 UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 FLOAT BINFLOAT".split()
)
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
EMPTY: Mapping[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": list}


def _name(module: Any, name: Any) -> Name:
  if not isinstance(module, str) or not isinstance(name, str):
    raise Damaged("its pickle names a class by something that is no text")
  return Name(module, name)


def _cut(stack: list, start: int) -> list:
  """Takes the items from `start` on off the stack."""
  if start < 0 or start > len(stack):
    raise Damaged("its pickle takes more from its stack than it put there")
  items = stack[start:]
  del stack[start:]
  return items


class _Key:
  """Stands for a key that is not plain: to hash (or print) what a pickle nested could take for ever."""


def _put(target: Any, items: list) -> Any:
  """Sets the keys and values that alternate in `items`."""
  if isinstance(target, Stub):  # a subclass of dict: a ConfigDict, a defaultdict
    entries = target.entries = target.entries if target.entries is not None else {}
  elif isinstance(target, dict):
    entries = target
  else:
    raise Damaged("its pickle sets items of what is no dict")
  for key, value in zip(items[::2], items[1::2], strict=True):
    plain = key.bit_length() <= 64 if isinstance(key, int) else isinstance(key, str | bytes | float | None)
    entries[key if plain else _Key()] = value
  return target


def _mapping(items: Any = ()) -> dict:
  """An OrderedDict; Python 2 gives its items as a list of pairs."""
  if isinstance(items, dict):
    items = items.items()
  return _put({}, [part for key, value in items for part in (key, value)])


def _size(values: Any = ()) -> tuple:
  return tuple(values)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
  if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "bytes"):
    raise Damaged("its pickle encodes text otherwise than as latin1")
  return text.encode("latin1")


def _dtype(spec: Any, *_: Any) -> Any:
  """A numpy dtype of plain numbers; a stub for any other (objects, records, text)."""
  if isinstance(spec, str) and len(spec) <= 4 and np.dtype(spec).kind in "fiubc":
    return np.dtype(spec)
  return Stub(Name("numpy", "dtype"), (spec,))


def _array(data: Any, dtype: Any, shape: Any, order: Any = "C") -> Any:
  """An array over the bytes of the pickle; a stub where its elements are no plain numbers."""
  if isinstance(dtype, Stub):
    return Stub(Name("numpy", "ndarray"))
  if isinstance(data, str):  # Python 2
    data = data.encode("latin1")
  if not isinstance(shape, int | tuple) or (isinstance(shape, tuple) and len(shape) > 32):
    raise Damaged("its pickle has an array without a shape")
  return np.frombuffer(data, dtype).reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: Any, data: Any = None) -> Any:
  return Stub(Name("numpy", "scalar")) if isinstance(dtype, Stub) or data is None else _array(data, dtype, (1,))[0]


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
  return Tensor(storage, offset, size, stride)


def _tensor_v3(storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Name, *_: Any):
  return Tensor(storage, offset, size, stride, _name(*dtype).name)


def _first(value: Any, *_: Any) -> Any:
  return value


CALLS: dict[Any, Callable] = {
  ("collections", "OrderedDict"): _mapping,
  ("torch", "Size"): _size,
  ("torch._utils", "_rebuild_tensor"): _tensor,
  ("torch._utils", "_rebuild_tensor_v2"): _tensor,
  ("torch._utils", "_rebuild_tensor_v3"): _tensor_v3,
  ("torch._utils", "_rebuild_parameter"): _first,
  ("torch._utils", "_rebuild_parameter_with_state"): _first,
  ("_codecs", "encode"): _encode,
  ("numpy", "dtype"): _dtype,
  **{(f"numpy.{core}.multiarray", "_reconstruct"): Array for core in ("core", "_core")},
  **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
  **{(f"numpy.{core}.numeric", "_frombuffer"): _array for core in ("core", "_core")},
}
