"""The one registry class and its six instances: backbone, neck, fusion, decoder, head and model.

A registry maps a name to the function or class of that name; it holds nothing else. Built-in parts and installed plugins
(entry-point group `cdzoo.plugins`) are found the first time any registry is used.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar, overload

from cdzoo.errors import ConfigError, UnknownNameError

T = TypeVar("T", bound=Callable[..., Any])


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Sort key under which `s2` comes before `s10`."""
    return [(0, int(piece)) if piece.isdigit() else (1, piece) for piece in re.split(r"(\d+)", name.lower()) if piece]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` when a known name is close to `name`, else an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


class Registry(Generic[T]):
    """Names of one kind of thing, each standing for a function or a class.

    Args:
        kind: What the entries are, in the singular (`"fusion"`); used in messages.
        loader: Called before every access; imports the modules that register the built-in entries.
        plural: Plural of `kind` for messages; `kind + "s"` by default.
    """

    def __init__(self, kind: str, loader: Callable[[], None] | None = None, plural: str | None = None) -> None:
        self.kind = kind
        self.plural = plural or f"{kind}s"
        self._loader = loader
        self._entries: dict[str, T] = {}
        self._aliases: dict[str, str] = {}

    @overload
    def register(self, name: T) -> T: ...

    @overload
    def register(self, name: str | None = None, *, aliases: Iterable[str] = ()) -> Callable[[T], T]: ...

    def register(self, name: T | str | None = None, *, aliases: Iterable[str] = ()) -> T | Callable[[T], T]:
        """Decorator that adds a function or class, under its own name unless another is given.

        Args:
            name: Name of the entry. `@register` without brackets uses the decorated object's own name.
            aliases: Further names that `get` understands and `list` leaves out.

        Raises:
            ConfigError: The name is taken by a different object, or is no valid name.
        """
        if callable(name):
            return self._add(name.__name__, name, ())
        return lambda entry: self._add(name or entry.__name__, entry, tuple(aliases))

    def get(self, name: str) -> T:
        """Return the entry called `name`.

        Raises:
            UnknownNameError: No such entry; the message names the nearest ones, all of them, and how to add one.
        """
        self._load()
        name = self._aliases.get(name, name)
        if name not in self._entries:
            known = self.list()
            raise UnknownNameError(
                f"there is no {self.kind} '{name}'.{nearest(name, [*known, *self._aliases])} "
                f"Known {self.plural}: {', '.join(known) or 'none'}. "
                f'To add your own, decorate it with @cdzoo.register_{self.kind}("{name}") and import its file first '
                f"(on the command line: --import FILE.py)."
            )
        return self._entries[name]

    def list(self, pattern: str | Iterable[str] = "*", exclude: str | Iterable[str] = ()) -> list[str]:
        """Return the names that match `pattern` and none of `exclude` (fnmatch wildcards), in natural order."""
        self._load()
        wanted = (pattern,) if isinstance(pattern, str) else tuple(pattern)
        unwanted = (exclude,) if isinstance(exclude, str) else tuple(exclude)

        def matches(name: str, patterns: tuple[str, ...]) -> bool:
            return any(fnmatch.fnmatchcase(name, one) for one in patterns)

        names = [name for name in self._entries if matches(name, wanted) and not matches(name, unwanted)]
        return sorted(names, key=natural_key)

    def registered(self) -> tuple[str, ...]:
        """Return all names in the order in which they were registered."""
        self._load()
        return tuple(self._entries)

    def name_of(self, entry: object) -> str | None:
        """Return the name under which `entry` is registered, if it is."""
        self._load()
        return next((name for name, known in self._entries.items() if known is entry), None)

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries or name in self._aliases

    def __iter__(self) -> Iterator[str]:
        return iter(self.list())

    def __len__(self) -> int:
        self._load()
        return len(self._entries)

    def _load(self) -> None:
        if self._loader is not None:
            self._loader()

    def _add(self, name: str, entry: T, aliases: tuple[str, ...]) -> T:
        self._load()
        for one in (name, *aliases):
            if not re.fullmatch(r"[A-Za-z][\w.\-]*", one):
                raise ConfigError(f"'{one}' cannot name a {self.kind}: use letters, digits, '_', '-' and '.', a letter first")
            taken = self._entries.get(self._aliases.get(one, one))
            if taken is not None and not _same_definition(taken, entry):
                raise ConfigError(
                    f"the {self.kind} name '{one}' is taken by {_where(taken)}; {_where(entry)} needs a name of its own"
                )
        self._entries[name] = entry
        self._aliases.update(dict.fromkeys(aliases, name))
        return entry


def _where(entry: Callable[..., Any]) -> str:
    return f"{entry.__module__}.{entry.__qualname__}"


def _same_definition(old: Callable[..., Any], new: Callable[..., Any]) -> bool:
    # A module that is imported twice (notebook reload, --import of an installed plugin) replaces its own entries.
    return _where(old) == _where(new)


def _discover() -> None:
    from cdzoo.plugins import discover  # not at the top: plugins import this module

    discover()


BACKBONES: Registry[Callable[..., Any]] = Registry("backbone", _discover)
NECKS: Registry[Callable[..., Any]] = Registry("neck", _discover)
FUSIONS: Registry[Callable[..., Any]] = Registry("fusion", _discover)
DECODERS: Registry[Callable[..., Any]] = Registry("decoder", _discover)
HEADS: Registry[Callable[..., Any]] = Registry("head", _discover)
MODELS: Registry[Callable[..., Any]] = Registry("model", _discover)

PARTS: dict[str, Registry[Callable[..., Any]]] = {
    "backbone": BACKBONES,
    "neck": NECKS,
    "fusion": FUSIONS,
    "decoder": DECODERS,
    "head": HEADS,
}

register_backbone = BACKBONES.register
register_neck = NECKS.register
register_fusion = FUSIONS.register
register_decoder = DECODERS.register
register_head = HEADS.register
register_model = MODELS.register


def list_components(kind: str, pattern: str | Iterable[str] = "*") -> list[str]:
    """Return the registered names of one kind of part.

    Args:
        kind: `"backbone"`, `"neck"`, `"fusion"`, `"decoder"` or `"head"`.
        pattern: fnmatch wildcard or several of them.

    Raises:
        UnknownNameError: `kind` is none of the five.
    """
    if kind not in PARTS:
        raise UnknownNameError(f"there is no kind of part '{kind}'.{nearest(kind, PARTS)} Kinds: {', '.join(PARTS)}.")
    return PARTS[kind].list(pattern)
