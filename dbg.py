import pytest
def pytest_sessionstart(session):
    for i in session.config.hook.pytest_runtest_makereport.get_hookimpls(): print(i.plugin_name, i.wrapper, i.tryfirst, i.trylast)
