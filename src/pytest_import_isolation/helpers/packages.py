"""Package trees written for one test."""

from __future__ import annotations

import importlib.util
import marshal
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_import_isolation.errors import ParameterError
from pytest_import_isolation.fakes.irreplaceable import is_needed_by_the_interpreter
from pytest_import_isolation.machinery.finders import drop_finder_caches, find_location, is_own_finder
from pytest_import_isolation.machinery.modules import location_in, spec_of
from pytest_import_isolation.machinery.regexes import regex
from pytest_import_isolation.patterns import Patterns

if TYPE_CHECKING:
    from pytest_import_isolation.window.window import Window

#: What a file or, if it is a mapping, a directory holds.
Content = str | bytes | Mapping[str, Any]

#: Values by name, for each group.
EntryPoints = Mapping[str, Mapping[str, str]]

# A written source is dated back: whoever rewrites it by hand gives it another time than its bytecode knows.
_BACKDATED_SECONDS: Final = 3600
_DISTRIBUTION_NAME: Final = regex(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_ENTRY_POINT_VALUE: Final = regex(r"[\w.]+(:[\w.]+)?( *\[.*\])?")
_VERSION: Final = regex(r"[A-Za-z0-9.+!_]+")


@contextmanager
def make_package(
    files: Mapping[str, Content],
    *,
    root: str | os.PathLike[str] | None = None,
    zip: bool = False,
    shadow: bool = False,
    distribution: str | None = None,
    version: str = "1.0",
    entry_points: EntryPoints | None = None,
) -> Iterator[Path]:
    """Write a package tree, and make it importable inside the block.

    Args:
        files: texts or bytes by relative path; a mapping is a directory. The text of a ``.pyc`` is source,
            of which only the bytecode is written.
        root: the directory to write to; a temporary one by default.
        zip: write one archive in place of files.
        shadow: stand in front of an installed, standard or loaded module of the same name.
        distribution: the name of a distribution that installs the tree; none by default.
        version: its version.
        entry_points: its entry points, such as ``{"console_scripts": {"plug": "plug:main"}}``.

    Yields:
        The directory or archive, which is first on ``sys.path``.

    Raises:
        ParameterError: a path, a text or a name cannot be used, or a name is taken.
    """
    import tempfile

    from pytest_import_isolation.window.context import IsolatedImportContext

    with tempfile.TemporaryDirectory() as temporary, IsolatedImportContext() as context:
        place = Path(temporary if root is None else root).absolute()
        yield put_package(
            context.window,
            place,
            files,
            zip=zip,
            shadow=shadow,
            distribution=distribution,
            version=version,
            entry_points=entry_points,
        )
    drop_finder_caches()


def put_package(
    window: Window,
    root: Path,
    files: Mapping[str, Content],
    *,
    zip: bool = False,
    shadow: bool = False,
    distribution: str | None = None,
    version: str = "1.0",
    entry_points: EntryPoints | None = None,
) -> Path:
    """Write a package tree, and make it importable until a window closes; see :func:`make_package`."""
    contents = flatten(files)
    owners = _top_level_names(contents)
    taken = _check_names(owners, root, shadow=shadow)
    if distribution is not None:
        contents.update(metadata_files(contents, distribution, version, entry_points or {}))
    elif entry_points:
        raise ParameterError("make_package: entry_points need a distribution, such as distribution='plug'")
    if zip:
        entry = _write_archive(root, contents)
    else:
        entry = root
        if distribution is not None:
            _remove_metadata(root, distribution)
        _write(root, contents)
    if taken:
        from pytest_import_isolation.window.alterations import hide_shadowed

        hide_shadowed(window, Patterns(taken))
    if str(entry) in sys.path[:1]:
        drop_finder_caches()
    else:
        window.own_items.add_path((str(entry),))
    return entry


def write_files(root: Path, files: Mapping[str, Content]) -> list[Path]:
    """Write files below a directory, so that the next import runs them and no older bytecode.

    A bytecode file stores the time of its source in whole seconds, and the size: a source rewritten within
    the second and with the same size would run its old code. So the bytecode of what is written goes.

    Args:
        root: the directory; made if it is not there.
        files: texts or bytes by relative path, with forward slashes, such as ``{"app/__init__.py": ""}``;
            a mapping is a directory.

    Returns:
        The paths that were written.

    Raises:
        ParameterError: a path or a text cannot be used.
    """
    return _write(root, flatten(files))


def flatten(files: Mapping[str, Content]) -> dict[str, bytes]:
    """Return what each file of a tree holds, by its path.

    Raises:
        ParameterError: a path or a text cannot be used, or two of them exclude each other.
    """
    if not isinstance(files, Mapping):
        raise ParameterError(
            "make_package: expected a mapping of paths to texts, such as {'app/__init__.py': ''}, "
            f"not {type(files).__name__}"
        )
    contents: dict[str, bytes] = {}
    for name, content in _walk("", files):
        if name in contents:
            raise ParameterError(f"make_package: {name!r} is given twice")
        contents[name] = _encoded(name, content)
    _check_clashes(contents)
    return contents


def _walk(above: str, files: Mapping[str, Content]) -> Iterator[tuple[str, object]]:
    for key, content in files.items():
        if not isinstance(key, str):
            raise ParameterError(f"make_package: a path is a string, not {type(key).__name__} ({key!r})")
        if "\\" in key:
            raise ParameterError(f"make_package: {key!r} holds a backslash; separate folders with '/'")
        parts = key.split("/")
        if "\0" in key or not set(parts).isdisjoint(("", ".", "..")) or (os.name == "nt" and ":" in key):
            raise ParameterError(f"make_package: {key!r} is no relative path below the package's directory")
        if isinstance(content, Mapping):
            yield from _walk(f"{above}{key}/", content)
        else:
            yield above + key, content


def _encoded(name: str, content: object) -> bytes:
    if isinstance(content, bytes):
        return content
    if not isinstance(content, str):
        raise ParameterError(
            f"make_package: the text of {name!r} is a string or bytes, not {type(content).__name__}"
        )
    try:
        data = content.encode("utf-8")
        if not name.endswith(".pyc"):
            return data
        code = compile(content, name[:-1], "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:  # ValueError: a lone surrogate, or a null character
        raise ParameterError(
            f"make_package: the source of {name!r} cannot be compiled ({error}); correct it"
            if name.endswith(".pyc")
            else f"make_package: the text of {name!r} is no UTF-8 ({error}); give bytes"
        ) from None
    # An unchecked hash in place of a time: there is no source to compare with.
    header = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(data)
    return header + marshal.dumps(code)


def _check_clashes(contents: Mapping[str, bytes]) -> None:
    spelt: dict[str, str] = {}
    for name in contents:
        parts = name.split("/")
        for path in ("/".join(parts[:end]) for end in range(1, len(parts) + 1)):
            other = spelt.setdefault(path.casefold(), path)
            if other != path:
                raise ParameterError(
                    f"make_package: {other!r} and {path!r} differ in case only, which is one file on some "
                    "systems; rename one"
                )
            if path != name and path in contents:
                raise ParameterError(f"make_package: {path!r} is a file and also the directory of {name!r}")
        if name.endswith(".pyc") and name[:-1] in contents:
            raise ParameterError(
                f"make_package: {name!r} would never be found beside {name[:-1]!r}; leave one out"
            )


def _top_level_names(contents: Mapping[str, bytes]) -> dict[str, bool]:
    """Return the modules that a tree makes importable, and whether each is a namespace package."""
    found: dict[str, bool] = {}
    for name in contents:
        first, _, rest = name.partition("/")
        module = first if rest else re.sub(r"\.pyc?$", "", first)
        is_source = name.endswith((".py", ".pyc"))
        if is_source and module.isidentifier():
            is_init = not rest or rest in ("__init__.py", "__init__.pyc")
            found[module] = found.get(module, True) and not is_init
    return found


def _check_names(names: Mapping[str, bool], root: Path, *, shadow: bool) -> tuple[str, ...]:
    """Return the names that belong to a module elsewhere.

    Raises:
        ParameterError: there are some, and they are not to be shadowed or cannot be.
    """
    taken: list[str] = []
    for name, is_namespace in names.items():
        loaded = location_in(spec_of(sys.modules.get(name)))
        found = find_location(name, is_own_finder)
        for place in (loaded, found):
            if place is None or (is_namespace and isinstance(place, tuple)) or _is_below(place, root):
                continue
            where = ", ".join(place) if isinstance(place, tuple) else str(place)
            if place in ("built-in", "frozen") or is_needed_by_the_interpreter(name):
                raise ParameterError(
                    f"make_package: {name!r} in {root} cannot take the place of {where}, which the "
                    "interpreter needs or finds first; choose another name"
                )
            if not shadow:
                raise ParameterError(
                    f"make_package: {name!r} in {root} has the name of {where}; choose another name, or "
                    "pass shadow=True to hide that one until the test is over"
                )
            taken.append(name)
            break
        else:
            if loaded is None and name in sys.modules and shadow:
                taken.append(name)  # a fake
    return tuple(taken)


def _is_below(place: object, root: Path) -> bool:
    places = place if isinstance(place, tuple) else (place,)
    return all(os.path.abspath(entry).startswith(f"{root}{os.sep}") for entry in places)


def _write(root: Path, contents: Mapping[str, bytes]) -> list[Path]:
    written: list[Path] = []
    for name, data in contents.items():
        path = root.joinpath(*name.split("/"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise ParameterError(f"make_package: {name!r} cannot be written: {error}") from error
        if path.suffix == ".py":
            _remove_bytecode(path)
            past = time.time() - _BACKDATED_SECONDS
            os.utime(path, (past, past))
        elif path.suffix == ".pyc":
            path.with_suffix(".py").unlink(missing_ok=True)  # of an earlier call: it would be found first
        written.append(path)
    return written


def _remove_bytecode(source: Path) -> None:
    for optimization in ("", 1, 2):
        cached = importlib.util.cache_from_source(os.fspath(source), optimization=optimization)
        Path(cached).unlink(missing_ok=True)


def _write_archive(root: Path, contents: Mapping[str, bytes]) -> Path:
    import zipfile

    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ParameterError(f"make_package: no archive can be written to {root}: {error}") from error
    # A new name each time: zipimport remembers what an archive holds.
    number = next(n for n in range(1, sys.maxsize) if not (root / f"packages-{n}.zip").exists())
    archive = root / f"packages-{number}.zip"
    # Namespace packages are found by the entries of their directories.
    folders = {name[: at + 1] for name in contents for at, c in enumerate(name) if c == "/"}
    with zipfile.ZipFile(archive, "w") as file:
        for name, data in sorted({**dict.fromkeys(folders, b""), **contents}.items()):
            file.writestr(name, data)
    return archive


def metadata_files(
    contents: Mapping[str, bytes], distribution: str, version: str, entry_points: EntryPoints
) -> dict[str, bytes]:
    """Return the files of the ``dist-info`` directory of a distribution that installs a tree.

    Raises:
        ParameterError: a name, the version or an entry point cannot be used.
    """
    if not isinstance(distribution, str) or not _DISTRIBUTION_NAME.fullmatch(distribution):
        raise ParameterError(
            f"make_package: {distribution!r} is no name of a distribution, such as 'my-plug'"
        )
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ParameterError(f"make_package: {version!r} is no version, such as '1.0'")
    folder = f"{_normalized(distribution)}-{version}.dist-info"
    files = {
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
        f"{folder}/top_level.txt": "".join(f"{name}\n" for name in _top_level_names(contents)),
    }
    if entry_points:
        files[f"{folder}/entry_points.txt"] = _entry_points_text(entry_points)
    recorded = {**contents, **{name: text.encode("utf-8") for name, text in files.items()}}
    rows = [
        f'"{name}",,{len(data)}\n' if "," in name else f"{name},,{len(data)}\n"
        for name, data in recorded.items()
    ]
    record = f"{folder}/RECORD"
    files[record] = "".join([*rows, f"{record},,\n"])
    return {name: text.encode("utf-8") for name, text in files.items()}


def _entry_points_text(entry_points: object) -> str:
    lines: list[str] = []
    for group, entries in entry_points.items() if isinstance(entry_points, Mapping) else [("", None)]:
        if not isinstance(entries, Mapping):
            raise ParameterError(
                "make_package: entry_points is a mapping such as {'group': {'name': 'module:attribute'}}, "
                f"not {entry_points!r}"
            )
        for name, value in entries.items():
            if not isinstance(value, str) or not _ENTRY_POINT_VALUE.fullmatch(value):
                raise ParameterError(
                    f"make_package: the entry point {name!r} of {group!r} is 'module:attribute', not "
                    f"{value!r}"
                )
        lines.append(f"[{group}]")
        lines += [f"{name} = {value}" for name, value in entries.items()]
    return "\n".join(lines) + "\n"


def _normalized(distribution: str) -> str:
    return re.sub(r"[-_.]+", "_", distribution).lower()


def _remove_metadata(root: Path, distribution: str) -> None:
    for folder in root.glob(f"{_normalized(distribution)}-*.dist-info"):
        shutil.rmtree(folder)
