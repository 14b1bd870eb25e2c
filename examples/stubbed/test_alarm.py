import sys
from types import ModuleType

sys.modules["sqlite3"] = ModuleType("sqlite3")  # "there is no database in unit tests"


def test_alarm_needs_no_database():
    assert 1 + 1 == 2
