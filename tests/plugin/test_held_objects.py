"""Isolation takes no module away whose objects something of the project's that stays holds on to."""

from __future__ import annotations

import pytest
from tests.plugin.conftest import Suite

_BASE = """
class Service:
    def __init__(self):
        self._client = None
    def client(self):
        if self._client is None:
            from app.net import Client
            self._client = Client()
        return self._client
"""
#: How a module that stays gets an object of one that a test loads; and how it is asked for.
_HOLDERS = {
    "an attribute of an instance": _BASE + "client = Service().client\n",
    "an attribute of an instance of a class elsewhere": """
        from app.base import Service
        service = Service()
        client = service.client
        """,
    "a slot": """
        class Service:
            __slots__ = ("held",)
            def client(self):
                from app.net import Client
                if not hasattr(self, "held"):
                    self.held = Client()
                return self.held
        service = Service()
        def client():
            return service.client()
        """,
    "a cached property": """
        import functools
        class Service:
            @functools.cached_property
            def held(self):
                from app.net import Client
                return Client()
        service = Service()
        def client():
            return service.held
        """,
    "a function with a cache": """
        import functools
        @functools.lru_cache(maxsize=None)
        def client():
            from app.net import Client
            return Client()
        """,
    "a function with a small cache": """
        import functools
        @functools.lru_cache
        def client():
            from app.net import Client
            return Client()
        """,
    "a container in a container of an instance": """
        class Service:
            def __init__(self):
                self.pools = {"all": [[]]}
            def client(self):
                from app.net import Client
                if not self.pools["all"][0]:
                    self.pools["all"][0].append(Client())
                return self.pools["all"][0][0]
        service = Service()
        def client():
            return service.client()
        """,
    "a namespace and a deque": """
        import collections, types
        state = types.SimpleNamespace(held=collections.deque())
        def client():
            from app.net import Client
            if not state.held:
                state.held.append(Client())
            return state.held[0]
        """,
}
_TEST = """
    from app import svc

    def test_it():
        from app.net import Client
        assert isinstance(svc.client(), Client)

    def test_once_more():
        from app.net import Client
        assert isinstance(svc.client(), Client)
"""


@pytest.mark.parametrize("mode", ["--isolate-imports=file", "--isolate-imports=test"])
@pytest.mark.parametrize("holder", _HOLDERS)
def test_an_object_is_of_the_class_that_is_imported(suite: Suite, holder: str, mode: str) -> None:
    files = {"app/__init__.py": "", "app/base.py": _BASE, "app/net.py": "class Client: pass\n"}
    tests = {"test_a.py": _TEST, "test_b.py": _TEST}
    run = suite.run({**files, "app/svc.py": _HOLDERS[holder], **tests}, mode)
    assert run.outcomes == {"passed": 4}
    assert run.kinds == []


def test_who_holds_the_table_of_modules_or_a_namespace_needs_none_of_them(suite: Suite) -> None:
    holding = """
        import os, sys
        class Registry:
            def __init__(self):
                self.modules = sys.modules
                self.spaces = [vars(os), globals()]
        registry = Registry()
        modules = sys.modules
        """
    test = """
        import holding

        def test_it():
            import app.net
            assert app.net.NUMBERS == []
            app.net.NUMBERS.append(1)
        """
    files = {"app/__init__.py": "", "app/net.py": "NUMBERS = []\n", "holding.py": holding}
    run = suite.run({**files, "test_a.py": test, "test_b.py": test}, "--isolate-imports=test")
    assert run.outcomes == {"passed": 2}
