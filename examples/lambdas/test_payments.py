import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "payments"))

import index


def test_handler_handles_payments():
    assert index.handler({}) == "payment"
