"""Ids are stable: over any sequence of vocabularies no id changes its name and no name its id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errseg_model.vocabulary import Vocabulary, VocabularyError
from errseg_ros.class_ids import CAPACITIES, ClassIds, ClassIdsExhausted, smallest_encoding

NAMES = [f"class {number}" for number in range(20)]
# Few names in two spellings each, so that vocabularies overlap and repeat names in other words.
VOCABULARIES = st.lists(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=8, unique=True).flatmap(
        lambda names: st.lists(st.booleans(), min_size=len(names), max_size=len(names)).map(
            lambda loud: Vocabulary.parse(
                [f" {name.upper()} , x" if up else name for name, up in zip(names, loud, strict=True)]
            )
        )
    ),
    min_size=1,
    max_size=12,
)


def numbered(count: int, start: int = 0) -> Vocabulary:
    return Vocabulary.parse([f"class {number}" for number in range(start, start + count)])


@pytest.mark.parametrize("encoding", ["mono8", "mono16"])
def test_the_first_vocabulary_counts_from_zero(encoding: str) -> None:
    ids = ClassIds(CAPACITIES[encoding])
    vocabulary = Vocabulary.parse(["road", "car, auto", "sky"])
    assert ids.extend(vocabulary).of(vocabulary) == (0, 1, 2)


@pytest.mark.parametrize(("others", "encoding"), [(254, "mono8"), (255, "mono8"), (256, "mono16")])
def test_mono8_is_taken_as_long_as_it_has_an_id_for_every_name(others: int, encoding: str) -> None:
    assert smallest_encoding([numbered(100), numbered(others), numbered(10, 20)]) == encoding


def test_a_name_keeps_its_id_and_a_lost_id_stays_lost() -> None:
    ids = ClassIds(255).extend(Vocabulary.parse(["road", "car", "sky"]))
    later = Vocabulary.parse(["dog", "  CAR, automobile", "cat"])
    ids = ids.extend(later)
    assert ids.of(later) == (3, 1, 4)
    again = Vocabulary.parse(["sky", "horse", "road"])
    ids = ids.extend(again)
    assert ids.of(again) == (2, 5, 0)
    assert ids.free == 255 - 6


def test_planning_changes_nothing() -> None:
    before = ClassIds(255).extend(Vocabulary.parse(["road"]))
    after = before.extend(Vocabulary.parse(["car"]))
    assert dict(before.ids) == {"road": 0} and dict(after.ids) == {"road": 0, "car": 1}
    with pytest.raises(KeyError):
        before.of(Vocabulary.parse(["car"]))
    with pytest.raises(TypeError):
        after.ids["dog"] = 7  # type: ignore[index]
    with pytest.raises(AttributeError):
        after.capacity = 9  # type: ignore[misc]


def test_the_callers_mapping_is_copied() -> None:
    given_ids = {"road": 0}
    ids = ClassIds(255, given_ids)
    given_ids["car"] = 1
    assert dict(ids.ids) == {"road": 0}


def test_mono8_holds_255_names_and_says_what_to_do_at_the_256th() -> None:
    ids = ClassIds(CAPACITIES["mono8"]).extend(numbered(250))
    assert max(ids.extend(numbered(5, 250)).ids.values()) == 254
    with pytest.raises(ClassIdsExhausted) as caught:
        ids.extend(numbered(8, 248))
    message = str(caught.value)
    assert "6 new names ('class 250'," in message and "5 of 255 are free" in message
    assert "use mask_encoding mono16" in message
    assert isinstance(caught.value, VocabularyError)
    assert ids.of(numbered(250)) == tuple(range(250))


def test_mono16_does_not_advise_itself() -> None:
    full = ClassIds(CAPACITIES["mono16"], {str(number): number for number in range(65535)})
    with pytest.raises(ClassIdsExhausted) as caught:
        full.extend(Vocabulary.parse(["car"]))
    assert "mono16" not in str(caught.value) and "start it again" in str(caught.value)


def test_capacity_is_positive() -> None:
    with pytest.raises(ValueError, match="expected 1 or more, got 0"):
        ClassIds(0)


@given(st.integers(1, 25), VOCABULARIES)
def test_ids_never_change_and_are_never_reused(capacity: int, vocabularies: list[Vocabulary]) -> None:
    ids = ClassIds(capacity)
    history: dict[str, int] = {}  # key to id, kept here on its own
    for vocabulary in vocabularies:
        keys = [entry.key for entry in vocabulary.entries]
        new = [key for key in keys if key not in history]
        if len(history) + len(new) > capacity:
            with pytest.raises(ClassIdsExhausted):
                ids.extend(vocabulary)
        else:
            ids = ids.extend(vocabulary)
            given_now = dict(zip(keys, ids.of(vocabulary), strict=True))
            assert all(given_now[key] == history[key] for key in keys if key in history)
            assert [given_now[key] for key in new] == list(range(len(history), len(history) + len(new)))
            history.update(given_now)
        assert dict(ids.ids) == history
        assert len(set(history.values())) == len(history) and all(0 <= n < capacity for n in history.values())
