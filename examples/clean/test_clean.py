import os
import sys

import pytest

HERE = os.path.dirname(__file__)
EXAMPLES = os.path.dirname(HERE)


@pytest.mark.isolated_imports(fakes={"sqlite3": {}})
def test_alarm_needs_no_database():
    import sqlite3

    assert not hasattr(sqlite3, "connect")


def test_history_is_empty_at_first():
    from sqlite3 import connect

    assert connect(":memory:").execute("select 1").fetchall() == [(1,)]


@pytest.mark.isolated_imports(path=[os.path.join(EXAMPLES, "lambdas", "orders")])
def test_handler_handles_orders():
    import index

    assert index.handler({}) == "order"


@pytest.mark.isolated_imports(path=[os.path.join(EXAMPLES, "lambdas", "payments")])
def test_handler_handles_payments():
    import index

    assert index.handler({}) == "payment"


@pytest.mark.isolated_imports(path=[os.path.join(EXAMPLES, "guards")])
def test_rows_are_exported():
    import shop

    assert "<int>1</int>" in shop.export([1])


@pytest.mark.isolated_imports(path=[os.path.join(EXAMPLES, "guards")], unloaded="*")
def test_shop_does_not_load_xmlrpc():
    import shop  # noqa: F401

    assert "xmlrpc.client" not in sys.modules
