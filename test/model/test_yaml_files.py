"""YAML files that a user names: the content, or one line that says which file it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from errseg_model import InputError
from errseg_model.datasets.specification import DatasetError
from errseg_model.yaml_files import read_yaml


def test_the_content_is_returned(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text("sky: [heavens, 'été']\n", encoding="utf-8")
    assert read_yaml(tmp_path / "words.yaml") == {"sky": ["heavens", "été"]}


def test_a_key_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text("a: {7: road}\nb: {7: road, 8: sky, 7: car}\n")
    with pytest.raises(InputError, match=r"classes\.yaml cannot be read as YAML: the key 7 is there twice .*line 2"):
        read_yaml(path)
    path.write_text("a: &a {7: road}\nb: {<<: *a, 7: car}\n")
    assert read_yaml(path)["b"] == {7: "car"}


@pytest.mark.parametrize(
    "content",
    [b"sky: [", b"\xff\xfe\xff", b"7: 2024-13-45", b"[" * 5000, None],
    ids=["broken", "not UTF-8", "no date", "deep", "absent"],
)
def test_a_file_that_cannot_be_read_is_one_line_that_names_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "words.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as plain:
        read_yaml(path)
    assert str(plain.value).startswith(f"{path} cannot be read as YAML: ") and "\n" not in str(plain.value)
    with pytest.raises(DatasetError) as named:
        read_yaml(path, "labels", DatasetError)
    assert str(named.value) == f"labels {plain.value}"
