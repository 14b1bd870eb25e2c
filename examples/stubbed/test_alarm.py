import sys
from types import ModuleType

sys.modules["smtplib"] = ModuleType("smtplib")  # "nothing is mailed in unit tests"


def test_alarm_sends_no_mail():
    assert 1 + 1 == 2
