"""JSON files: written whatever text they hold, and refused by name."""

import msgspec
import pytest

from vlmeval_mp.core import jsonfiles
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import Event, Notice, Prediction, SupervisorStatus


def test_half_a_surrogate_pair_never_keeps_a_record_from_being_written():
    status = SupervisorStatus(
        pid=1, owner="o", phase="working", time=0.0, started=0.0, events=(Event(time=0.0, text="no \udcff.tsv \u00e4"),)
    )
    read = msgspec.json.decode(jsonfiles.encode(status), type=SupervisorStatus)
    assert read.events[0].text == "no ?.tsv \u00e4"
    assert jsonfiles.encode({"\ud800": ["\udfff", 1]}) == b'{"?":["?",1]}'


def test_a_record_without_such_text_is_encoded_as_ever():
    event = Event(time=1.5, text="\u00e4")
    assert jsonfiles.encode(event) == msgspec.json.encode(event)


def test_lines_are_added_whatever_text_they_hold_and_a_place_that_takes_none_is_named(tmp_path):
    path = tmp_path / "lines.jsonl"
    jsonfiles.append_lines(path, [{"n": 1}, {"n": "no \udcff"}])
    jsonfiles.append_lines(path, [])
    jsonfiles.append_lines(path, [{"n": 3}])
    assert path.read_text() == '{"n":1}\n{"n":"no ?"}\n{"n":3}\n'
    with pytest.raises(StorageError, match=f"cannot write {tmp_path}: "):
        jsonfiles.append_lines(tmp_path, [{}])


def test_a_file_of_another_kind_is_named_and_a_missing_one_is_told_apart(tmp_path):
    path = tmp_path / "status.json"
    with pytest.raises(FileNotFoundError):
        jsonfiles.read(path, SupervisorStatus)
    for content in (b"{", b'{"pid": "x"}', b'"\xff"'):
        path.write_bytes(content)
        with pytest.raises(StorageError, match=r"status\.json cannot be read: "):
            jsonfiles.read(path, SupervisorStatus)
    path.write_bytes(b'{"time":1.0,"text":"t"}')
    assert jsonfiles.read(path, Event).text == "t"


def test_advice_ends_the_message_and_what_is_not_whole_may_be_none(tmp_path):
    path = tmp_path / "event.json"
    assert jsonfiles.read_if_whole(path, Event) is None
    path.write_bytes(b'{"time":')
    assert jsonfiles.read_if_whole(path, Event) is None
    with pytest.raises(StorageError, match=r"event\.json cannot be read: .*; delete it$"):
        jsonfiles.read(path, Event, "delete it")
    path.write_bytes(b'{"time":1.0,"text":"t"}')
    assert jsonfiles.read_if_whole(path, Event) == Event(time=1.0, text="t")


def test_of_several_files_those_that_can_be_read_are_returned(tmp_path):
    (tmp_path / "a.json").write_text('{"text": "a", "over": "", "since": 1, "most": 2}')
    (tmp_path / "b.json").write_text('{"text": "b", "ov')
    found = jsonfiles.read_listed([tmp_path / f"{name}.json" for name in "abc"], Notice)
    assert [notice.text for notice in found] == ["a"]


def test_an_imported_answer_names_its_file_as_earlier_versions_did():
    line = msgspec.json.encode(Prediction("1", 0, "B", imported_from="/a.xlsx"))
    assert line == b'{"index":"1","row":0,"prediction":"B","source":"/a.xlsx"}'
    assert msgspec.json.decode(line, type=Prediction).imported_from == "/a.xlsx"
