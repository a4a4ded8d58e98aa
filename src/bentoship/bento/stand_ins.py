"""Stand-ins for modules that are not installed: what a service says of its image is known without its packages.

They take any use that a module makes of them while it is imported, as far as that is possible.
"""

from __future__ import annotations

import ast
import inspect
import sys
from abc import ABCMeta
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import FrameType, ModuleType
from typing import Any

_VERSION = "0.0.0"


class _Anything(ABCMeta):
    """The class of stand-ins, which are classes themselves, so that they can be inherited from and annotate.

    What one returns when it is called is a class as well; one that decorates returns what it decorates.
    """

    def __getattr__(cls, name: str) -> Any:
        return _attribute(name)

    def __call__(cls, *args: Any, **options: Any) -> Any:
        decorated = len(args) == 1 and not options and (inspect.isfunction(args[0]) or inspect.isclass(args[0]))
        return args[0] if decorated and not isinstance(args[0], _Anything) else cls

    def __getitem__(cls, key: object) -> Any:
        return cls

    def __iter__(cls) -> Iterator[Any]:
        return iter(())

    def __len__(cls) -> int:
        return 0

    def __bool__(cls) -> bool:
        return True

    def __contains__(cls, item: object) -> bool:
        return False

    def __setitem__(cls, key: object, value: object) -> None: ...

    def __enter__(cls) -> Any:
        return cls

    def __exit__(cls, *args: object) -> None: ...

    def __int__(cls) -> int:
        return 0

    def __float__(cls) -> float:
        return 0.0

    def __index__(cls) -> int:
        return 0

    def __fspath__(cls) -> str:
        return ""


def _returning(value: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda cls, *args: value(cls)


for _name in ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "and", "xor", "lshift", "rshift"):
    setattr(_Anything, f"__{_name}__", _returning(lambda cls: cls))
    setattr(_Anything, f"__r{_name}__", _returning(lambda cls: cls))
for _name in ("neg", "pos", "invert", "abs"):
    setattr(_Anything, f"__{_name}__", _returning(lambda cls: cls))
for _name in ("lt", "le", "gt", "ge"):
    setattr(_Anything, f"__{_name}__", _returning(lambda cls: False))


def _any_schema(cls: object, source: object, handler: object) -> Any:
    """Return the schema of anything, which pydantic asks a type for."""
    from pydantic_core import core_schema  # BentoML depends on it

    return core_schema.any_schema()


def _attribute(name: str) -> Any:
    """Return what a stand-in has under a name. Raises AttributeError for what means something to Python itself."""
    if name == "__version__":
        return _VERSION
    if name.startswith("__") and name.endswith("__"):
        raise AttributeError(name)
    return _Anything(name, (), {"__get_pydantic_core_schema__": classmethod(_any_schema), "__module__": "stand_in"})


class _Maker(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__getattr__ = _attribute  # type: ignore[method-assign]  # PEP 562
        module.__path__ = []


def skip_errors(is_own: Callable[[str], bool]) -> None:
    """Make an import of the user's modules go on after a statement that fails, such as for a variable that is not set.

    Args:
        is_own: returns whether a path is among the user's files.
    """
    execute = SourceFileLoader.exec_module

    def execute_each(self: SourceFileLoader, module: ModuleType) -> None:
        if not is_own(self.path):
            return execute(self, module)
        statements = ast.parse(self.get_data(self.path), self.path).body
        # What such an import changes has to be said to the compiler each time.
        future = [one for one in statements if isinstance(one, ast.ImportFrom) and one.module == "__future__"]
        for statement in statements:
            with suppress(Exception, SystemExit):
                exec(compile(ast.Module([*future, statement], []), self.path, "exec", dont_inherit=True), vars(module))
        return None

    SourceFileLoader.exec_module = execute_each  # type: ignore[method-assign,assignment]  # a hook


class Missing(MetaPathFinder):
    """The last of the finders, which gets what is not installed; the first one where it stands in.

    Args:
        is_own: returns whether a file is one of the user's: what others ask for may be missing.
        has_module: returns whether the project has a module, by its first name.
    """

    def __init__(self, is_own: Callable[[str], bool], has_module: Callable[[str], bool]) -> None:
        self._is_own = is_own
        self._has_module = has_module
        self._stands_in = False
        self.names: list[str] = []
        """The modules that were not found, though the user's files import them."""

    def stand_in(self) -> None:
        """Return a stand-in for each of them from now on, and for what only a folder of the user's seems to be."""
        self._stands_in = True
        sys.meta_path[:] = [self, *(finder for finder in sys.meta_path if finder is not self)]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the place of a stand-in; None where the module is to be missing."""
        parent, _, _ = fullname.rpartition(".")
        is_part = bool(parent) and isinstance(getattr(sys.modules.get(parent), "__loader__", None), _Maker)
        if not is_part and (self._has_module(fullname.partition(".")[0]) or not self._is_wanted()):
            return None
        if self._stands_in and self._is_installed(fullname, path, target):
            return None
        self.names.append(fullname)
        return ModuleSpec(fullname, _Maker(), is_package=True) if self._stands_in else None

    def _is_installed(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> bool:
        """Return whether another finder has a module; a folder without modules has no origin (PEP 420)."""
        specs = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        return any(spec.origin for spec in specs if spec)

    def _is_wanted(self) -> bool:
        """Return whether a file of the user's imports what is being looked for."""
        frame: FrameType | None = sys._getframe(2)
        while frame and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        return bool(frame and self._is_own(frame.f_code.co_filename))
