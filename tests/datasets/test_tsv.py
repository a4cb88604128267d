from __future__ import annotations

import csv
import hashlib
import io
import random
import re
from pathlib import Path

import pandas as pd
import pytest

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.datasets.tsv import Reader, Row


def rows_of(data: bytes) -> list[Row]:
    return list(Reader(io.BytesIO(data), Path("set.tsv")))


def table(data: bytes) -> list[dict[str, str]]:
    return [{column: cell.decode() for column, cell in row.cells.items()} for row in rows_of(data)]


def refusal(data: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        rows_of(data)
    return str(caught.value)


def test_plain_rows_are_read_with_their_number_and_index() -> None:
    rows = rows_of(b"index\tquestion\na7\tWhy?\n004\tHow?\n")
    assert [(row.number, row.index) for row in rows] == [(1, "a7"), (2, "004")]
    assert rows[1].cells == {"index": b"004", "question": b"How?"}


def test_what_pandas_writes_is_read_back_exactly() -> None:
    alphabet = ["a", '"', "\t", "\n", "'", "\\", ",", "é", "猫", " ", "None", ""]
    draw = random.Random(7)
    frame = pd.DataFrame(
        {
            "index": [str(i) for i in range(300)],
            "question": ["q" + "".join(draw.choices(alphabet, k=draw.randrange(9))) for _ in range(300)],
            "answer": ["".join(draw.choices(alphabet, k=draw.randrange(9))) for _ in range(300)],
        }
    )
    assert table(frame.to_csv(sep="\t", index=False).encode()) == frame.to_dict("records")


def test_byte_order_mark_and_windows_line_ends_are_accepted() -> None:
    assert table(b"\xef\xbb\xbfindex\tquestion\r\n1\tWhy?\r\n") == [{"index": "1", "question": "Why?"}]


def test_empty_lines_between_rows_are_no_rows() -> None:
    assert len(rows_of(b"index\tquestion\n\n1\tWhy?\n\n2\tHow?\n\n")) == 2


def test_the_last_row_needs_no_newline() -> None:
    assert table(b"index\tquestion\n1\tWhy?") == [{"index": "1", "question": "Why?"}]


def test_words_that_pandas_takes_for_missing_stay_text() -> None:
    assert [row["question"] for row in table(b"index\tquestion\n1\tNone\n2\tNA\n3\tnan\n4\tnull\n")] == [
        "None",
        "NA",
        "nan",
        "null",
    ]


def test_a_quote_inside_a_field_is_a_character() -> None:
    assert table(b'index\tquestion\n1\tHe said "hi\n2\tHow?\n')[0]["question"] == 'He said "hi'


def test_the_digest_is_that_of_the_file() -> None:
    data = b'\xef\xbb\xbfindex\tquestion\r\n1\t"a\nb"\r\n\r\n2\tb'
    reader = Reader(io.BytesIO(data), Path("set.tsv"))
    list(reader)
    assert reader.digest == hashlib.sha256(data).hexdigest()


def test_a_damaged_file_is_refused_or_read_as_the_csv_module_reads_it_and_a_sound_one_never_refused() -> None:
    draw = random.Random(1)
    outcomes = {"sound": 0, "refused": 0, "read": 0}
    for _ in range(3000):
        buffer = io.StringIO()
        texts = ["".join(draw.choices('ab "\t\n', k=draw.randrange(1, 6))) for _ in range(5)]
        rows = [["index", "question", "answer"], *([str(i), text, "x"] for i, text in enumerate(texts))]
        csv.writer(buffer, delimiter="\t", lineterminator="\n").writerows(rows)
        sound = text = buffer.getvalue()
        for _ in range(draw.randrange(3)):
            place = draw.randrange(25, len(text))
            text = text[:place] + draw.choice(['"', "", "\t", "\n"]) + text[place + draw.randrange(2) :]
        try:
            found = [list(row.values()) for row in table(text.encode())]
        except ConfigError:
            assert text != sound
            outcomes["refused"] += 1
            continue
        assert found == [row for row in csv.reader(io.StringIO(text, newline=""), delimiter="\t") if row][1:]
        outcomes["sound" if text == sound else "read"] += 1
    assert min(outcomes.values()) > 300


# --- refusals --------------------------------------------------------------------------------------------------


def test_stray_quotes_that_would_swallow_rows_are_refused() -> None:
    lines = [f"{i}\tquestion {i}\tanswer {i}" for i in range(10)]
    lines[3] = '3\t"question 3\tanswer 3'
    lines[7] = '7\tquestion 7"\tanswer 7'
    data = ("index\tquestion\tanswer\n" + "\n".join(lines) + "\n").encode()
    assert len(pd.read_csv(io.BytesIO(data), sep="\t")) == 6  # what the refusal protects from
    message = refusal(data)
    assert "set.tsv: row 4 (index '3'), column 'question'" in message
    assert "4 more row(s)" in message


def test_a_stray_quote_that_swallows_one_row_is_refused() -> None:
    data = b'index\tquestion\tanswer\n1\t"a\tx\n2\tb"\ty\n3\tc\tz\n'
    assert "row 1 (index '1'), column 'question': a stray quote" in refusal(data)


@pytest.mark.parametrize("question", ["Which?\nYear\tSales\tProfit\n2001\t5\t6\n2002\t7\t8", "\t\nb \t", "a\tb\nc\td"])
def test_lines_and_tabs_inside_a_question_are_no_stray_quote(question: str) -> None:
    frame = pd.DataFrame({"index": ["1"], "question": [question], "answer": ["2001"]})
    assert table(frame.to_csv(sep="\t", index=False).encode())[0]["question"] == question


def test_two_stray_quotes_that_open_fields_are_refused() -> None:
    message = refusal(b'index\tquestion\tanswer\n1\ta\tx\n2\t"b\ty\n3\t"c\tz\n')
    assert "row 2 (index '2'), column 'question'" in message
    assert "text follows the quote" in message


def test_a_quote_that_is_never_closed_is_refused() -> None:
    assert "row 2 (index '2'), column 'question': a quote opens this field and is never closed" in refusal(
        b'index\tquestion\n1\ta\n2\t"b\n3\tc\n'
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"set\.tsv: is empty"),
        (b"index\tquestion\n", r"set\.tsv: has a header but no rows"),
        (b"index,question\n1,Why?\n", r"not separated by tabs \(its header seems separated by commas\)"),
        (b"question\nWhy?\n", r"not separated by tabs \(its only column is 'question'\)"),
        (b"id\tquestion\n1\tWhy?\n", r"has no column 'index'; its columns are id, question"),
        (b"index\timage\n1\tWhy?\n", r"has no column 'question'"),
        (b"index\tquestion\tquestion\n1\ta\tb\n", r"more than one column 'question'"),
        (b"index\tquestion\n1\ta\n1\tb\n", r"row 2 \(index '1'\), column 'index': is also that of row 1"),
        (b"index\tquestion\n\ta\n", r"row 1, column 'index': is empty"),
        (b"index\tquestion\n1\ta\n2\tb\tc\n", r"row 2 \(index '2'\): has 3 fields, but the header has 2"),
        (b"index\tquestion\n1\ta\n2\n", r"row 2 \(index '2'\): has 1 fields, but the header has 2"),
        (b"\xff\xfei\0n\0d\0e\0x\0\t\0q\0", r"header: is not UTF-8 \(byte 0xff\); save the file as UTF-8"),
    ],
)
def test_a_malformed_file_is_refused_with_row_column_and_next_step(data: bytes, message: str) -> None:
    assert re.search(message, refusal(data))


def test_a_cell_that_is_not_utf8_is_refused_when_it_is_read() -> None:
    reader = Reader(io.BytesIO(b"index\tquestion\n1\tcaf\xe9\n"), Path("set.tsv"))
    (row,) = reader
    with pytest.raises(ConfigError, match=r"row 1 \(index '1'\), column 'question': is not UTF-8 \(byte 0xe9\)"):
        reader.text(row, "question")


def test_a_field_longer_than_the_csv_module_allows_is_read() -> None:
    long = "x" * (4 << 17)  # four times the limit that the csv module starts with
    assert table(f'index\tquestion\n1\t"{long}"\n'.encode())[0]["question"] == long
