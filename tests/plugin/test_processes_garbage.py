"""The garbage collector in processes of tests: what it gives and frees is what it gives and frees in one process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")

_ASKING = """
    import gc, weakref
    {imported}

    class Thing:
        pass

    THING = Thing()
    RING = [Thing()]
    RING[0].itself = RING[0]
    SEEN = weakref.ref(RING[0])

    def test_referrers():
        assert any(each is globals() for each in gc.get_referrers(THING))

    def test_objects():
        assert sum(type(each) is Thing for each in gc.get_objects()) == 2

    def test_garbage():
        del RING[:]
        assert SEEN() is not None
        {collect}
        assert SEEN() is None

    def test_counts():
        before = len(gc.get_objects())
        for _ in range(1000):
            class Other: pass
        del Other
        gc.collect()
        assert len(gc.get_objects()) <= before
"""


@pytest.mark.parametrize(
    ("imported", "collect"), [("", "gc.collect()"), ("from gc import collect", "collect()")]
)
@pytest.mark.parametrize("mode", ["process", "process-file"])
def test_objects_from_before_the_fork_are_found_and_freed(
    suite: Suite, mode: str, imported: str, collect: str
) -> None:
    text = _ASKING.format(imported=imported, collect=collect)
    assert suite.run(text, "-p", "no:pytest_import_isolation").outcomes == {"passed": 4}
    assert suite.run(text, f"--isolate-imports={mode}").outcomes == {"passed": 4}


def test_also_in_cold_processes(suite: Suite) -> None:
    text = """
        import gc
        import pytest

        @pytest.mark.isolated_imports(process="cold")
        def test_referrers():
            assert any(each is vars(pytest) for each in gc.get_referrers(pytest.Item))
    """
    assert suite.run(text).outcomes == {"passed": 1}


def test_an_audit_hook_may_forbid_another_one(suite: Suite) -> None:
    text = """
        import gc, sys

        def hook(event, _):
            if event == "sys.addaudithook":
                raise ValueError("no")
        sys.addaudithook(hook)

        def test_referrers():
            assert any(each is globals() for each in gc.get_referrers(hook))
    """
    assert suite.run(text, "--isolate-imports=process").outcomes == {"passed": 1}
