"""The lock for whose release others wait as long as its holder gets on."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from pytest_import_isolation.machinery import progress_lock
from pytest_import_isolation.machinery.progress_lock import ProgressLock
from pytest_import_isolation.machinery.threads import pause

#: Lets a thread hold the lock while it does something.
Hold = Callable[[Callable[[], object]], threading.Thread]


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> ProgressLock:
    """A lock whose waiting threads lose patience after a fifth of a second."""
    monkeypatch.setattr(progress_lock, "_STILL", 100)
    return ProgressLock()


@pytest.fixture
def held(lock: ProgressLock) -> Hold:
    def hold(work: Callable[[], object]) -> threading.Thread:
        has_it = threading.Event()

        def run() -> None:
            with lock, lock:
                has_it.set()
                work()

        thread = threading.Thread(target=run)
        thread.start()
        has_it.wait()
        return thread

    return hold


def test_a_holder_that_gets_on_is_waited_for(lock: ProgressLock, held: Hold) -> None:
    done: list[str] = []
    code = compile("pause(0.01)\n" * 100 + "done.append('done')", "work", "exec")
    thread = held(lambda: exec(code, {"pause": pause, "done": done}))
    lock.wait()
    assert done == ["done"]
    thread.join()


def test_a_holder_that_waits_for_us_is_left_alone(lock: ProgressLock, held: Hold) -> None:
    may_go = threading.Event()
    thread = held(may_go.wait)
    lock.wait()
    assert thread.is_alive()
    assert not lock.waiting
    may_go.set()
    thread.join()


def test_a_holder_that_looks_for_us_in_a_loop_is_left_alone_too(
    lock: ProgressLock,
    held: Hold,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress_lock, "_LONGEST", 200)
    may_go = threading.Event()
    code = compile("while not is_set():\n" + "  pause(0.005)\n" * 20, "work", "exec")
    thread = held(lambda: exec(code, {"pause": pause, "is_set": may_go.is_set}))
    lock.wait()
    assert thread.is_alive()
    may_go.set()
    thread.join()


def test_who_waits_is_told_and_who_holds_it_need_not_wait(lock: ProgressLock, held: Hold) -> None:
    may_go = threading.Event()
    thread = held(may_go.wait)
    waiter = threading.Thread(target=lock.wait)
    waiter.start()
    while not lock.waiting:
        pause(0.001)
    assert set(lock.waiting) == {waiter.ident}
    may_go.set()
    waiter.join()
    thread.join()
    with lock:
        lock.wait()
    assert not lock.waiting
