"""Modules that somebody else throws out of ``sys.modules`` are not executed a second time."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.neighbours("numpy")
def test_what_patch_dict_evicted_in_a_window_comes_back_as_the_same_object(
    run_script: Callable[..., str],
) -> None:
    run_script(
        """
        import sys
        from unittest.mock import patch

        from pytest_import_isolation import IsolatedImportContext

        seen = set()
        for _ in range(3):
            before = dict(sys.modules)
            with IsolatedImportContext():
                with patch.dict(sys.modules):
                    import numpy

                    seen.add(id(numpy))
                    assert numpy.arange(3).sum() == 3
            assert dict(sys.modules) == before
        import numpy

        seen.add(id(numpy))
        assert len(seen) == 1
        # Some submodule of numpy is loaded only now, and takes numpy's own ones from where they waited.
        assert numpy.random.rand(2).shape == (2,)
        """,
        "-W",
        "ignore",
    )


def test_a_module_that_was_freed_after_its_eviction_is_executed_again(run_script: Callable[..., str]) -> None:
    run_script(
        """
        import sys

        from pytest_import_isolation import IsolatedImportContext

        with IsolatedImportContext() as context:
            import wave

            del sys.modules["wave"], wave
        import wave

        assert wave.__name__ == "wave"
        """
    )
