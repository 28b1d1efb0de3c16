"""Which folders a report may be written to."""

import json

import pytest

from conflictopt import ConflictOptError
from conflictopt._version import __version__
from conflictopt.cli.report_folder import NAME, check_free, marked


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "report"
    made.mkdir()
    return made


def ours(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(json.dumps(marked({"script": "a.py"})), encoding="utf-8")


def test_a_report_says_whose_it_is():
    assert marked({"script": "a.py"}) == {"conflictopt": __version__, "script": "a.py"}


def test_a_new_or_an_empty_folder_is_free(folder, tmp_path):
    check_free(tmp_path / "new" / "deep")
    check_free(folder)


def test_a_report_of_ours_is_written_over(folder):
    ours(folder)
    (folder / "notes.txt").write_text("beside it")
    check_free(folder)


def test_what_a_stopped_comparison_left_is_written_over(folder):
    ours(folder / "none")
    ours(folder / "ntk")
    check_free(folder)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ConflictOptError, match=r"found other files in it: 'none', 'notes.txt', 'n"):
        check_free(folder)


@pytest.mark.parametrize("text", ["{}", "[]", "3", "no json", '{"script": "a.py"}'])
def test_a_report_of_others_is_refused(folder, text):
    (folder / NAME).write_text(text, encoding="utf-8")
    with pytest.raises(ConflictOptError, match="as a new folder or one with a report"):
        check_free(folder)


def test_many_files_are_counted(folder):
    for number in range(5):
        (folder / f"{number}.txt").write_text("mine")
    with pytest.raises(ConflictOptError, match=r"'1.txt', '2.txt' and 2 more. Name another"):
        check_free(folder)


def test_a_file_is_refused(tmp_path):
    (tmp_path / "report").write_text("mine")
    with pytest.raises(ConflictOptError, match="expected --out as a folder, found a file"):
        check_free(tmp_path / "report")
