import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "orders"))

import index


def test_handler_handles_orders():
    assert index.handler({}) == "order"
