"""Verdicts by file and not by name, and words for any object, without running code of it."""

from __future__ import annotations

import collections.abc
import importlib
import importlib.machinery
import os
import sys
import zipimport
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from pytest_import_isolation.fakes.fake_modules import Fake, FakeLoader, make_module
from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.patterns import Patterns
from pytest_import_isolation.state.origins import Origin, Origins, describe


def module(name: str, file: str | None = None, spec: Any = None, **attributes: object) -> ModuleType:
    made = ModuleType(name)
    if file is not None:
        made.__file__ = file
    made.__spec__ = spec
    made.__dict__.update(attributes)
    return made


def namespace_package(name: str, *path: str) -> ModuleType:
    spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
    return module(name, spec=spec, __path__=list(path))


SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]
STDLIB = os.path.dirname(os.__file__)


@pytest.mark.parametrize(
    ("name", "found", "origin", "reason"),
    [
        ("os", os, Origin.FOREIGN, "the standard library"),
        ("os.path", os.path, Origin.FOREIGN, "the standard library"),
        ("collections.abc", collections.abc, Origin.FOREIGN, "the standard library"),
        ("sys", sys, Origin.FOREIGN, "a built-in module"),
        ("app", module("app", "/home/me/app.py"), Origin.FIRST_PARTY, "its source lies outside of all installed packages"),
        ("lib", module("lib", "/v/site-packages/lib.py"), Origin.FOREIGN, "it lies in site-packages"),
        ("lib", module("lib", "/v/dist-packages/lib.py"), Origin.FOREIGN, "it lies in dist-packages"),
        ("lib", module("lib", "C:\\v\\site-packages\\lib.py"), Origin.FOREIGN, "it lies in site-packages"),
        ("app.x", module("app.x", f"/home/me/app/x{SUFFIX}"), Origin.FOREIGN, "an extension module"),
        ("named.x", module("named.x", "/v/site-packages/named/x.py"), Origin.FIRST_PARTY, "named first-party by 'named'"),
        ("ns", namespace_package("ns", "/home/me/ns"), Origin.FIRST_PARTY, "its source lies outside of all installed packages"),
        ("ns", namespace_package("ns", "/v/site-packages/ns"), Origin.FOREIGN, "it lies in site-packages"),
        ("stub", namespace_package("stub"), Origin.FAKE, "it has neither a file nor a loader"),
        ("none", None, Origin.FAKE, "the entry is None, which blocks the import"),
        ("bare", ModuleType("bare"), Origin.FAKE, "a bare ModuleType() without spec and file"),
        ("made", make_module("made", FakeLoader("made", Fake(), None, importlib.import_module, getattr), is_package=False), Origin.FAKE, "made by fake_module"),
        ("number", 7, Origin.FAKE, "it is an int"),
        ("mock", mock.Mock(), Origin.FAKE, "it is a unittest.mock.Mock"),
        (7, os, Origin.FAKE, "its key is no string"),
        ("__main__", ModuleType("__main__"), Origin.FOREIGN, "a part of the interpreter"),
        ("_cython_3_0", ModuleType("_cython_3_0"), Origin.FOREIGN, "made by an extension module"),
        ("_openssl.lib", object(), Origin.FOREIGN, "made by an extension module"),
        ("c.child", module("c.child", f=len), Origin.FOREIGN, "made by an extension module"),
        ("sys.monitoring", ModuleType("sys.monitoring"), Origin.FOREIGN, "made by an extension module"),
        (
            "tests.sub",
            module("tests.sub", __doc__="Empty module created by pytest's importmode=importlib."),
            Origin.FIRST_PARTY,
            "made by pytest between rootdir and a test module",
        ),
        (
            "zipped",
            module("zipped", spec=importlib.machinery.ModuleSpec("zipped", zipimport.zipimporter.__new__(zipimport.zipimporter))),
            Origin.FOREIGN,
            "made by the loader zipimport.zipimporter",
        ),
    ],
)  # fmt: skip
def test_the_verdict_and_its_reason(name: Any, found: object, origin: Origin, reason: str) -> None:
    verdict = Origins(Patterns("named")).verdict(name, found)
    assert (verdict.origin, verdict.reason) == (origin, reason)


def test_an_extension_is_known_by_its_suffix() -> None:
    assert Origins().verdict("a.b", module("a.b", f"/x/b{SUFFIX}")).is_extension
    assert not Origins().verdict("a.b", module("a.b", "/x/b.py")).is_extension


def test_a_child_of_an_extension_module_is_made_by_it() -> None:
    table = {"ext": module("ext", f"/x/ext{SUFFIX}")}
    assert Origins().verdict("ext.child", ModuleType("ext.child"), table).is_extension


def test_a_verdict_holds_for_one_object_and_not_for_the_name() -> None:
    origins = Origins()
    first = module("app", "/home/me/app.py")
    assert origins.is_first_party("app", first)
    assert not origins.is_first_party("app", ModuleType("app"))
    assert origins.is_first_party("app", first)


def test_what_a_package_puts_below_itself_is_of_the_packages_origin() -> None:
    class Lazy:
        pass

    Lazy.__module__ = "lib.tools"
    table = {
        "lib": module("lib", "/v/site-packages/lib/__init__.py"),
        "lib.tools": module("lib.tools", "/v/site-packages/lib/tools.py"),
    }
    verdict = Origins().verdict("lib.lazy", Lazy(), table)
    assert verdict == (Origin.FOREIGN, "put there by its own package (lib.tools)", False)
    assert Origins().verdict("other.lazy", Lazy(), table).origin is Origin.FAKE


def test_a_loader_without_files_is_judged_by_its_own_module() -> None:
    class Loader:
        pass

    Loader.__module__ = "app.loader"
    table = {"app.loader": module("app.loader", "/home/me/app/loader.py")}
    made = module("generated", spec=importlib.machinery.ModuleSpec("generated", Loader()))  # type: ignore[arg-type]
    assert Origins().verdict("generated", made, table) == (
        Origin.FIRST_PARTY,
        "made by the loader app.loader.Loader",
        False,
    )
    table = {"app.loader": ModuleType("app.loader")}
    made = module("generated", spec=made.__spec__)
    assert Origins().verdict("generated", made, table).origin is Origin.FOREIGN


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (ABSENT, "nothing"),
        (None, "None"),
        (7, "an int"),
        (mock.MagicMock(), "a unittest.mock.MagicMock"),
        (module("x", "/x.py"), "the module of /x.py"),
        (sys, "a built-in module"),
        (ModuleType("x"), "a bare ModuleType()"),
        (namespace_package("ns", "/x"), "a namespace package"),
        (module("x", spec=importlib.machinery.ModuleSpec("x", None)), "a module without a file"),
    ],
)
def test_any_object_can_be_described(found: object, words: str) -> None:
    assert describe(found) == words


def test_what_one_judged_too_early_is_nothing_to_the_others() -> None:
    entered = ModuleType("entered")  # as one that a test has entered, and executes afterwards
    assert Origins().verdict("entered", entered).origin is Origin.FAKE
    entered.__file__ = "/work/entered.py"
    assert Origins().verdict("entered", entered).origin is Origin.FIRST_PARTY
