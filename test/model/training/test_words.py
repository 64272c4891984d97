"""The words of training, and that those of evaluation are not among them."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from errseg_model import InputError
from errseg_model.benchmark_accuracy import CROWDS
from errseg_model.datasets.camvid import CAMVID, CLASSES
from errseg_model.datasets.class_lists import packaged
from errseg_model.text.minilm import MiniLMTextTower
from errseg_model.training.prototypes import imagenet_names
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.words import NO_CLASS, Words, WordSampler, other_names
from errseg_model.vocabulary import VocabularyEntry

CONFIG = Path(__file__).parents[3] / "config"
EVALUATED = [path.stem for path in (CONFIG / "evaluation").glob("camvid_*_words.yaml")]
TRAINED = CONFIG / "training" / "driving_words.yaml"


def keys(phrases: list[str]) -> set[str]:
    """Phrases without case, hyphens, articles and plurals."""
    return {
        re.sub(r"[^a-z]", "", " ".join(word.rstrip("s") for word in phrase.lower().split() if word not in ("a", "the")))
        for phrase in phrases
    }


@pytest.fixture(scope="module")
def lists() -> dict[str, set[str]]:
    content = yaml.safe_load(TRAINED.read_text())
    found = {
        name: keys(list(yaml.safe_load((CONFIG / "evaluation" / f"{name}.yaml").read_text()).values()))
        for name in EVALUATED
    }
    unrelated = content.pop("unrelated")
    trained = [phrase for part in content.values() for phrases in part.values() for phrase in phrases]
    return {"trained": keys(trained), "unrelated": keys(unrelated), **found}


def test_no_word_of_evaluation_is_in_another_list(lists: dict[str, set[str]]) -> None:
    assert {len(lists[name]) for name in EVALUATED} == {len(CLASSES)}
    assert len(lists["trained"]) > 300
    for first, second in itertools.combinations(lists, 2):
        assert not lists[first] & lists[second], (first, second)


def test_large_vocabularies_are_measured_with_names_that_no_training_heard(lists: dict[str, set[str]]) -> None:
    measured = [packaged(name)(Path()).vocabulary for names in CROWDS.values() for name in names]
    assert len(lists["unrelated"]) > 800
    assert not lists["unrelated"] & keys([name for vocabulary in measured for name in vocabulary.names])


def test_an_unrelated_word_is_no_name_of_imagenet() -> None:
    """Those are drawn too, and stand for what its classifier says."""
    assert not {*Words.read(TRAINED, CLASSES, ()).unrelated} & {*imagenet_names()}


def test_no_sealed_word_is_a_class_of_imagenet(lists: dict[str, set[str]]) -> None:
    """The towers' prototypes are trained under those names."""
    assert not lists["camvid_sealed_words"] & keys(list(imagenet_names()))


def test_a_class_is_no_word_of_evaluation(lists: dict[str, set[str]]) -> None:
    assert not keys(list(CLASSES)) & (lists["camvid_other_words"] | lists["camvid_sealed_words"])


@pytest.fixture(scope="module")
def tower() -> MiniLMTextTower:
    return MiniLMTextTower()


@pytest.fixture
def sampler(recipe: TrainingRecipe, tower: MiniLMTextTower) -> WordSampler:
    few = dataclasses.replace(recipe, distractors=20, compounds=0, word_noise=0.3)
    return WordSampler(Words.read(TRAINED, CLASSES, ()), few, tower, 384)


def test_words_are_drawn_anew_and_mark_their_relatives(sampler: WordSampler) -> None:
    first, second = sampler.draw(np.random.default_rng(1)), sampler.draw(np.random.default_rng(2))
    assert first.class_of[:23].tolist() == [*range(11), *[NO_CLASS] * 12] and len(first.entries) == 31
    assert [entry[0] for entry in first.entries[23:]] == [imagenet_names()[label - 12] for label in first.class_of[23:]]
    assert first.entries[:11] != second.entries[:11]
    assert ((first.relatives_of >= 0).any(1) == torch.tensor([False] * 11 + [True] * 6 + [False] * 14)).all()
    unrelated = set(Words.read(TRAINED, CLASSES, ()).unrelated)
    assert [entry[0] in unrelated for entry in first.entries[17:]] == [True] * 6 + [False] * 8
    again = sampler.draw(np.random.default_rng(1))
    assert again.entries == first.entries and torch.equal(again.uniform, first.uniform)
    assert first.uniform.shape == (31,) and not torch.equal(first.uniform, second.uniform)
    assert 0 < first.uniform.min() < 0.2 and 0.8 < first.uniform.max() <= 1
    assert first.shift is not None and again.shift is not None and torch.equal(again.shift, first.shift)
    assert first.shift.norm(dim=1).max() <= 0.3 and first.shift.norm(dim=1).max() > 0.2
    assert first.name_shift.shape == (1000, 384) and 0.9 < first.name_shift.norm(dim=1).max() <= 1
    assert {phrase for entry in first.entries for phrase in entry} <= set(sampler.phrases)


def test_a_word_that_is_close_to_two_classes_is_one_entry(recipe: TrainingRecipe, tower: MiniLMTextTower) -> None:
    words = Words.read(TRAINED, CLASSES, ())
    assert dict(words.related)["wall"] == (CLASSES.index("building"), CLASSES.index("fence"))
    all_of_them = dataclasses.replace(recipe, distractors=3 * len(words.related), compounds=0)
    drawn = WordSampler(words, all_of_them, tower, 384).draw(np.random.default_rng(0))
    assert drawn.entries.count(("wall",)) == 1
    assert set(drawn.relatives_of[drawn.entries.index(("wall",))].tolist()) == {1, 7}


def test_k_varies_between_its_bounds(recipe: TrainingRecipe, tower: MiniLMTextTower) -> None:
    few = dataclasses.replace(recipe, min_classes=3, max_classes=5, distractors=20, compounds=0)
    sampler, rng = WordSampler(Words.read(TRAINED, CLASSES, ()), few, tower, 384), np.random.default_rng(0)
    assert {sampler.draw(rng).max_classes for _ in range(30)} == {3, 4, 5}


def test_compounds_are_half_a_class_and_near_it(recipe: TrainingRecipe, tower: MiniLMTextTower) -> None:
    mixed = dataclasses.replace(recipe, distractors=20, compounds=4, word_noise=0.3)
    drawn = WordSampler(Words.read(TRAINED, CLASSES, ()), mixed, tower, 384).draw(np.random.default_rng(1))
    classes, compounds, others = drawn.entries[:11], drawn.entries[17:21], drawn.entries[21:]
    assert len(drawn.entries) == len(drawn.uniform) == len(drawn.class_of) == len(drawn.relatives_of) == 35
    assert drawn.class_of[11:27].tolist() == [NO_CLASS] * 16 and (drawn.class_of[27:] > 11).all()
    near = drawn.relatives_of[17:21, 0].tolist()
    assert (drawn.relatives_of[17:21, 1:] == NO_CLASS).all()
    assert [
        (classes[label][0], *half) for label, half in zip(near, (entry[1:] for entry in compounds), strict=True)
    ] == [*compounds]
    assert all(compound[1:] in others for compound in compounds)
    assert (drawn.relatives_of[21:] == NO_CLASS).all()


def test_names_that_were_not_drawn_are_added(sampler: WordSampler) -> None:
    drawn = sampler.draw(np.random.default_rng(1))
    void, unicycle = 11, imagenet_names().index("unicycle")
    known = drawn.class_of[-1]
    assert void + 1 + unicycle not in drawn.class_of
    more = drawn.with_names(torch.tensor([known, void + 1 + unicycle]), void)
    assert more.entries == (*drawn.entries, ("unicycle",))
    assert more.class_of.tolist() == [*drawn.class_of.tolist(), void + 1 + unicycle]
    assert torch.equal(more.relatives_of[:31], drawn.relatives_of) and (more.relatives_of[31] == NO_CLASS).all()
    assert torch.equal(more.uniform[:31], drawn.uniform) and 0 < more.uniform[31] < drawn.uniform.min()
    assert more.shift is not None and drawn.shift is not None
    assert torch.equal(more.shift[:31], drawn.shift) and torch.equal(more.shift[31], drawn.name_shift[unicycle])
    plain = dataclasses.replace(drawn, shift=None).with_names(torch.tensor([void + 1 + unicycle]), void)
    assert plain.shift is not None and (plain.shift[:31] == 0).all() and torch.equal(plain.shift[31], more.shift[31])


def test_a_name_that_stands_for_a_class_is_no_other_name(tower: MiniLMTextTower) -> None:
    names, others = imagenet_names(), other_names(Words.read(TRAINED, CLASSES, ("fence",)), tower)
    assert not others[[names.index(name) for name in ("minivan", "cab", "pole", "church")]].any()
    assert others[[names.index(name) for name in ("picket fence", "unicycle", "tabby")]].all()


def test_words_of_held_out_classes_are_never_drawn(recipe: TrainingRecipe, tower: MiniLMTextTower) -> None:
    held_out = ("bicyclist", "sign", "fence")
    words = Words.read(TRAINED, CLASSES, held_out)
    phrases = keys(WordSampler(words, recipe, tower, 384).phrases)
    content = yaml.safe_load(TRAINED.read_text())
    for name in held_out:
        assert not keys(content["synonyms"][name]) & phrases
    assert {label for _, labels in words.related for label in labels} <= set(range(8)) and len(words.synonyms) == 8
    assert words.synonyms[CLASSES.index("pedestrian") - 2][0] == "pedestrian"  # two held out classes stand before it


def test_the_names_of_imagenet_are_many(recipe: TrainingRecipe, tower: MiniLMTextTower) -> None:
    """With few a step hears the same other words every time, and any name that is unlike them takes a class."""
    words = Words.read(TRAINED, CLASSES, ())
    sampler = WordSampler(words, recipe, tower, 384)
    named = {phrase for phrases in words.synonyms for phrase in phrases}
    imagenet = set(sampler.phrases) & set(imagenet_names()) - named
    assert len(imagenet) > 700
    assert not imagenet & {"picket fence", "street sign", "minivan", "mountain bike", "church", "school bus"}


def test_without_a_file_classes_go_by_their_own_names() -> None:
    entries = [VocabularyEntry.parse("car, automobile"), VocabularyEntry.parse("road")]
    assert Words.of_classes(entries, ()).synonyms == (("car", "automobile"), ("road",))
    assert Words.of_classes(entries, ("car",)) == Words((("road",),), (), (), ("car", "automobile"))


@pytest.mark.parametrize(
    ("held_out", "message"), [(("moose",), "held_out has moose"), (CAMVID.classes(Path()).vocabulary.names, "nothing")]
)
def test_held_out_classes_must_be_some_of_the_classes(held_out: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Words.read(TRAINED, CLASSES, held_out)


def test_more_distractors_than_words_are_refused(recipe: TrainingRecipe, tower: MiniLMTextTower) -> None:
    many = dataclasses.replace(recipe, distractors=2000)
    with pytest.raises(InputError, match="distractors 2000 is more than the"):
        WordSampler(Words.read(TRAINED, CLASSES, ()), many, tower, 384)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("synonyms: [", "cannot be read as YAML"),
        ("related: {}", "must have `synonyms`"),
        ("synonyms: {road: street}\nrelated: {}", "must have `synonyms`"),
        ("synonyms: {road: [street]}\nrelated: {}", "have no synonyms of sky"),
        ("synonyms: {road: [street], sky: [sky]}\nrelated: {moon: [sun]}", "have moon, which is no class"),
        ("synonyms: {road: [street], sky: [sky]}\nrelated: {}", "must have `unrelated`"),
        ("synonyms: {road: [street], sky: [sky]}\nrelated: {}\nunrelated: [1]", "must have `unrelated`"),
    ],
)
def test_a_wrong_file_of_words_is_an_error_that_names_it(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "words.yaml").write_text(text)
    with pytest.raises(InputError, match=rf"words .*words.yaml .*{message}"):
        Words.read(tmp_path / "words.yaml", ("road", "sky"), ())
