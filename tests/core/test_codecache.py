"""The code of sources that are executed again: when it is read once, and when it is read again."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import py_compile
import sys
import traceback
from collections.abc import Callable, Iterator
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any

import pytest

from pytest_import_isolation import IsolatedImportContext, fresh_import
from pytest_import_isolation.machinery import code_cache as codecache
from pytest_import_isolation.machinery.code_cache import CodeCache
from pytest_import_isolation.machinery.platform import TOOL
from pytest_import_isolation.watching import lines as linewatch
from pytest_import_isolation.watching.lines import LineWatch

Tree = Callable[[dict[str, str]], Path]

_NAME = "cc_module"
_HOUR_AGO = -3600


def _age(path: Path, seconds: float = _HOUR_AGO) -> None:
    then = path.stat().st_mtime + seconds
    os.utime(path, (then, then))


@pytest.fixture(autouse=True)
def unmonitored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let coverage, which may measure this run, not count as somebody who uses ``sys.monitoring``."""
    monkeypatch.setattr(codecache, "_MONITORING", None)


@pytest.fixture(autouse=True)
def writing_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write bytecode files, beside the sources, whatever the environment says."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a source file that is an hour old."""
    path = tmp_path / f"{_NAME}.py"
    path.write_text("x = 1\n", encoding="utf-8")
    _age(path)
    return path


def _always(name: str, file: str) -> bool:
    return True


@pytest.fixture
def loader_as_it_is() -> Iterator[None]:
    """Let the loader have what importlib gave it, although this run may be isolated itself."""
    outer = vars(SourceFileLoader).get("get_code")
    if outer is not None:
        del SourceFileLoader.get_code
    yield
    assert "get_code" not in vars(SourceFileLoader)
    if outer is not None:
        SourceFileLoader.get_code = outer  # type: ignore[method-assign]


@pytest.fixture
def cache(loader_as_it_is: None) -> Iterator[CodeCache]:
    """Return a cache that serves everything."""
    cache = CodeCache()
    cache.begin(_always)
    yield cache
    cache.end(_always)


def _read(source: Path, loader: SourceFileLoader | None = None) -> CodeType:
    code = (loader or SourceFileLoader(_NAME, str(source))).get_code(_NAME)
    assert code is not None
    return code


@pytest.mark.usefixtures("cache")
def test_code_is_read_once(source: Path) -> None:
    first = _read(source)
    assert _read(source) is first
    assert first.co_filename == str(source)
    assert SourceFileLoader("other", str(source)).get_code("other") is first


def _rewrite(source: Path, patch: pytest.MonkeyPatch) -> None:
    source.write_text("x = 22\n", encoding="utf-8")
    _age(source)


def _rewrite_with_same_size_and_time(source: Path, patch: pytest.MonkeyPatch) -> None:
    before = source.stat()
    source.write_text("x = 2\n", encoding="utf-8")
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace_with_same_size_and_time(source: Path, patch: pytest.MonkeyPatch) -> None:
    other = source.with_suffix(".new")
    other.write_text("x = 2\n", encoding="utf-8")
    os.utime(other, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
    other.replace(source)


def _remove_bytecode(source: Path, patch: pytest.MonkeyPatch) -> None:
    Path(importlib.util.cache_from_source(str(source))).unlink()


def _put_unchecked_bytecode(source: Path, patch: pytest.MonkeyPatch) -> None:
    other = source.with_name("other.py")
    other.write_text("x = 3\n", encoding="utf-8")
    py_compile.compile(
        str(other),
        importlib.util.cache_from_source(str(source)),
        dfile=str(source),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def _write_bytecode_elsewhere(source: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sys, "pycache_prefix", str(source.parent / "elsewhere"))


def _write_no_bytecode(source: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sys, "dont_write_bytecode", True)


def _change_how_sources_are_compiled(source: Path, patch: pytest.MonkeyPatch) -> None:
    original = SourceFileLoader.get_data
    patch.setattr(SourceFileLoader, "get_data", lambda self, path: original(self, path))


def _change_what_stands_below(source: Path, patch: pytest.MonkeyPatch) -> None:
    below = next(base for base in SourceFileLoader.__mro__[1:] if "get_code" in vars(base))
    original = below.get_code  # type: ignore[attr-defined]
    patch.setattr(below, "get_code", lambda self, name: original(self, name))


def _let_a_tool_watch(source: Path, patch: pytest.MonkeyPatch) -> None:
    class Monitoring:
        get_tool = {1: "coverage.py"}.get

    patch.setattr(codecache, "_MONITORING", Monitoring)


@pytest.mark.parametrize(
    "change",
    [
        _rewrite,
        _rewrite_with_same_size_and_time,
        _replace_with_same_size_and_time,
        _remove_bytecode,
        _put_unchecked_bytecode,
        _write_bytecode_elsewhere,
        _write_no_bytecode,
        _change_how_sources_are_compiled,
        _change_what_stands_below,
        _let_a_tool_watch,
    ],
)
@pytest.mark.usefixtures("cache")
def test_code_is_read_again_after_any_change(
    change: Callable[[Path, pytest.MonkeyPatch], None], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _read(source)
    assert _read(source) is first
    with monkeypatch.context() as patch:
        change(source, patch)
        again = _read(source)
        assert again is not first
        by_importlib = importlib.util.spec_from_file_location(_NAME, source)
        assert by_importlib is not None
        assert again == super(SourceFileLoader, by_importlib.loader).get_code(_NAME)  # type: ignore[misc, arg-type]
        written = Path(importlib.util.cache_from_source(str(source)))
        assert written.is_file() or "elsewhere" in str(written)


@pytest.mark.usefixtures("cache")
def test_code_without_a_bytecode_file_is_kept_too(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    first = _read(source)
    assert _read(source) is first
    assert not source.with_name("__pycache__").exists()
    monkeypatch.setattr(sys.implementation, "cache_tag", None)  # there are no bytecode files at all
    second = _read(source)
    assert second is not first
    assert _read(source) is second


@pytest.mark.usefixtures("cache")
def test_a_source_written_a_moment_ago_is_read_each_time(source: Path) -> None:
    kept = _read(source)
    source.write_text("x = 2\n", encoding="utf-8")
    young = _read(source)
    assert _read(source) is not young
    _age(source)
    assert _read(source) is not kept


def test_code_that_will_be_executed_is_read_ahead(cache: CodeCache, source: Path, tmp_path: Path) -> None:
    loader = SourceFileLoader(_NAME, str(source))
    cache.read_ahead(_NAME, str(source))
    kept = cache.find(loader, _NAME)
    assert type(kept) is CodeType
    cache.read_ahead(_NAME, str(source))
    assert _read(source) is kept
    for text in ("no Python", "\0"):
        wrong = tmp_path / "wrong.py"
        wrong.write_text(text, encoding="utf-8")
        cache.read_ahead("wrong", str(wrong))
    cache.read_ahead("gone", str(tmp_path / "gone.py"))


def test_what_is_not_kept_is_not_read_ahead(
    cache: CodeCache, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr(SourceFileLoader, "get_data", refuse)
    cache.read_ahead(_NAME, str(source))
    cache.end(_always)
    monkeypatch.undo()
    cache.read_ahead(_NAME, str(source))
    cache.begin(_always)
    assert type(cache.find(SourceFileLoader(_NAME, str(source)), _NAME)) is tuple


@pytest.mark.parametrize(
    ("tools", "is_others"), [((), False), ((TOOL,), False), ((TOOL, TOOL), False), ((TOOL, "coverage"), True)]
)
def test_only_tools_of_others_are_in_the_way(
    tools: tuple[str, ...], is_others: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_number = dict(enumerate(tools))
    monkeypatch.setattr(codecache, "_MONITORING", SimpleNamespace(get_tool=by_number.get))
    assert codecache.is_monitored() is is_others


class _Subclass(SourceFileLoader):
    """Reads in its own way."""


@pytest.mark.usefixtures("cache")
def test_only_plain_loaders_are_served(source: Path) -> None:
    first = _read(source)
    assert _read(source, _Subclass(_NAME, str(source))) is not first
    changed: Any = SourceFileLoader(_NAME, str(source))
    changed.get_data = lambda path: b"x = 4\n"
    assert _read(source, changed) != first
    with pytest.raises(ImportError, match="cannot handle"):
        SourceFileLoader(_NAME, str(source)).get_code("other")
    bytecode = SourcelessFileLoader(_NAME, importlib.util.cache_from_source(str(source)))
    assert bytecode.get_code(_NAME) is not first


def test_what_is_executed_once_is_not_kept(cache: CodeCache, source: Path) -> None:
    cache.end(_always)
    asked = []

    def never(name: str, file: str) -> bool:
        asked.append((name, file))
        return False

    cache.begin(never)
    try:
        assert _read(source) is not _read(source)
        assert asked == [(_NAME, str(source))] * 2
        cache.begin(_always)
        assert _read(source) is _read(source)
        cache.end(_always)
    finally:
        cache.end(never)
        cache.begin(_always)


@pytest.mark.usefixtures("cache")
def test_a_file_that_cannot_be_looked_at_is_left_to_importlib(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _read(source)

    def stat(path: str) -> Any:
        raise FileNotFoundError(path)

    monkeypatch.setattr(codecache, "stat", stat)  # a fake file system has other files
    assert _read(source) is not first


def test_a_file_that_is_left_alone_is_read_each_time(cache: CodeCache, source: Path) -> None:
    first = _read(source)
    cache.leave_alone(str(source))
    assert _read(source) is not first
    assert _read(source) is not _read(source)


@pytest.mark.parametrize("way", ["monitoring", "settrace"])
def test_code_that_is_watched_line_by_line_is_always_new(
    way: str, cache: CodeCache, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "monitoring" and not hasattr(sys, "monitoring"):
        pytest.skip("sys.monitoring came with Python 3.12")
    if way == "settrace":
        monkeypatch.setattr(linewatch, "_MONITORING", None)
    monkeypatch.setattr(linewatch, "CODE", cache)
    lines: list[int] = []

    def look(frame: object, line: int, *, exact: bool) -> None:
        lines.append(line)

    around = sys.gettrace()
    sys.settrace(None)
    first = _read(source)
    assert _read(source) is first
    watch = LineWatch(lambda file: file == str(source), look)
    assert watch.start()
    try:
        executed = [first]
        for _ in range(3):
            exec(executed[-1], {})
            executed.append(_read(source))
    finally:
        watch.stop()
        sys.settrace(around)
    assert len(set(map(id, executed))) == 4
    assert lines.count(1) == 3


@pytest.mark.usefixtures("loader_as_it_is")
def test_the_loader_is_as_before_when_nobody_asks_for_it() -> None:
    cache = CodeCache()
    before = SourceFileLoader.get_code
    cache.begin(_always)
    ours = SourceFileLoader.get_code
    assert ours is not before
    cache.begin(_always)
    cache.end(_always)
    assert SourceFileLoader.get_code is ours
    cache.end(_always)
    assert SourceFileLoader.get_code is before


@pytest.mark.usefixtures("loader_as_it_is")
@pytest.mark.parametrize("is_first", [True, False])
def test_whoever_else_replaces_the_function_keeps_the_place(
    is_first: bool, monkeypatch: pytest.MonkeyPatch, source: Path
) -> None:
    cache = CodeCache()
    if not is_first:
        cache.begin(_always)
    below = SourceFileLoader.get_code

    def theirs(self: SourceFileLoader, name: str) -> CodeType | None:
        return below(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(SourceFileLoader, "get_code", theirs, raising=False)
        if is_first:
            cache.begin(_always)
        first = _read(source)
        assert (_read(source) is first) is not is_first
        cache.end(_always)
        assert SourceFileLoader.get_code is theirs
        assert _read(source) is not _read(source)
    if not is_first:  # their undo put ours back, which is transparent now
        assert _read(source) is not _read(source)
        cache.begin(_always)
        assert _read(source) is _read(source)
        cache.end(_always)


# In windows


_APP = {
    "cc_app/__init__.py": "",
    "cc_app/mode.py": """
        import os

        MODE = os.environ.get("CC_MODE")

        def mode():
            return MODE
    """,
}


def _aged(root: Path) -> None:
    for path in root.rglob("*.py"):
        _age(path)


def test_each_window_executes_the_same_code_anew(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    _aged(tree(_APP))
    modules = []
    for mode in ("a", "b", "c"):
        # No fingerprint of the module's namespace could tell that it would not be the same.
        monkeypatch.setenv("CC_MODE", mode)
        with IsolatedImportContext():
            modules.append(importlib.import_module("cc_app.mode"))
    assert [module.mode() for module in modules] == ["a", "b", "c"]
    assert len({id(module) for module in modules}) == 3
    assert len({id(module.mode.__code__) for module in modules}) == 1
    outside = importlib.import_module("cc_app.mode")
    assert outside.mode.__code__ is not modules[0].mode.__code__


def test_fresh_imports_and_reloads_read_once_and_other_foreign_modules_are_not_kept(tree: Tree) -> None:
    root = tree({"site-packages/cc_foreign.py": "def f(): ...", "site-packages/cc_once.py": "def f(): ..."})
    _aged(root)
    with IsolatedImportContext(path=(str(root / "site-packages"),)):
        first = fresh_import("cc_foreign").f.__code__
        assert fresh_import("cc_foreign").f.__code__ is first
        assert importlib.reload(importlib.import_module("cc_foreign")).f.__code__ is first
        once = importlib.import_module("cc_once")
        assert importlib.reload(once).f.__code__ is not importlib.reload(once).f.__code__


def _frames(name: str) -> list[tuple[str, str]]:
    with pytest.raises((SyntaxError, UnicodeDecodeError, ZeroDivisionError)) as caught:
        exec(f"import {name}")  # import_module() does not leave importlib's frames out
    return [(frame.name, frame.filename) for frame in traceback.extract_tb(caught.value.__traceback__)]


@pytest.mark.parametrize("text", [b"x = = 1\n", b"x = '\xff'\n", b"1 / 0\n"])
def test_a_source_that_fails_has_the_traceback_that_it_has_elsewhere(text: bytes, tree: Tree) -> None:
    root = tree({"cc_bad.py": ""})
    (root / "cc_bad.py").write_bytes(text)
    _aged(root)
    outside = _frames("cc_bad")
    with IsolatedImportContext():
        assert _frames("cc_bad") == outside
        assert _frames("cc_bad") == outside


def test_what_a_window_forgot_is_not_searched_for_among_all_objects(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree({"cc_app/__init__.py": "import cc_app.part", "cc_app/part.py": "import cc_app"})

    def get_objects() -> list[object]:
        raise AssertionError

    with IsolatedImportContext():
        for _ in range(2):
            with IsolatedImportContext():
                importlib.import_module("cc_app")
            monkeypatch.setattr(gc, "get_objects", get_objects)
