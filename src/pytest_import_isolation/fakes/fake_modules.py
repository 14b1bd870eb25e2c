"""Fake modules: real module objects with a spec and a loader, filled from what a test gives."""

from __future__ import annotations

import importlib.util
import sys
import textwrap  # here, since it may be absent in the window that asks for it
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from pytest_import_isolation.errors import FakeAttributeError, ParameterError
from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.modules import ABSENT, namespace, spec_of, spec_value
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.wording import listing

#: What a spec of a fake says about where it comes from.
ORIGIN: Final = "fake"


class Fake(NamedTuple):
    """What a fake module is made of.

    Args:
        content: a mapping of attributes, source text, or an object that is entered as it is; ABSENT for a
            module with nothing but the attributes.
        attributes: more attributes, which win.
        autospec: build what is not given from the real module.
        strict: refuse every other attribute; else a MagicMock springs into being for it.
    """

    content: object = ABSENT
    attributes: Mapping[str, object] = {}
    autospec: bool = False
    strict: bool = True

    @classmethod
    def of(cls, value: object) -> Fake:
        """Return what a user gave for a fake in this form."""
        return value if type(value) is Fake else cls(value)

    @property
    def source(self) -> str | None:
        """The source text, if it is made of that."""
        # Here and below: isinstance() would ask the object for its __class__.
        if not issubclass(type(self.content), str):
            return None
        return textwrap.dedent(str(self.content))

    @property
    def mapping(self) -> Mapping[str, object]:
        """The attributes of the content, if it is a mapping of them."""
        return self.content if issubclass(type(self.content), Mapping) else {}  # type: ignore[return-value]

    @property
    def is_object(self) -> bool:
        """Whether it is an object that stands in ``sys.modules`` itself."""
        return self.content is not ABSENT and not issubclass(type(self.content), (Mapping, str))


def check_fake(name: str, value: object, who: str) -> object:
    """Return what was given for a fake, if a module can be made of it.

    Args:
        name: the module.
        value: see :class:`Fake`.
        who: what it was given to, for the messages.

    Raises:
        ParameterError: it is None, holds what is no attribute's name, or asks for two things at once.
    """
    fake = Fake.of(value)
    if fake.content is None:
        raise ParameterError(
            f"{who}: {name!r} is None; to make a module look not installed, use missing={name!r}"
        )
    given = [*fake.mapping, *fake.attributes]
    for key in given:
        if not isinstance(key, str):
            raise ParameterError(f"{who}: the attribute {key!r} of the fake {name!r} is no string")
    if fake.is_object and (fake.attributes or fake.autospec or not fake.strict):
        raise ParameterError(
            f"{who}: {name!r} is given as an object, which becomes the entry itself; attributes, autospec= "
            "and strict= need a module that the plugin makes: give a mapping of attributes instead of the "
            "object"
        )
    if fake.autospec and not fake.strict:
        raise ParameterError(
            f"{who}: autospec=True lets {name!r} have the real module's attributes and no others, and "
            "strict=False any; choose one"
        )
    return value


class FakeLoader:
    """The loader in the spec of a fake module: to execute the module is to fill it.

    Args:
        name: the module.
        fake: what it is made of.
        made_by: who asked for it.
        real: returns the real module that an autospec is built from.
        ask_real: returns an attribute of it.
    """

    def __init__(
        self,
        name: str,
        fake: Fake,
        made_by: Importer | None,
        real: Callable[[str], ModuleType],
        ask_real: Callable[[str, str], object],
    ) -> None:
        self.fake = fake
        self._name = name
        self._made_by = made_by
        self._real = real
        self._ask_real = ask_real

    def create_module(self, spec: ModuleSpec) -> None:
        """Let importlib make the module object."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module; so does ``importlib.reload``."""
        space = module.__dict__
        space["__getattr__"] = self._getattr(module)
        if self.fake.autospec:
            self._imitate(module)
        space.update(self.fake.mapping)
        source = self.fake.source
        if source is not None:
            filename = f"<fake {self._name}>"
            code = compile(source, filename, "exec", dont_inherit=True)
            remember_source(filename, source)
            exec(code, space)
        space.update(self.fake.attributes)

    def get_source(self, name: str) -> str | None:
        """Return the source text, for tracebacks and inspect."""
        return self.fake.source

    def child(self, name: str) -> FakeLoader | None:
        """Return the loader of a submodule that the real package has; None if there is none."""
        if not self.fake.autospec or not name.startswith(f"{self._name}."):
            return None
        try:
            self._real(name)
        except ImportError:
            return None
        return FakeLoader(name, Fake(autospec=True), self._made_by, self._real, self._ask_real)

    def is_package(self, name: str) -> bool:
        """Tell whether submodules can be imported below it."""
        return self.fake.autospec and hasattr(self._real(name), "__path__")

    def _getattr(self, module: ModuleType) -> Callable[[str], object]:
        def __getattr__(attribute: str) -> object:  # noqa: N807 - the module's own hook has this name
            if attribute.startswith("__") and not self.fake.autospec:
                raise AttributeError(
                    f"module {self._name!r} has no attribute {attribute!r}", name=attribute, obj=module
                )
            if self.fake.autospec:
                value = self._from_real(attribute)
            elif self.fake.strict:
                given = [key for key in module.__dict__ if not key.startswith("__")]
                raise FakeAttributeError(
                    f"module {self._name!r} has no attribute {attribute!r}: it is a fake{self._whence()} "
                    f"that has {listing(given, 8) or 'no attributes'}; add the attribute to the fake, "
                    "or pass strict=False",
                    name=attribute,
                    obj=module,
                )
            else:
                from pytest_import_isolation.fakes.autospec import anything

                value = anything(f"{self._name}.{attribute}")
            return module.__dict__.setdefault(attribute, value)

        return __getattr__

    def _whence(self) -> str:
        return f" made at {self._made_by.file}:{self._made_by.line}" if self._made_by else ""

    def _imitate(self, module: ModuleType) -> None:
        real = self._real(self._name)
        space = namespace(real) or {}
        for attribute in (*self.fake.mapping, *self.fake.attributes):
            self._from_real(attribute)
        public = space.get("__all__")
        if not (type(public) is list or type(public) is tuple):
            public = [key for key in list(space) if not key.startswith("_")]
        module.__dict__["__all__"] = list(public)
        module.__dict__["__dir__"] = lambda: sorted({*module.__dict__, *public})
        if space.get("__doc__") is not None:
            module.__doc__ = space["__doc__"]

    def _from_real(self, attribute: str) -> object:
        try:
            value = self._ask_real(self._name, attribute)
        except AttributeError:
            raise FakeAttributeError(
                f"the fake of {self._name!r}{self._whence()} has no attribute {attribute!r}: "
                f"the real module {self._name!r} has none of this name",
                name=attribute,
                obj=self._real(self._name),
            ) from None
        own = namespace(value) or {}
        # isinstance() would ask a lazy object for its class, and so set it up.
        if issubclass(type(value), ModuleType) and own.get("__name__") == f"{self._name}.{attribute}":
            return importlib.import_module(f"{self._name}.{attribute}")
        from pytest_import_isolation.fakes.autospec import imitation

        return imitation(value, f"{self._name}.{attribute}")


def make_spec(name: str, loader: FakeLoader, *, is_package: bool) -> ModuleSpec:
    """Return the spec of a fake module.

    Args:
        name: its absolute name.
        loader: fills it.
        is_package: whether it has a ``__path__`` (an empty one), so that submodules can be faked below it.
    """
    return ModuleSpec(name, loader, origin=ORIGIN, is_package=is_package)  # type: ignore[arg-type]


def make_module(name: str, loader: FakeLoader, *, is_package: bool) -> ModuleType:
    """Return a fake module object that import statements and ``find_spec`` accept, not filled yet."""
    return importlib.util.module_from_spec(make_spec(name, loader, is_package=is_package))


def loader_of(module: object) -> FakeLoader | None:
    """Return the loader of a fake module made here; None for any other object."""
    loader = spec_value(spec_of(module), "loader")
    return loader if type(loader) is FakeLoader else None


def open_for_submodules(module: object) -> None:
    """Let a fake module be a package, if it was made here and is none yet."""
    if loader_of(module) is not None:
        space: dict[str, Any] = namespace(module) or {}
        if "__path__" not in space:
            space["__path__"] = space["__spec__"].submodule_search_locations = []


def give_spec(name: str, module: object) -> None:
    """Give a hand-made ``ModuleType()`` the spec that ``importlib.util.find_spec`` insists on."""
    if type(module) is ModuleType and module.__spec__ is None:
        module.__spec__ = ModuleSpec(name, None, origin=ORIGIN, is_package=hasattr(module, "__path__"))


def remember_source(filename: str, source: str) -> None:
    """Let tracebacks show the lines of a fake's source text."""
    cache = _line_cache()
    if cache is not None:
        # Without a time it counts as made by hand, and is never looked up on the disk.
        cache[filename] = (len(source), None, source.splitlines(True), filename)


def forget_source(name: str) -> None:
    """Let go of what :func:`remember_source` noted for a fake module."""
    cache = _line_cache()
    if cache is not None:
        cache.pop(f"<fake {name}>", None)


def _line_cache() -> dict[str, Any] | None:
    # A test may have faked linecache itself.
    cache = (namespace(sys.modules.get("linecache")) or {}).get("cache")
    return cache if type(cache) is dict else None
