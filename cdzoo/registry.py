"""`Registry` and its seven instances: backbones, necks, fusions, decoders, heads, models and exchanges.

Registration is a dictionary insertion. The modules that register the built-in entries, and installed plugins (entry-point
group `cdzoo.plugins`), are imported when a registry is first read.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from cdzoo.errors import ConfigError, UnknownNameError
from cdzoo.names import Patterns, check_known, natural_key, select, suggest

ENTRY_POINT_GROUP = "cdzoo.plugins"
T = TypeVar("T", bound=Callable[..., Any])

_PACKAGES = ("backbones", "necks", "fusion", "decoders", "heads", "models")
_lock = threading.RLock()
_discovered = False


class Registry(Generic[T]):
    """Maps names to functions or classes of one kind.

    Args:
        kind: Kind of the entries, in the singular (`"fusion"`); used in messages.
        loader: Called before the registry is read; imports the modules that register the built-in entries.
    """

    def __init__(self, kind: str, loader: Callable[[], None] = lambda: None) -> None:
        self.kind = kind
        self._load = loader
        self._entries: dict[str, T] = {}
        self._aliases: dict[str, tuple[str, dict[str, Any]]] = {}

    @overload
    def register(self, name: T) -> T: ...

    @overload
    def register(self, name: str | None = None, *, aliases: Iterable[str] = ()) -> Callable[[T], T]: ...

    def register(self, name: T | str | None = None, *, aliases: Iterable[str] = ()) -> T | Callable[[T], T]:
        """Register a function or class, under its own name by default. Used as a decorator.

        Args:
            name: Name of the entry.
            aliases: Other names that `get` accepts and `list` omits.

        Raises:
            ConfigError: The name is invalid or taken by another object, or the entry is neither a class nor a function.
        """
        if name is not None and not isinstance(name, str):
            return self._add("", name, ())
        return lambda entry: self._add(name or "", entry, tuple(aliases))

    def alias(self, name: str, target: str, **kwargs: Any) -> None:
        """Register another name for an entry, optionally with keyword arguments that `get` binds to it.

        Raises:
            ConfigError: The name is invalid or taken.
        """
        self._check_name(name, self._entries.get(target))
        self._aliases[name] = (target, kwargs)

    def get(self, name: str) -> T:
        """Return the entry called `name`.

        Raises:
            UnknownNameError: There is no such entry. The message suggests the nearest name and lists all of them.
        """
        self._load()
        target, kwargs = self._aliases.get(name, (name, {}))
        if target not in self._entries:
            known = self.list()
            raise UnknownNameError(
                f"unknown {self.kind} '{name}'.{suggest(name, [*known, *self._aliases])} "
                f"Known {self.kind}s: {', '.join(known) or 'none'}. "
                f'To add your own, decorate it with @cdzoo.register_{self.kind}("{name}") and import its file first '
                f"(on the command line: --import FILE.py)."
            )
        entry = self._entries[target]
        return functools.partial(entry, **kwargs) if kwargs else entry  # type: ignore[return-value]

    def list(self, pattern: Patterns = "*", exclude: Patterns = (), aliases: bool = False) -> list[str]:
        """Return the names that match `pattern` and none of `exclude` (fnmatch wildcards), in natural order.

        Args:
            pattern: Wildcard, or several of them.
            exclude: Wildcards of names to leave out.
            aliases: Match aliases too.
        """
        self._load()
        return select([*self._entries, *(self._aliases if aliases else ())], pattern, exclude)

    def aliases(self) -> Mapping[str, str]:
        """Return the name of the entry of each alias."""
        self._load()
        return {name: target for name, (target, _) in sorted(self._aliases.items(), key=lambda item: natural_key(item[0]))}

    def __repr__(self) -> str:
        return f"Registry of {len(self)} {self.kind}s: {', '.join(self)}"

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries or name in self._aliases

    def __iter__(self) -> Iterator[str]:
        return iter(self.list())

    def __len__(self) -> int:
        self._load()
        return len(self._entries)

    def _check_name(self, name: str, entry: T | None) -> None:
        if not re.fullmatch(r"[A-Za-z][\w.\-]*", name):
            raise ConfigError(
                f"'{name}' is not a valid {self.kind} name: use letters, digits, '_', '-' and '.', starting with a letter"
            )
        taken = self._entries.get(self._aliases.get(name, (name,))[0])
        if taken is not None and entry is not None and _qualified(taken) != _qualified(entry):
            raise ConfigError(
                f"the {self.kind} name '{name}' is taken by {_qualified(taken)}; {_qualified(entry)} needs another name"
            )

    def _add(self, name: str, entry: T, aliases: tuple[str, ...]) -> T:
        if not callable(entry) or not hasattr(underlying(entry), "__name__"):
            raise ConfigError(f"a {self.kind} is registered as a class or function, got an instance of {type(entry).__name__}")
        name = name or getattr(entry, "__name__", "")
        if not name:
            raise ConfigError(f"a functools.partial has no name: register it with @register_{self.kind}('NAME')")
        for new in (name, *aliases):
            self._check_name(new, entry)
        self._entries[name] = entry  # a module imported twice (notebook reload, --import) replaces its own entries
        self._aliases.update({alias: (name, {}) for alias in aliases})
        return entry


def underlying(entry: Any) -> Any:
    """Return the class or function of an entry, which may be a `functools.partial` of it."""
    while isinstance(entry, functools.partial):
        entry = entry.func
    return entry


def _qualified(entry: Any) -> str:
    inner = underlying(entry)
    bound = f" with {(entry.args, entry.keywords)}" if isinstance(entry, functools.partial) else ""
    return f"{getattr(inner, '__module__', '?')}.{getattr(inner, '__qualname__', repr(inner))}{bound}"


def discover() -> None:
    """Import every module that registers an entry, once per process.

    A plugin that fails to import is skipped with a warning.
    """
    global _discovered
    with _lock:
        if _discovered:
            return
        _discovered = True  # set first: code that runs on import may read a registry
        try:
            for package in _PACKAGES:
                path = str(Path(__file__).with_name(package))
                for module in pkgutil.iter_modules([path]):
                    importlib.import_module(f"cdzoo.{package}.{module.name}")
        except BaseException:
            _discovered = False
            raise
        for point in entry_points(group=ENTRY_POINT_GROUP):
            try:
                point.load()
            except (Exception, SystemExit) as error:  # third-party code may raise anything
                warnings.warn(
                    f"skipped the cdzoo plugin '{point.name}' ({point.value}), which failed to import: "
                    f"{type(error).__name__}: {error}",
                    stacklevel=2,
                )


MODELS: Registry[Callable[..., Any]] = Registry("model", discover)
COMPONENTS: dict[str, Registry[Callable[..., Any]]] = {
    kind: Registry(kind, discover) for kind in ("backbone", "neck", "fusion", "decoder", "head")
}
BACKBONES, NECKS, FUSIONS, DECODERS, HEADS = COMPONENTS.values()
EXCHANGES: Registry[Callable[..., Any]] = Registry("exchange", discover)
"""Exchanges of features between dates; arguments of backbones rather than components of a model."""

register_backbone = BACKBONES.register
register_neck = NECKS.register
register_fusion = FUSIONS.register
register_decoder = DECODERS.register
register_head = HEADS.register
register_model = MODELS.register
register_exchange = EXCHANGES.register


def list_components(kind: str = "", filter: Patterns = "*") -> list[str]:
    """Return the registered names of one kind of component, or `kind/name` of all kinds.

    Args:
        kind: `"backbone"`, `"neck"`, `"fusion"`, `"decoder"` or `"head"`; all kinds by default.
        filter: Wildcard on the name (fnmatch), or several of them.

    Raises:
        UnknownNameError: There is no such kind.
    """
    if not kind:
        return [f"{each}/{name}" for each, registry in COMPONENTS.items() for name in registry.list(filter)]
    check_known("unknown kind of component", kind, COMPONENTS, UnknownNameError)
    return COMPONENTS[kind].list(filter)
