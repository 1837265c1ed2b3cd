"""Files of other people, read without trust."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visavis.corpora._disk_read import (
    npy_frames,
    npy_shape,
    read_npy,
    read_numbers,
    read_table,
)
from visavis.corpora._disk_root import PIECE, WHOLE, digest
from visavis.errors import InputError


@pytest.mark.parametrize("shape", [(7, 58), (7, 1, 58), (1, 7, 58), (1, 58)])
def test_axes_of_one_are_taken_away(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).random(shape)
    np.save(tmp_path / "a.npy", values)
    found = read_npy(tmp_path / "a.npy", width=58)
    assert found.dtype == np.float32
    assert np.array_equal(found, values.reshape(-1, 58).astype(np.float32))
    assert npy_frames(tmp_path / "a.npy", width=58) == len(found)
    assert npy_shape(tmp_path / "a.npy") == shape


def test_columns_first_and_other_types_read_as_numpy_does(tmp_path: Path) -> None:
    for array in (
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(6, dtype=">i2").reshape(2, 3),
        np.array([[True, False]]),
        np.float64(3.0) * np.ones(()),
    ):
        np.save(tmp_path / "a.npy", array)
        assert np.array_equal(read_npy(tmp_path / "a.npy"), np.load(tmp_path / "a.npy"))


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    np.save(tmp_path / "a.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    for read in (read_npy, npy_shape):
        with pytest.raises(InputError, match="pickled"):
            read(tmp_path / "a.npy")
    assert not (tmp_path / "exploded").exists()


def test_a_header_that_promises_too_much_costs_no_memory(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 25), }"
    header += b" " * (117 - len(header)) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + header)
    with pytest.raises(InputError, match="cut off"):
        read_npy(tmp_path / "a.npy", width=25)


@pytest.mark.parametrize("content", [b"", b"x", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x05\x00{'a'}"])
def test_what_is_no_array_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npy is not an npy file"):
        read_npy(tmp_path / "a.npy")


def test_text_in_an_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(["x"]))
    with pytest.raises(InputError, match="wanted numbers"):
        read_npy(tmp_path / "a.npy")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_of_any_country_are_read(tmp_path: Path, separator: str) -> None:
    text = f'\ufeffname{separator}who\r\n a {separator}"b,;c"\r\n\r\n'
    (tmp_path / "a.csv").write_text(text, "utf-8")
    assert read_table(tmp_path / "a.csv", columns=("who",)) == [{"name": "a", "who": "b,;c"}]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1\n", "line 2: 1 cells, but the header has 2"),
        ("a,a\n1,2\n", "names a column twice: a"),
        ("a,c\n1,2\n", "no column 'b'"),
        ("\n\n", "is empty; wanted a header line with b"),
    ],
)
def test_a_wrong_table_says_where(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=says):
        read_table(tmp_path / "a.csv", columns=("b",) if "twice" not in says else ())


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("name\nJörg\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"a\.csv is not UTF-8"):
        read_table(tmp_path / "a.csv")


def test_numbers_with_and_without_a_header_and_with_gaps(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,2\n3,\n,nan\n")
    labels, values = read_numbers(path)
    assert labels == ("x", "y")
    assert np.array_equal(
        values, np.array([[1, 2], [3, np.nan], [np.nan, np.nan]], np.float32), equal_nan=True
    )
    path.write_text("1;2\r\n3;4\r\n")
    assert read_numbers(path)[0] == ()
    assert read_numbers(path)[1].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x,y\n1,z\n", "not a table of numbers"),
        ("x,y\n1,2\n3\n", "not a table of numbers"),
        ("x,y\n", "no rows"),
        ("", "no rows"),
        ("x,y\n1,2\n", "2 columns, wanted 25"),
        ("x,y,z\n1,2\n", "header has 3 cells, the rows 2"),
    ],
)
def test_wrong_numbers_say_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=says):
        read_numbers(tmp_path / "a.csv", width=25 if "wanted" in says else None)


def test_a_digest_is_of_content_alone(tmp_path: Path) -> None:
    one, two = tmp_path / "a", tmp_path / "b"
    one.write_bytes(b"same")
    two.write_bytes(b"same")
    assert digest(one) == digest(two)
    two.write_bytes(b"else")
    assert digest(one) != digest(two)
    large = bytearray(WHOLE + 3 * PIECE)
    one.write_bytes(large)
    before = digest(one)
    for place in (0, len(large) - 1):
        large[place] ^= 1
        one.write_bytes(large)
        assert digest(one) != before
        large[place] ^= 1
