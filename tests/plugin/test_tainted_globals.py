"""A marked test binds what was executed with the fake of its mark to a global of its file, or of other code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

_DEPOT = {
    "depot/__init__.py": "",
    "depot/cloud.py": """
        import nocloud

        class Client:
            made_by = nocloud.client
        """,
    "depot/shelf.py": "from depot import cloud",
    "depot/lazy.py": """
        _made = None

        def client():
            global _made
            if _made is None:
                from depot.cloud import Client
                _made = Client()
            return _made
        """,
}
_MARK = '@pytest.mark.isolated_imports(fakes={"nocloud": {"client": lambda: 1}})'
_STATEMENTS = (
    "global cloud; from depot import cloud",
    "global Client; from depot.cloud import Client",
    "global seen; import depot.cloud as cloud_; seen = [cloud_.Client()]",
    "global shelf; from depot import shelf",
)


def test_what_a_global_of_the_test_file_holds_is_forgotten_if_it_holds_the_fake(suite: Suite) -> None:
    pairs = "".join(
        f"""
{_MARK}
def test_with_the_fake_{number}():
    {statement}

def test_after_{number}():
    assert not [name for name in sys.modules if name.startswith(("depot.cloud", "depot.shelf"))]
    assert not {{"cloud", "shelf"}} & vars(depot).keys()
    with pytest.raises(ModuleNotFoundError, match="nocloud"):
        import_module("depot.cloud")
"""
        for number, statement in enumerate(_STATEMENTS)
    )
    run = suite.run(
        {
            **_DEPOT,
            "test_it.py": f"import sys\nfrom importlib import import_module\nimport depot\nimport pytest\n{pairs}",
        },
        env={"PYTHONPATH": suite.python_path},
    )
    assert run.outcomes == {"passed": 8}
    assert run.kinds == []


def test_what_holds_nothing_of_the_fake_stays_with_the_global(suite: Suite) -> None:
    run = suite.run(
        {
            **_DEPOT,
            "depot/plain.py": "",
            "test_it.py": f"""
            import sys
            import depot
            import pytest

            {_MARK}
            def test_with_the_fake():
                global plain
                from depot import cloud, plain

            def test_afterwards():
                assert sys.modules["depot.plain"] is plain
                assert "depot.cloud" not in sys.modules
            """,
        },
        env={"PYTHONPATH": suite.python_path},
    )
    assert run.outcomes == {"passed": 2}
    assert run.kinds == []


_LAZY = """
import depot.lazy
import pytest

@pytest.mark.isolated_imports(fakes={{"nocloud": {{"client": lambda: 1}}}}{more})
def test_with_the_fake():
    from depot import lazy
    assert lazy.client()
"""


def test_what_other_code_holds_stays_and_is_told_and_the_advice_cures_it(suite: Suite) -> None:
    env = {"PYTHONPATH": suite.python_path}
    run = suite.run({**_DEPOT, "test_it.py": _LAZY.format(more="")}, env=env)
    leak = run.leak("tainted", "depot.cloud")
    assert run.kinds == [("tainted", "depot.cloud")]
    assert leak["polluter"] == {"nodeid": "test_it.py::test_with_the_fake", "phase": "call"}
    assert leak["location"] == {"file": "depot/lazy.py", "line": 7, "exact": True}
    assert leak["detail"] == (
        "It was first imported while nocloud was faked or blocked, and stays after that: "
        "depot.lazy._made refers to it."
    )
    assert leak["advice"] == (
        "Name what refers to depot.cloud in fresh= of the same mark, too: then both are executed anew, and both "
        "are forgotten after the test."
    )
    cured = suite.run({"test_it.py": _LAZY.format(more=', fresh="depot.lazy"')}, env=env)
    assert cured.kinds == []


# What docs/how-to/migrating.md says of an import that stays at the top of the file.
_HEAD = """
import sys
import pytest
from unittest import mock
from pytest_import_isolation import IsolatedImportContext

FAKES = {"nocloud": {"client": lambda: 1}}

with IsolatedImportContext(fakes=FAKES):
    from depot import cloud
"""


def test_a_context_around_the_import_at_the_top_leaves_nothing_and_a_mark_keeps_strings_right(
    suite: Suite,
) -> None:
    run = suite.run(
        {
            **_DEPOT,
            "test_a.py": _HEAD
            + """
def test_it():
    assert cloud.Client.made_by() == 1
    assert not {"depot.cloud", "nocloud"} & sys.modules.keys()
""",
            "test_b.py": _HEAD
            + """
pytestmark = pytest.mark.isolated_imports(fakes={**FAKES, "depot.cloud": cloud})

def test_late_and_by_a_string():
    with mock.patch("depot.cloud.Client", "patched"):
        from depot.cloud import Client
        assert Client == cloud.Client == "patched"
    import nocloud
    assert nocloud.client() == 1
""",
            "test_c.py": """
import pytest

def test_it_is_not_installed():
    with pytest.raises(ModuleNotFoundError, match="nocloud"):
        from depot import cloud
""",
        },
        env={"PYTHONPATH": suite.python_path},
    )
    assert run.outcomes == {"passed": 3}
    assert run.kinds == []
