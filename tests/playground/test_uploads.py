"""Files that a page uploads are read within limits, and refused with what to change."""

import csv
import hashlib
import io
import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasinit._src.playground import uploads
from kerasinit._src.playground.uploads import Uploads, parse


def text_of(rows, header=("width", "height", "kind"), delimiter=","):
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter)
    writer.writerows([header, *rows] if header else rows)
    return written.getvalue().encode()


ROWS = [(number / 8, -number, "ab"[number % 2]) for number in range(20)]


def test_a_table_has_features_and_classes():
    content = text_of(ROWS)

    table = parse(content, "my.csv")

    assert table.columns == ("width", "height")
    assert table.x == tuple((float(a), float(b)) for a, b, _ in ROWS)
    assert table.labels == (0, 1) * 10
    assert table.classes == ("a", "b")
    assert table.digest == hashlib.sha256(content).hexdigest()
    assert table.summary() == {
        "name": "my.csv",
        "digest": table.digest,
        "rows": 20,
        "columns": ["width", "height"],
        "classes": ["a", "b"],
    }
    plain = table.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert list(plain) == ["name", "digest", "columns", "x", "labels", "classes"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_ways_to_write_a_file(delimiter, ending, mark):
    content = text_of(ROWS, ("a, b", "c", "d"), delimiter)
    content = mark + content.replace(b"\r\n", ending.encode()) + ending.encode() * 2

    table = parse(content, "my.csv")

    assert table.columns == ("a, b", "c")
    assert table.x == parse(text_of(ROWS), "my.csv").x


@pytest.mark.parametrize("header", ["a;b;c,d,e", '"a;b;c",d,e', "'a;b',c,e", '"a\tb\n;;",d,e'])
def test_a_header_may_have_other_separators_in_it(header):
    table = parse(header.encode() + b"\n" + text_of(ROWS, None), "my.csv")

    assert len(table.columns) == 2
    assert len(table.x) == 20


def test_a_header_may_be_left_out():
    table = parse(text_of(ROWS, None), "my.csv")

    assert table.columns == ("column 1", "column 2")
    assert len(table.x) == 20
    assert parse(text_of(ROWS, ("a", "", "b")), "my.csv").columns == ("a", "column 2")


def test_whole_numbers_are_classes_in_their_order():
    labels = ["10", "2", "-1", "2.0", "1e1"] * 4
    table = parse(text_of([(1, 2, label) for label in labels]), "my.csv")

    assert table.classes == ("-1", "2", "10")
    assert table.labels == (2, 1, 0, 1, 2) * 4


HEADER = b"a,b,c\n"
GOOD = b"".join(b"1,2,%d\n" % (number % 2) for number in range(20))


REFUSED = [
    (b"", "my.csv is empty. Expected columns of numbers"),
    (b"\n \n,,\n", "my.csv is empty"),
    (b"\xff\xfe1\x00", "not UTF-8 text (byte 0 is 0xff). Save it as CSV"),
    (GOOD + b"\0", "zero bytes"),
    (b'"a\n' + GOOD, "no valid CSV: unexpected end of data"),
    (b'1,"2"3,0\n' + GOOD, "no valid CSV"),
    (HEADER + GOOD + b"1,tall,0\n", "Line 22 of my.csv has 'tall' in 'b'; expected a finite"),
    (GOOD + b"1,tall,0\n", "Line 21 of my.csv has 'tall' in 'column 2'; expected a finite"),
    (b"1,tall,0\n" + GOOD, "Line 1 of my.csv has 'tall' in 'column 2'"),
    (HEADER + GOOD + b"1,,0\n", "Line 22 of my.csv has '' in 'b'"),
    (HEADER + GOOD + b"nan,1,0\n", "has 'nan' in 'a'; expected a finite number"),
    (HEADER + GOOD + b"1,-inf,0\n", "has '-inf' in 'b'"),
    (HEADER + GOOD + b"1,1e999,0\n", "has '1e999' in 'b'"),
    (HEADER + GOOD + b"1_0,1,0\n", "has '1_0' in 'a'"),
    (HEADER + GOOD + b"__import__('os'),1,0\n", "has \"__import__('os')\" in 'a'"),
    (b"1,5;2,5;a\n" * 20, "has '1,5' in 'column 1'; expected a finite number, with a decimal"),
    (HEADER + GOOD + b"1,2\n", "Line 22 of my.csv has 2 cells; expected 3, as in line 1."),
    (HEADER + GOOD + b"1,2,0,0\n", "Line 22 of my.csv has 4 cells"),
    (HEADER + GOOD + b"1,2,\n", "Line 22 of my.csv has no class"),
    (HEADER + GOOD + b"1,2,0.5\n", "Line 22 of my.csv has the class 0.5; expected a whole"),
    (HEADER + GOOD + b"1,2,nan\n", "Line 22 of my.csv has the class nan"),
    (HEADER + GOOD + b"1,2,1e300\n", "Line 22 of my.csv has the class 1e300"),
    (b"1,a\n" * 20, "Expected from 2 to 64 columns before the last in my.csv; got 1."),
    (b"1\n" * 20, "columns before the last in my.csv; got 0."),
    (b"1," * 65 + b"0\n", "Expected from 2 to 64 columns before the last in my.csv; got 65."),
    (b"1,2,0\n" * 19, "Expected from 20 to 5,000 rows of examples in my.csv; got 19."),
    (HEADER + b"1,2,0\n" * 19, "rows of examples in my.csv; got 19."),
    (
        GOOD * 250 + b"1,2,0\n",
        "Expected from 20 to 5,000 rows of examples in my.csv; got 5,001",
    ),
    (GOOD * 300, "my.csv has more than 5,000 rows"),
    (b"1,2,0\n" * 20, "has 1 different values, such as 0; expected from 2 to 10 classes"),
    (
        b"".join(b"1,2,%d\n" % number for number in range(20)),
        "has 20 different values, such as 0, 1, 10; expected from 2 to 10 classes",
    ),
    (HEADER + b"1,2," + b"x" * 201 + b"\n", "Line 2 of my.csv has a cell of 201 characters"),
    (b"x" * 200_000, "no valid CSV: field larger than field limit"),
    (b"1,2,0\n" * 200_000, "my.csv has more than 1,000 kB, the limit of an upload"),
]


@pytest.mark.parametrize(("content", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_is_no_table_is_refused(content, words):
    with pytest.raises(ValueError, match=re.escape(words)) as refused:
        parse(content, "my.csv")

    assert len(str(refused.value)) < 400


def test_tables_at_the_limits_are_read():
    parse(GOOD, "least.csv")
    assert len(parse(HEADER + GOOD * 250, "most.csv").x) == 5000
    wide = b"".join(b"1," * 64 + b"%d\n" % (number % 10) for number in range(20))
    assert len(parse(wide, "wide.csv").classes) == 10
    # A worker reads lines of up to 8 MB.
    row = b",".join([b"9e15"] * 64)
    full = b"".join(row + b",%d\n" % (number % 2) for number in range(3000))
    assert len(full) < uploads.MAX_BYTES
    assert len(json.dumps(parse(full, "full.csv").to_dict())) < 6_000_000


@pytest.mark.parametrize("name", ["", "\n\0", "x" * 1000])
def test_a_name_is_shortened(name):
    assert 0 < len(parse(GOOD, name).name) <= 200


finite = st.floats(allow_nan=False, allow_infinity=False)
# With as many semicolons as there are commas, a line could be read either way.
# With as many semicolons as there are commas, a line could be read either way.
characters = st.characters(exclude_categories=["C", "Z"], exclude_characters=";")
names = st.text(characters, min_size=1, max_size=8).filter(
    lambda name: not _is_number(name.replace(",", "."))
)


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


@given(st.data())
def test_whatever_is_written_is_read(data):
    features = data.draw(st.integers(2, 5))
    classes = data.draw(st.lists(names, min_size=2, max_size=10, unique=True))
    row = st.tuples(*[finite] * features, st.sampled_from(classes))
    rows = data.draw(st.lists(row, min_size=20, max_size=30))
    rows[:2] = [(*rows[0][:-1], classes[0]), (*rows[1][:-1], classes[1])]
    header = data.draw(st.none() | st.tuples(*[names] * (features + 1)))

    table = parse(text_of(rows, header), "my.csv")

    assert table.x == tuple(row[:-1] for row in rows)
    assert [table.classes[label] for label in table.labels] == [row[-1] for row in rows]
    assert list(table.classes) == sorted({row[-1] for row in rows})
    assert header is None or table.columns == header[:-1]


# Snippets that files are made of, so that many come near to a table.
pieces = st.sampled_from(
    [
        "1",
        "-2.5",
        "a",
        ",",
        ";",
        "\t",
        "\n",
        "\r\n",
        '"',
        " ",
        "nan",
        "\ufeff",
        "\0",
        "é",
        "1,2,a\n",
    ]
)


@given(st.lists(pieces, max_size=60).map("".join), st.booleans())
def test_any_text_is_a_table_or_refused(text, with_rows):
    content = (text + "1,2,a\n1,3,b\n" * 10 * with_rows).encode()
    try:
        table = parse(content, "my.csv")
    except ValueError as error:
        if "my.csv" not in str(error):
            raise
        return
    assert 20 <= len(table.x) == len(table.labels)
    assert all(math.isfinite(number) for row in table.x for number in row)
    assert {len(row) for row in table.x} == {len(table.columns)}
    assert set(table.labels) == set(range(len(table.classes)))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(content):
    with pytest.raises(ValueError, match=r"my\.csv"):
        parse(content, "my.csv")


def test_the_oldest_of_nine_uploads_is_dropped():
    kept = Uploads()
    tables = [parse(GOOD + b"%d,2,0\n" % number, "my.csv") for number in range(9)]
    for table in tables[:8]:
        kept.add(table)
    # Uploaded again, the first is the latest.
    kept.add(tables[0])
    kept.add(tables[8])

    assert kept.get(tables[1].digest) is None
    assert [kept.get(table.digest) for table in tables[2:]] == tables[2:]
    assert kept.get(tables[0].digest) == tables[0]
    assert kept.get(None) is None
    assert kept.get([1]) is None
