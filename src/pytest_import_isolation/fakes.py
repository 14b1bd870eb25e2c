"""Fake modules: real module objects with a spec, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType


class FakeLoader:
    """The loader in the spec of a fake module. It has nothing to execute."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Let importlib make the module object."""

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module as it is: what it holds was put there by hand."""


def make_fake_module(
    name: str, attributes: Mapping[str, object] = {}, *, is_package: bool = False
) -> ModuleType:
    """Return a module object that import statements and ``importlib.util.find_spec`` accept.

    Args:
        name: its absolute name.
        attributes: what its namespace holds.
        is_package: whether it has a ``__path__`` (an empty one), so that submodules can be faked below it.
    """
    module = ModuleType(name)
    spec = ModuleSpec(name, FakeLoader(), origin="fake", is_package=is_package)  # type: ignore[arg-type]
    module.__spec__ = spec
    module.__loader__ = spec.loader
    module.__package__ = name if is_package else name.rpartition(".")[0]
    if is_package:
        module.__path__ = []
    module.__dict__.update(attributes)
    return module


def as_module(name: str, fake: object, *, is_package: bool) -> object:
    """Return what stands in ``sys.modules`` for a fake: a mapping becomes a module, all else stays."""
    if isinstance(fake, Mapping):
        return make_fake_module(name, {str(key): value for key, value in fake.items()}, is_package=is_package)
    return fake
