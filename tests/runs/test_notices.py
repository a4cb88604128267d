"""What workers wait for becomes one event when it begins and one when it is over."""

import msgspec

from vlmeval_mp.core.records import Notice
from vlmeval_mp.runs.notices import NoticeLog, brief, sentence

AWAY = Notice("http://h/v1 cannot be reached", "http://h/v1 is back", since=100.0, most=300.0, why="refused")


def test_the_sentence_says_for_how_long_why_and_until_when():
    assert sentence(AWAY, 112.4) == "http://h/v1 cannot be reached for 12 s (refused); waiting up to 300 s"
    assert sentence(msgspec.structs.replace(AWAY, why=""), 90.0).startswith("http://h/v1 cannot be reached for 0 s;")


def test_a_row_begins_with_what_an_address_would_hide():
    assert brief(AWAY, 112.4) == "waiting 12 of 300 s: http://h/v1 cannot be reached (refused)"


def test_each_is_said_once_with_its_end_whatever_its_words_become():
    log = NoticeLog()
    said = [f"w0: {sentence(AWAY, 104)}"]
    assert list(log.changes({"w0": AWAY, "w1": None}, 104)) == [(said[0], "warning")]
    assert list(log.changes({"w0": msgspec.structs.replace(AWAY, text="http://h/v1 is busy"), "w1": None}, 105)) == []
    assert list(log.changes({"w0": None, "w1": None}, 134)) == [("w0: http://h/v1 is back after 34 s", "info")]
    assert list(log.changes({"w0": None, "w1": None}, 135)) == []


def test_a_second_one_that_follows_at_once_is_another():
    log = NoticeLog()
    list(log.changes({"w0": AWAY}, 104))
    levels = [level for _, level in log.changes({"w0": msgspec.structs.replace(AWAY, since=150.0)}, 155)]
    assert levels == ["info", "warning"]


def test_what_a_dead_worker_waited_for_is_not_over():
    log = NoticeLog()
    list(log.changes({"w0": AWAY}, 104))
    assert list(log.changes({}, 110)) == []
    assert [level for _, level in log.changes({"w0": AWAY}, 111)] == ["warning"]
