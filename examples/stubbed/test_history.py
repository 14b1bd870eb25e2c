from sqlite3 import connect


def test_history_is_empty_at_first():
    assert connect(":memory:").execute("select 1").fetchall() == [(1,)]
