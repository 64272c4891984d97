"""The rules of vocabularies, their files and their slugs, against the public interface."""

from __future__ import annotations

import json
import pickle
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errseg_model.vocabulary import Vocabulary, VocabularyEntry, VocabularyError, slugs

PRINTABLE = st.characters(exclude_categories=("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"), exclude_characters=",")
PHRASES = st.text(PRINTABLE, min_size=1, max_size=200).filter(lambda text: text.strip() != "")
NAMES = st.lists(PHRASES, min_size=1, max_size=12)
CLASHING = st.lists(st.text("ab2_- é汽", min_size=1, max_size=5), min_size=1, max_size=30)


def key_of(text: str) -> str:
    """The rule of the interface, in other words than the code's: trimmed, case folded, white space folded."""
    return re.sub(r"\s+", " ", text.strip().casefold())


# Entries -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "synonyms"),
    [
        ("car", "car", ()),
        ("car, automobile", "car", ("automobile",)),
        ("  car ,auto,  motor car ", "car", ("auto", "motor car")),
        ("car, ,auto,", "car", ("auto",)),
        ("Traffic  Light", "Traffic  Light", ()),
        ("汽车, 轿车", "汽车", ("轿车",)),
        ("a\u00a0b", "a\u00a0b", ()),
        ("خانه\u200cها", "خانه\u200cها", ()),
        ("👩\u200d🚒", "👩\u200d🚒", ()),
        ("road\n", "road", ()),
        ("x" * 200 + ", " + "y" * 200, "x" * 200, ("y" * 200,)),
    ],
)
def test_an_entry_is_a_name_and_synonyms(text: str, name: str, synonyms: tuple[str, ...]) -> None:
    assert VocabularyEntry.parse(text) == VocabularyEntry(name, synonyms)
    assert (VocabularyEntry.parse(text).name, VocabularyEntry.parse(text).synonyms) == (name, synonyms)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the name of '' is empty"),
        ("  ", "is empty"),
        ("\u200d", "is empty"),
        (", car", "the name of ', car' is empty"),
        ("ca\x07r", r"the name of 'ca\x07r' has the character U+0007"),
        ("ca\tr", "U+0009"),
        ("ca\nr", "U+000A"),
        ("\x7f", "U+007F"),
        ("\x1fcar", "U+001F"),
        ("car\u202e", "U+202E"),
        ("car\u2066", "U+2066"),
        ("car\u2028", "U+2028"),
        ("car\u2029x", "U+2029"),
        ("car\ud800", "U+D800"),
        ("\ufeffcar", "U+FEFF"),
        ("car, auto\x00", r"the synonym 'auto\x00' of 'car, auto\x00' has the character U+0000"),
        ("x" * 201, "has 201 characters; at most 200 are allowed"),
        ("car, " + "y" * 201, "has 201 characters; at most 200 are allowed"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_refused(text: str, expected: str) -> None:
    with pytest.raises(VocabularyError) as caught:
        VocabularyEntry.parse(text)
    assert expected in str(caught.value)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "make",
    [
        lambda: VocabularyEntry(3),  # type: ignore[arg-type]
        lambda: VocabularyEntry("car", "auto"),  # type: ignore[arg-type]
        lambda: VocabularyEntry("car", (1,)),  # type: ignore[arg-type]
        lambda: VocabularyEntry("car, auto"),
        lambda: VocabularyEntry("car", ("",)),
        lambda: VocabularyEntry.parse(None),  # type: ignore[arg-type]
    ],
)
def test_an_entry_cannot_be_built_around_the_rules(make: object) -> None:
    assert callable(make)
    with pytest.raises(VocabularyError):
        make()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Car", " cAR ", True),
        ("traffic light", "Traffic  \u00a0 Light", True),
        ("Straße", "STRASSE", True),
        ("car", "cars", False),
        ("traffic light", "trafficlight", False),
        ("traffic light", "traffic-light", False),
    ],
)
def test_the_key_decides_which_names_are_equal(one: str, other: str, same: bool) -> None:
    assert (VocabularyEntry.parse(one).key == VocabularyEntry.parse(other).key) is same


@given(PHRASES, st.lists(PHRASES, max_size=4))
def test_an_entry_survives_its_text(name: str, synonyms: list[str]) -> None:
    entry = VocabularyEntry(name, tuple(synonyms))
    assert VocabularyEntry.parse(str(entry)) == entry
    assert entry.key == key_of(name)


# Vocabularies --------------------------------------------------------------------------------------


def test_a_vocabulary_keeps_order_and_is_a_value() -> None:
    vocabulary = Vocabulary.parse(["road", "car, automobile", "Sky"])
    assert len(vocabulary) == 3
    assert vocabulary.names == ("road", "car", "Sky")
    assert vocabulary.slugs == ("road", "car", "sky")
    assert vocabulary.to_strings() == ["road", "car, automobile", "Sky"]
    same = Vocabulary.parse(vocabulary.to_strings())
    assert same == vocabulary and hash(same) == hash(vocabulary) and {same: 1}[vocabulary] == 1
    assert pickle.loads(pickle.dumps(vocabulary)) == vocabulary
    assert Vocabulary.parse(["car", "road"]) != Vocabulary.parse(["road", "car"])
    with pytest.raises(AttributeError):
        vocabulary.entries = ()  # type: ignore[misc]


def test_index_finds_a_name_by_its_key() -> None:
    vocabulary = Vocabulary.parse(["road", "Traffic light, lamp", "sky"])
    assert [vocabulary.index(name) for name in ("road", " traffic  LIGHT", "Sky")] == [0, 1, 2]
    with pytest.raises(VocabularyError, match="'lamp' is not in the vocabulary, which has road, Traffic light, sky"):
        vocabulary.index("lamp")


def test_index_error_stays_short() -> None:
    vocabulary = Vocabulary.parse([f"class {number}" for number in range(1000)])
    with pytest.raises(VocabularyError, match="class 19 and 980 more"):
        vocabulary.index("dragon")


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], "a vocabulary has 1 to 1000 entries, this one has 0"),
        ([f"class {number}" for number in range(1001)], "1 to 1000 entries, this one has 1001"),
        (["road", "car", " CAR , auto"], "entry 3: 'CAR' is the same name as 'car', entry 2"),
        (["road", "ca\x07r"], r"entry 2: the name of 'ca\x07r' has the character U+0007"),
        (["road", ""], "entry 2: the name of '' is empty"),
        (["road", None], "entry 2: expected a string such as 'car, automobile', got null"),
        ([True], "entry 1: expected a string such as 'car, automobile', got the bool 'True'"),
        (["road", ["car"]], "entry 2: expected a string such as 'car, automobile', got a value of type list"),
        ("car", "expected a list of entries, got the str 'car'"),
        (b"car", "expected a list of entries, got the bytes"),
        ({"car": 1}, "expected a list of entries, got a value of type dict"),
        (None, "expected a list of entries, got null"),
        (7, "expected a list of entries, got a value of type int"),
    ],
)
def test_a_vocabulary_that_breaks_a_rule_is_refused(entries: object, expected: str) -> None:
    with pytest.raises(VocabularyError) as caught:
        Vocabulary.parse(entries)  # type: ignore[arg-type]
    assert expected in str(caught.value)


@pytest.mark.parametrize("entries", [(), ("car",), (VocabularyEntry("a"), VocabularyEntry("A"))])
def test_a_vocabulary_cannot_be_built_around_the_rules(entries: tuple[VocabularyEntry, ...]) -> None:
    with pytest.raises(VocabularyError):
        Vocabulary(entries)


def test_a_thousand_entries_are_allowed() -> None:
    assert len(Vocabulary.parse(f"class {number}" for number in range(1000))) == 1000


@given(NAMES, st.randoms(use_true_random=False))
def test_acceptance_depends_on_equal_keys_and_not_on_order(names: list[str], shuffler: random.Random) -> None:
    shuffled = list(names)
    shuffler.shuffle(shuffled)
    valid = len({key_of(name) for name in names}) == len(names)
    for order in (names, shuffled):
        if valid:
            vocabulary = Vocabulary.parse(order)
            assert [key_of(name) for name in vocabulary.names] == [key_of(name) for name in order]
            assert Vocabulary.parse(vocabulary.to_strings()) == vocabulary
        else:
            with pytest.raises(VocabularyError, match="is the same name as"):
                Vocabulary.parse(order)


@given(NAMES, st.sampled_from([str.upper, str.lower, lambda name: f"\u2003{name} ", lambda name: name + ", x"]))
def test_a_name_typed_in_another_way_is_a_repetition(names: list[str], retype: object) -> None:
    assert callable(retype)
    again = retype(names[0])
    if key_of(again.split(",")[0]) == key_of(names[0]):  # upper and lower case do not always fold to the same
        with pytest.raises(VocabularyError):
            Vocabulary.parse([*names, again])


# Slugs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["road", "Traffic Light"], ["road", "traffic_light"]),
        (["wall-brick", "traffic sign (front)"], ["wall_brick", "traffic_sign_front_"]),
        (["2 wheeler"], ["c_2_wheeler"]),
        (["a b", "a-b", "a_b"], ["a_b", "a_b_2", "a_b_3"]),
        (["a b", "a-b", "a b 2"], ["a_b", "a_b_2", "a_b_2_2"]),
        (["a b 2", "a b", "a-b", "a+b"], ["a_b_2", "a_b", "a_b_3", "a_b_4"]),
        (["汽车", "行人", "天空"], ["_", "__2", "__3"]),
        (["café"], ["caf_"]),
        (["İ" * 200, "x" * 200], ["i_" * 100, "x" * 200]),
    ],
)
def test_slugs(names: list[str], expected: list[str]) -> None:
    assert list(slugs(names)) == expected


@given(CLASHING)
def test_slugs_are_different_tokens(names: list[str]) -> None:
    result = slugs(names)
    assert len(result) == len(names) == len(set(result))
    assert all(re.fullmatch("[a-z_][a-z0-9_]{0,205}", slug) for slug in result)


@given(NAMES | CLASHING)
def test_slugs_are_valid_in_topic_names(names: list[str]) -> None:
    validate = pytest.importorskip("rclpy.validate_full_topic_name").validate_full_topic_name
    for slug in slugs(names):
        validate(f"/errseg/camera/class_confidence/{slug}")


@settings(deadline=None)
@given(st.lists(st.text(PRINTABLE, min_size=1, max_size=30), min_size=1, max_size=30))
def test_slugs_follow_the_written_rule_where_nothing_repeats(names: list[str]) -> None:
    written = [re.sub("^(?=[0-9])", "c_", re.sub("[^a-z0-9]+", "_", name.lower())) for name in names]
    if len(set(written)) == len(written):
        assert list(slugs(names)) == written


# Files and arguments -------------------------------------------------------------------------------

ENTRIES = ["road", "car, automobile", "汽车", "no"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("v.yaml", "# a comment\n- road\n- car, automobile\n- 汽车\n- 'no'\n"),
        ("v.yml", "\ufeff['road', \"car, automobile\", 汽车, !!str no]"),
        ("V.YAML", '- |\n  road\n- &c car, automobile\n- 汽车\n- "no"'),
        ("v.json", json.dumps(ENTRIES)),
        ("v.json", "\ufeff" + json.dumps(ENTRIES, ensure_ascii=False, indent=1)),
    ],
)
def test_files_are_read(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    assert Vocabulary.read(file) == Vocabulary.read(str(file)) == Vocabulary.parse(ENTRIES)


def yaml_alias_bomb() -> str:
    """Nine lists, each nine times the one before: 9^9 strings if somebody prints or copies them."""
    lines = ["- &a0 [x, x]"]
    lines += [f"- &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 30)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("v.yaml", "", "it is empty"),
        ("v.yaml", "# only a comment\n", "it is empty"),
        ("v.yaml", "[]", "1 to 1000 entries, this one has 0"),
        ("v.yaml", "road", "expected a YAML list of strings ('- road'), got one value"),
        ("v.yaml", "0: road", "expected a YAML list of strings ('- road'), got a mapping"),
        (
            "v.yaml",
            "- road\n- no\n",
            "entry 2 (line 2): 'no' without quotes is a boolean in YAML; write it in quotes",
        ),
        ("v.yaml", "- 12", "entry 1 (line 1): '12' without quotes is a number"),
        ("v.yaml", "- 2024-01-01", "'2024-01-01' without quotes is a date"),
        ("v.yaml", "- ~", "'~' without quotes is null"),
        ("v.yaml", "- road\n-\n", "entry 2 (line 2): it is empty"),
        ("v.yaml", "- sign: stop", "entry 1 (line 1): expected a name, got a mapping"),
        ("v.yaml", "- [road, car]", "entry 1 (line 1): expected a name, got a list"),
        ("v.yaml", "- !!python/object/apply:os.getcwd []", "entry 1 (line 1)"),
        ("v.yaml", "- road\n- 'car\n", "line 3: not YAML"),
        ("v.yaml", "- road\n---\n- car", "line 2: not YAML"),
        ("v.yaml", "- ro\x07ad", "line 1: not YAML: it has the character U+0007"),
        ("v.yaml", "[" * 20_000, "expected a YAML list of strings"),
        ("v.yaml", yaml_alias_bomb(), "entry 1 (line 1): expected a name, got a list"),
        ("v.yaml", "- a: b\n" * 100_000, "expected a YAML list of 1 to 1000 strings, this has more values"),
        ("v.yaml", "- a\n- A", "entry 2: 'A' is the same name as 'a', entry 1"),
        ("v.json", "", "line 1: not JSON"),
        ("v.json", '["road",\n "car"', "line 2: not JSON"),
        ("v.json", "{}", "expected a JSON list of strings, got a value of type dict"),
        ("v.json", '["road", true]', "entry 2: expected a string in quotes, got the bool 'True'"),
        ("v.json", '["road", 3]', "entry 2: expected a string in quotes"),
        ("v.json", '["\\ud800"]', "entry 1: the name of '\\ud800' has the character U+D800"),
        ("v.json", "[" * 200_000, "expected a JSON list of strings"),
        ("v.json", "9" * 10_000, "expected a JSON list of strings"),
        ("v.yaml", b"- road\n- caf\xe9\n", "line 2: the byte 0xe9 is not UTF-8 text"),
        ("v.json", b"\xff\xfe[\x00]\x00", "line 1: the byte 0xff is not UTF-8 text"),
        ("v.yaml", b"- " + b"x" * 1_000_000, "it has more than 1000000 bytes"),
        ("v.txt", "- road", "expected a file that ends in .yaml, .yml, .json"),
        ("v", "- road", "expected a file that ends in .yaml, .yml, .json"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path: Path, name: str, content: str | bytes, expected: str) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(VocabularyError) as caught:
        Vocabulary.read(file)
    assert str(caught.value).startswith(f"vocabulary file {file}: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_huge_file_is_read_no_further_than_a_vocabulary_goes(tmp_path: Path) -> None:
    file = tmp_path / "v.yaml"
    file.write_text("- a\n" * 1000 + "- {a: [b, *unknown, !!python/object:os.x c]}\n" * 20_000)
    with pytest.raises(VocabularyError, match="this has more values"):  # and not what is wrong behind that
        Vocabulary.read(file)
    file.write_text("".join(f"- name {number}\n" for number in range(1000)))
    assert len(Vocabulary.read(file)) == 1000


def test_what_is_no_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(VocabularyError, match="there is no such file"):
        Vocabulary.read(tmp_path / "missing.yaml")
    with pytest.raises(VocabularyError, match="this is a directory"):
        Vocabulary.read(tmp_path / "folder.yaml")
    with pytest.raises(VocabularyError, match="cannot be read"):
        Vocabulary.read(f"{tmp_path}/{'x' * 5000}.yaml")
    with pytest.raises(VocabularyError, match="cannot be read"):
        Vocabulary.read("a\0b.yaml")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("road", ["road"]),
        ("road; car, automobile ;sky;", ["road", "car", "sky"]),
        (" ;; road ; ", ["road"]),
        ("a.yaml; b.json", ["a.yaml", "b.json"]),
        ("St. Bernard", ["St. Bernard"]),
    ],
)
def test_an_argument_lists_entries(text: str, names: list[str]) -> None:
    assert list(Vocabulary.from_argument(text).names) == names


def test_an_argument_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yml").write_text("- road\n- car\n")
    Path("mine.txt").write_text("road\ncar\n")
    assert Vocabulary.from_argument(" mine.yml ").names == ("road", "car")
    with pytest.raises(VocabularyError, match="no such file"):
        Vocabulary.from_argument("other.yaml")
    with pytest.raises(VocabularyError, match=r"mine\.txt: expected a file that ends in"):
        Vocabulary.from_argument("mine.txt")


@pytest.mark.parametrize("text", ["", "  ", ";", " ; ;"])
def test_an_argument_without_entries_is_refused(text: str) -> None:
    with pytest.raises(VocabularyError, match="this one has 0"):
        Vocabulary.from_argument(text)
