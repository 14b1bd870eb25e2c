"""Each member of the vector of side effects: what it says, and about what it is silent."""

from __future__ import annotations

import atexit
import builtins
import copyreg
import functools
import io
import locale
import logging
import os
import signal
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any
from unittest import mock

import pytest

from pytest_import_isolation.watching.effect_names import Effect, describe
from pytest_import_isolation.watching.effects import Effects, is_thread

_SECRET = "hunter2"


class _Point:
    def method(self) -> None: ...


_import = builtins.__import__


def _function(*arguments: Any, **named: Any) -> Any:
    return _import(*arguments, **named)  # one of the tests puts it there


@contextmanager
def _changes(*expected: tuple[str, str]) -> Iterator[None]:
    """Expect that the block has these effects."""
    before = Effects.capture()
    yield
    assert before.differences(Effects.capture()) == [Effect(*each) for each in expected]


# The environment


def test_a_variable_that_is_set_changed_or_removed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANGED_ONE", "old")
    monkeypatch.setenv("REMOVED_ONE", "old")
    with (
        monkeypatch.context() as patch,
        _changes(
            ("os.environ:CHANGED_ONE", "The environment variable CHANGED_ONE was changed."),
            ("os.environ:REMOVED_ONE", "The environment variable REMOVED_ONE was removed."),
            ("os.environ:SET_ONE", "The environment variable SET_ONE was set."),
        ),
    ):
        patch.setenv("CHANGED_ONE", _SECRET)
        patch.setenv("SET_ONE", _SECRET)
        patch.delenv("REMOVED_ONE")


def test_no_value_of_a_variable_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Effects.capture()
    monkeypatch.setenv("PASSWORD", _SECRET)
    after = Effects.capture()
    assert after.variables is not None
    assert after.variables[b"PASSWORD" if os.name == "posix" else "PASSWORD"] in (_SECRET.encode(), _SECRET)
    assert _SECRET not in repr((before, after, before.differences(after)))


@pytest.mark.parametrize(
    "name",
    [
        "PYTEST_CURRENT_TEST",
        "PYTEST_VERSION",
        "PYTEST_XDIST_WORKER",
        "COV_CORE_SOURCE",
        "COVERAGE_PROCESS_START",
    ],
)
def test_variables_of_the_test_run_are_no_effect(name: str) -> None:
    before = Effects.capture()
    assert before.variables is not None
    with mock.patch.dict(os.environ, {name: "other"}):
        assert before.differences(Effects.capture()) == []


def test_another_os_environ_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = dict(os.environ)
    before = Effects.capture()
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", copy)
        (effect, *_) = before.differences(Effects.capture())
    assert effect == ("os.environ", "os.environ is another object, of dict; it was one of os._Environ.")


def test_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = f"The working directory is {tmp_path}; it was {os.getcwd()}."
    with monkeypatch.context() as patch, _changes(("cwd", sentence)):
        patch.chdir(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="a directory in use cannot be removed")
def test_a_working_directory_that_is_gone_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(gone)
        gone.rmdir()
        assert Effects.capture().directory is None


# Callbacks


def test_every_function_that_runs_at_exit_is_counted() -> None:
    more = Effect("atexit", "One function more will run at exit.")
    before = Effects.capture()
    atexit.register(_function)
    atexit.register(_function, 1)
    after = Effects.capture()
    atexit.unregister(_function)
    assert before.differences(after) == [more, more]
    assert after.differences(before) == [Effect("atexit", "One function less will run at exit.")] * 2


def test_the_first_finalizer_of_a_process_is_no_effect() -> None:
    script = """
        import atexit, weakref
        from pytest_import_isolation.watching.effects import Effects
        class Thing: pass
        thing, before, number = Thing(), Effects.capture(), atexit._ncallbacks()
        weakref.finalize(thing, print)
        assert atexit._ncallbacks() == number + 1
        assert before.differences(Effects.capture()) == []
    """
    subprocess.run([sys.executable, "-c", dedent(script)], check=True)
    assert hasattr(weakref.finalize, "_registered_with_atexit")


@pytest.mark.skipif(sys.platform == "emscripten", reason="WebAssembly reads SIG_IGN back as another number")
def test_signal_handlers_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Effects.capture()
    old = signal.signal(signal.SIGTERM, _function)
    try:
        after = Effects.capture()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ignored = Effects.capture()
    finally:
        signal.signal(signal.SIGTERM, old)
    name = f"{__name__}._function"
    assert before.differences(after) == [
        ("signal:SIGTERM", f"The handler of SIGTERM is {name}; it was SIG_DFL.")
    ]
    assert after.differences(ignored) == [
        ("signal:SIGTERM", f"The handler of SIGTERM is SIG_IGN; it was {name}.")
    ]


def test_a_thread_that_runs_is_told_and_one_that_ended_is_not() -> None:
    before, end = Effects.capture(), threading.Event()
    threads = [
        threading.Thread(target=end.wait, name="worker"),
        threading.Thread(target=end.wait, name="watcher", daemon=True),
    ]
    for thread in threads:
        thread.start()
    after = Effects.capture()
    end.set()
    for thread in threads:
        thread.join()
    effects = before.differences(after)
    wait = "threading.Event.wait"
    assert effects == [
        ("threads", f"The daemon thread 'watcher' of {wait} is still running."),
        ("threads", f"The thread 'worker' of {wait} is still running, and the process waits for it at exit."),
    ]
    assert all(map(is_thread, effects))
    assert after.differences(before) == []


def test_a_thread_with_a_class_of_its_own_is_told_by_its_name() -> None:
    class Worker(threading.Thread):
        end = threading.Event()

        def run(self) -> None:
            self.end.wait()

    before, worker = Effects.capture(), Worker(name="own", daemon=True)
    worker.start()
    after = Effects.capture()
    worker.end.set()
    worker.join()
    assert before.differences(after) == [("threads", "The daemon thread 'own' is still running.")]


def test_a_thread_is_not_kept_alive_by_looking_at_it() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    seen, alive = Effects.capture(), weakref.ref(thread)
    end.set()
    thread.join()
    del thread
    assert seen.threads
    assert alive() is None


def test_a_thread_that_python_did_not_start_is_no_effect() -> None:
    import _thread

    before, started, end = Effects.capture(), threading.Event(), threading.Event()

    def run() -> None:
        threading.current_thread()  # enters a dummy
        started.set()
        end.wait()

    _thread.start_new_thread(run, ())
    started.wait()
    try:
        assert before.differences(Effects.capture()) == []
    finally:
        end.set()


# Warnings and logging


def test_filters_are_told_in_the_form_of_the_w_option() -> None:
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("default")
        with (
            warnings.catch_warnings(),
            _changes(
                ("warnings.filters", "The filter 'error:some.*:UserWarning:app:3' was added."),
                ("warnings.filters", "The filter 'ignore::DeprecationWarning' was added."),
            ),
        ):
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.filterwarnings("error", "some.*", UserWarning, "app", 3)
        with (
            warnings.catch_warnings(),
            _changes(("warnings.filters", "The filter 'default::Warning' was removed.")),
        ):
            warnings.resetwarnings()


def test_filters_that_are_removed_or_moved_are_told() -> None:
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("always", Warning)
        with (
            warnings.catch_warnings(),
            _changes(("warnings.filters", "The filters were put into another order.")),
        ):
            warnings.filters.reverse()  # type: ignore[attr-defined]
        with (
            warnings.catch_warnings(),
            _changes(("warnings.filters", "The filter 'always::Warning' was removed.")),
        ):
            del warnings.filters[0]  # type: ignore[attr-defined]


def test_handlers_of_the_root_and_of_other_loggers_are_named() -> None:
    root, own = logging.getLogger(), logging.getLogger("effects.test")
    handler, buffer = logging.StreamHandler(io.StringIO()), logging.StreamHandler(io.StringIO())
    before = Effects.capture()
    root.addHandler(handler)
    own.addHandler(buffer)
    own.addHandler(logging.NullHandler())
    after = Effects.capture()
    root.removeHandler(handler)
    own.handlers.clear()
    assert before.differences(after) == [
        ("logging:effects.test", "A logging.StreamHandler was added to the logger effects.test."),
        ("logging:root", "A logging.StreamHandler was added to the logger root."),
    ]
    assert after.differences(before) == [
        ("logging:effects.test", "A logging.StreamHandler was removed from the logger effects.test."),
        ("logging:root", "A logging.StreamHandler was removed from the logger root."),
    ]


def test_the_level_of_the_root_logger() -> None:
    root = logging.getLogger()
    old = root.level
    sentence = f"The level of the root logger is 13; it was {logging.getLevelName(old)}."
    before = Effects.capture()
    root.setLevel(13)
    after = Effects.capture()
    root.setLevel(old)
    assert before.differences(after) == [("logging:root", sentence)]


def test_loggers_that_were_disabled_are_named_together() -> None:
    loggers = [logging.getLogger(f"effects.n{number}") for number in range(7)]
    before = Effects.capture()
    loggers[0].disabled = True
    one = Effects.capture()
    for logger in loggers:
        logger.disabled = True
    all_of_them = Effects.capture()
    for logger in loggers:
        logger.disabled = False
    assert before.differences(one) == [("logging", "The logger effects.n0 was disabled.")]
    names = "effects.n0, effects.n1, effects.n2, effects.n3, effects.n4, ..."
    assert before.differences(all_of_them) == [("logging", f"7 loggers were disabled: {names}.")]
    assert one.differences(before) == [("logging", "The logger effects.n0 was enabled again.")]


def test_logging_disable_is_told() -> None:
    before = Effects.capture()
    logging.disable(logging.ERROR)
    after = Effects.capture()
    logging.disable(logging.NOTSET)
    assert before.differences(after) == [("logging", "logging.disable() is at ERROR; it was at NOTSET.")]


def test_a_handler_of_pytest_is_no_effect(caplog: pytest.LogCaptureFixture) -> None:
    own = logging.getLogger("effects.caplog")
    before = Effects.capture()
    own.addHandler(caplog.handler)
    try:
        assert before.differences(Effects.capture()) == []
    finally:
        own.removeHandler(caplog.handler)


# Hooks


@pytest.mark.parametrize(
    ("module", "attribute", "name"),
    [
        (sys, "excepthook", "sys.excepthook"),
        (sys, "displayhook", "sys.displayhook"),
        (sys, "breakpointhook", "sys.breakpointhook"),
        (sys, "unraisablehook", "sys.unraisablehook"),
        (threading, "excepthook", "threading.excepthook"),
        (builtins, "open", "builtins.open"),
        (builtins, "__import__", "builtins.__import__"),
        (sys, "stdin", "sys.stdin"),
        (sys, "stdout", "sys.stdout"),
        (sys, "stderr", "sys.stderr"),
    ],
)
def test_a_replaced_hook_is_named_with_what_replaced_it(
    monkeypatch: pytest.MonkeyPatch, module: Any, attribute: str, name: str
) -> None:
    original = {
        "threading.excepthook": threading.__excepthook__,
        "builtins.open": io.open,
        "builtins.__import__": _of("app.hooks"),
    }.get(name) or getattr(sys, f"__{attribute}__", None)
    first = io.StringIO() if "std" in attribute else original
    second = io.StringIO() if "std" in attribute else _function
    with monkeypatch.context() as patch:
        patch.setattr(module, attribute, first)
        before = Effects.capture()
        patch.setattr(module, attribute, second)
        after = Effects.capture()
    then = "an object of _io.StringIO" if "std" in attribute else "the interpreter's own"
    now = "an object of _io.StringIO" if "std" in attribute else f"{__name__}._function"
    then = "app.hooks._of.<locals>.hook" if attribute == "__import__" else then
    assert before.differences(after) == [(name, f"{name} is {now}; it was {then}.")]
    assert after.differences(before) == [(name, f"{name} is {then}; it was {now}.")]


def _of(package: str) -> Callable[..., Any]:
    def hook(*arguments: Any, **named: Any) -> Any:
        return _import(*arguments, **named)

    hook.__module__ = package
    return hook


@pytest.mark.parametrize(
    "package",
    ["_pytest.debugging", "xdist.remote", "coverage.control", "pytest_timeout", "pytest_import_isolation.x"],
)
def test_hooks_that_the_test_run_puts_on_and_takes_off_are_no_effect(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "excepthook", sys.__excepthook__)
        patch.setattr(sys, "stdout", sys.__stdout__)
        patch.setattr(builtins, "__import__", _function)
        without = Effects.capture()
        patch.setattr(sys, "excepthook", functools.partial(_of(package)))
        patch.setattr(builtins, "__import__", _of(package))
        patch.setattr(sys, "stdout", _of(package))
        there = Effects.capture()
    assert without.differences(there) == []
    assert there.differences(without) == []


def test_a_hook_in_the_place_of_one_of_the_test_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "excepthook", _of("_pytest.here"))
        before = Effects.capture()
        patch.setattr(sys, "excepthook", _function)
        after = Effects.capture()
    (effect,) = before.differences(after)
    assert effect.sentence.startswith(f"sys.excepthook is {__name__}._function; it was _pytest.here._of.")


@pytest.mark.parametrize(("number", "name"), [(0, "sys.settrace"), (1, "sys.setprofile")])
def test_trace_and_profile_functions(number: int, name: str) -> None:
    # Literal: a real one would disturb the measuring of coverage.
    none, one, other = ((), (_function,), (_Point().method,))
    both = [Effects.capture()._replace(tracers=(None, None)) for _ in range(3)]
    for i, value in enumerate((none, one, other)):
        tracers: list[object] = [None, None]
        tracers[number : number + 1] = value or (None,)
        both[i] = both[i]._replace(tracers=tuple(tracers))
    before, traced, retraced = both
    text = f"{__name__}._function"
    assert before.differences(traced) == [(name, f"{name}() is at {text}.")]
    assert traced.differences(before) == [(name, f"{name}() took {text} away.")]
    assert traced.differences(retraced) == []


def test_the_tracer_of_coverage_that_starts_is_no_effect_and_its_loss_is() -> None:
    tracer = _of("coverage.pytracer")
    off = Effects.capture()._replace(tracers=(None, None))
    on = off._replace(tracers=(tracer, None))
    assert off.differences(on) == []
    assert on.differences(off) == [
        ("sys.settrace", "sys.settrace() took coverage.pytracer._of.<locals>.hook away.")
    ]


# Settings of libraries


def test_copyreg() -> None:
    name = f"{__name__}._Point"
    with _changes((f"copyreg:{name}", f"Objects of {name} are pickled with {__name__}._function.")):
        copyreg.pickle(_Point, _function)  # type: ignore[arg-type]
    there = Effects.capture()
    del copyreg.dispatch_table[_Point]
    text = f"Objects of {name} are no longer pickled with {__name__}._function."
    assert there.differences(Effects.capture()) == [(f"copyreg:{name}", text)]


def test_the_locale_tells_only_the_categories_that_differ() -> None:
    one = Effects.capture()._replace(locale="C")
    other = one._replace(locale="LC_CTYPE=C.UTF-8;LC_NUMERIC=C;LC_TIME=de_DE")
    third = one._replace(locale="de_DE")
    assert one.differences(third) == [("locale", "The locale is de_DE; it was C.")]
    assert one.differences(other) == [
        ("locale", "The locale is LC_CTYPE=C.UTF-8, LC_TIME=de_DE; it was LC_CTYPE=C, LC_TIME=C.")
    ]
    assert other.differences(third) == [
        ("locale", "The locale is LC_CTYPE=de_DE, LC_NUMERIC=de_DE; it was LC_CTYPE=C.UTF-8, LC_NUMERIC=C.")
    ]
    many = one._replace(locale="LC_A=x;LC_B=x;LC_C=x;LC_D=x")
    assert one.differences(many) == [
        ("locale", "The locale is LC_A=x, LC_B=x, LC_C=x, ...; it was LC_A=C, LC_B=C, LC_C=C, ....")
    ]
    assert Effects.capture().locale == locale.setlocale(locale.LC_ALL)


def test_the_policy_of_asyncio() -> None:
    script = """
        import warnings
        warnings.simplefilter("ignore")
        import asyncio
        from pytest_import_isolation.watching.effects import Effects
        before = Effects.capture()
        asyncio.get_event_loop_policy()
        assert before.differences(Effects.capture()) == []
        class Policy(asyncio.DefaultEventLoopPolicy): pass
        asyncio.set_event_loop_policy(Policy())
        ((name, sentence),) = before.differences(Effects.capture())
        assert name == "asyncio.policy", name
        start = "The event loop policy of asyncio is __main__.Policy; it was asyncio."
        assert sentence.startswith(start), sentence
        asyncio.set_event_loop_policy(None)
        assert before.differences(Effects.capture()) == []
    """
    subprocess.run([sys.executable, "-c", dedent(script)], check=True)


def test_the_start_method_of_multiprocessing() -> None:
    script = """
        import multiprocessing
        from pytest_import_isolation.watching.effects import Effects
        before, usual = Effects.capture(), multiprocessing.get_all_start_methods()[0]
        assert multiprocessing.get_start_method() == usual
        assert before.differences(Effects.capture()) == []
        multiprocessing.set_start_method("spawn", force=True)
        sentence = f"The start method of multiprocessing is spawn; it was {usual}."
        assert before.differences(Effects.capture()) == [("multiprocessing.start_method", sentence)]
    """
    subprocess.run([sys.executable, "-c", dedent(script)], check=True)


# Looking


def test_nothing_is_imported_in_order_to_look_at_it() -> None:
    script = """
        import sys
        from pytest_import_isolation.watching.effects import Effects
        unused = ("asyncio", "logging", "multiprocessing", "threading", "signal", "locale", "weakref")
        for name in [name for name in sys.modules if name.partition(".")[0] in (*unused, "copyreg", "atexit")]:
            del sys.modules[name]
        before = set(sys.modules)
        one, other = Effects.capture(), Effects.capture()
        assert one.differences(other) == []
        assert set(sys.modules) == before, set(sys.modules) - before
        assert (one.logging, one.policy, one.start_method, one.threads) == (None,) * 4
    """
    subprocess.run([sys.executable, "-S", "-c", dedent(script)], check=True, env=_environment())


def test_no_code_of_a_module_is_run_in_order_to_look_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(type(sys)):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(name)

    before = Effects.capture()
    with monkeypatch.context() as patch:
        for name in ("logging", "asyncio.events", "multiprocessing.context", "copyreg", "locale"):
            patch.setitem(sys.modules, name, Lazy(name))
        patch.setitem(sys.modules, "warnings", mock.MagicMock())
        after = Effects.capture()
    assert after.logging is None
    assert after.policy is None
    assert after.start_method is None
    assert before.differences(after) == []


def test_an_object_that_compares_itself_with_nothing_does_not_stop_the_look() -> None:
    class Hostile:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = None  # type: ignore[assignment]

    before = Effects.capture()
    after = before._replace(
        hooks=(Hostile(), *before.hooks[1:]), filters=(Hostile(),), directory="/elsewhere"
    )
    assert before.differences(after) == [
        ("cwd", f"The working directory is /elsewhere; it was {before.directory}."),
        ("sys.excepthook", mock.ANY),
    ]


def test_functions_and_classes_are_named_and_all_else_by_its_class() -> None:
    assert describe(None) == "None"
    assert describe(print) == "print"
    assert describe(_Point) == f"{__name__}._Point"
    assert describe(_Point()) == f"an object of {__name__}._Point"
    assert describe(_Point().method) == f"{__name__}._Point.method"
    assert describe(functools.partial(_function, _SECRET)) == f"a functools.partial of {__name__}._function"
    assert describe(mock.Mock()) == "an object of unittest.mock.Mock"


def _environment() -> dict[str, str]:
    folder = str(Path(sys.modules["pytest_import_isolation"].__file__ or "").parents[1])
    return {**os.environ, "PYTHONPATH": folder}
