import sys


def test_shop_does_not_load_xmlrpc():
    import shop  # noqa: F401

    assert "xmlrpc.client" not in sys.modules
