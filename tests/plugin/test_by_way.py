"""Who imports a module that took something of a tainted one has met that, and is told."""

from __future__ import annotations

import pytest
from tests.plugin.conftest import Suite

_APP = {
    "app/__init__.py": "",
    "app/db.py": "import os\ntry:\n    import zz9 as URL\nexcept ImportError:\n    URL = os.environ.get('URL9', 'live')\n",
    "app/web.py": "from app import svc\ndef url(): return svc.URL\n",
    "app/lazy.py": "def url():\n    from app.db import URL\n    return URL\n",
}
_TAKES = {
    "from": "from app.db import URL\n",
    "relative": "from .db import URL\n",
    "module": "from app import db\nURL = db.URL\n",
}
_POLLUTES = {
    "environment": "monkeypatch.setenv('URL9', 'local')",
    "fake": "monkeypatch.setitem(sys.modules, 'zz9', object())",
}


@pytest.mark.parametrize("way", _TAKES)
@pytest.mark.parametrize("by", _POLLUTES)
def test_a_victim_that_imports_what_took_something_of_a_tainted_module_is_exposed(
    suite: Suite, by: str, way: str
) -> None:
    run = suite.run(
        {
            **_APP,
            "app/svc.py": _TAKES[way],
            "test_a.py": f"""
                import sys
                def test_a(monkeypatch):
                    {_POLLUTES[by]}
                    from app import web
                    assert web.url() != "live"
            """,
            "test_b.py": """
                def test_svc():
                    from app.svc import URL
                    assert URL == "live"

                def test_web():
                    from app import web
                    assert web.url() == "live"

                def test_lazy():
                    import app.lazy
            """,
        }
    )
    leak = run.leak("tainted", "app.db")
    assert [met["nodeid"] for met in leak["exposed"]] == ["test_b.py::test_svc", "test_b.py::test_web"]
    assert (leak["severity"], leak["polluter"]["nodeid"]) == ("error", "test_a.py::test_a")
    assert run.output.count("app.db: sys.modules['app.db'] is the module of") == 2
    assert "modules that were executed before" not in run.output  # fresh="app.svc" would not help


#: A library that asks for something optional: in a function of a submodule, at its top, or before it puts an
#: object into its own place.
_ASKS = "class Config:\n    def __init__(self):\n        try: import zz9\n        except ImportError: zz9 = None\n"
_LIBRARIES = {
    "below": {"lib/conf.py": _ASKS, "lib/__init__.py": "from .conf import Config\nconfig = Config()\n"},
    "itself": {"lib.py": f"{_ASKS}config = Config()\n"},
    "by another object": {"lib.py": f"import sys\n{_ASKS}Config()\nsys.modules[__name__] = Config\n"},
}


@pytest.mark.parametrize(
    ("library", "name"), [("below", "zz9"), ("itself", "lib"), ("by another object", "lib")]
)
def test_who_imports_a_tainted_module_is_not_tainted_itself(suite: Suite, library: str, name: str) -> None:
    run = suite.run(
        {
            **_LIBRARIES[library],
            "sample_1.py": "import lib\n",
            "sample_2.py": "import lib\n",
            "test_a.py": """
                import sys
                sys.modules["zz9"] = {}
                import lib
                def test_a():
                    import sample_1
            """,
            "test_b.py": """
                def test_b():
                    import sample_2
                    raise AssertionError(sample_2.lib)
            """,
        }
    )
    assert [name for kind, name in run.kinds if kind == "tainted"] in (["lib"], [])
    # It is told what it met, and where.
    assert [leak["name"] for leak in run.leaks if leak["exposed"]] == [name]
    assert f"{name}: sys.modules['{name}'] is " in run.output
    assert "imported here at sample_2.py:1" in run.output
