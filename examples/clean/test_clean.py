import os
import sys

import pytest

HERE = os.path.dirname(__file__)
EXAMPLES = os.path.dirname(HERE)


@pytest.mark.isolated_imports(fakes={"smtplib": {}})
def test_alarm_sends_no_mail():
    import smtplib

    assert not hasattr(smtplib, "SMTP")


def test_mail_goes_to_the_usual_port():
    from smtplib import SMTP

    assert SMTP.default_port == 25


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
