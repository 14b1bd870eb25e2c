import shop


def test_rows_are_exported():
    assert "<int>1</int>" in shop.export([1])
