from __future__ import annotations

import threading
import time

import pytest
import torch

from errseg_model import EncodedVocabulary, Vocabulary
from errseg_ros.class_ids import ClassIdsExhausted
from errseg_ros.vocabulary_server import History, Labels, VocabularyServer

ROAD = Vocabulary.parse(["road", "sky"])
CAR = Vocabulary.parse(["car", "Road"])


def encode(vocabulary: Vocabulary) -> EncodedVocabulary:
    return EncodedVocabulary(vocabulary, torch.zeros(len(vocabulary), 4))


def server(
    mask_encoding: str = "mono8", encode=encode, vocabulary: Vocabulary = ROAD, history: History | None = None
) -> VocabularyServer:
    history = history or History.first(mask_encoding)
    return VocabularyServer(
        encode,
        vocabulary,
        history=history,
        source="test",
        max_classes=4,
        min_share=0.0,
        confidence_threshold=0.0,
    )


def change(
    server: VocabularyServer,
    vocabulary: Vocabulary,
    *,
    max_classes: int = 4,
    min_share: float = 0.0,
    threshold: float = 0.0,
) -> bool:
    return server.change(
        vocabulary, source="change", max_classes=max_classes, min_share=min_share, confidence_threshold=threshold
    )


def facts(labels: Labels) -> tuple[tuple[str, ...], tuple[int, ...], int, str, float]:
    return labels.vocabulary.names, labels.ids, labels.version, labels.source, labels.threshold


def test_the_first_vocabulary_has_version_1_and_is_to_be_published() -> None:
    labels, terms = server().take()
    assert [facts(each) for each in labels] == [(("road", "sky"), (0, 1), 1, "test", 0.0)]
    assert terms.labels is labels[0] and terms.encoded.vocabulary is ROAD and terms.max_classes == 4


@pytest.mark.parametrize(("vocabulary", "ids", "version"), [(CAR, (2, 0), 2), (ROAD, (0, 1), 3)])
def test_a_later_server_goes_on_with_ids_and_version(
    vocabulary: Vocabulary, ids: tuple[int, ...], version: int
) -> None:
    first = server()
    change(first, CAR)
    second = server(vocabulary=vocabulary, history=first.history)
    (labels,), _ = second.take()
    assert (labels.ids, labels.version) == (ids, version)


def test_changes_are_in_force_at_once_and_published_in_order() -> None:
    one = server()
    one.take()
    assert change(one, CAR)
    assert change(one, CAR, threshold=0.5)
    assert change(one, ROAD, threshold=0.5)
    labels, terms = one.take()
    assert [facts(each) for each in labels] == [
        (("car", "Road"), (2, 0), 2, "change", 0.0),
        (("car", "Road"), (2, 0), 2, "change", 0.5),
        (("road", "sky"), (0, 1), 3, "change", 0.5),
    ]
    assert terms.labels is labels[-1]
    assert one.take() == ([], terms)


def test_labels_that_could_not_be_published_come_first_again() -> None:
    one = server()
    change(one, CAR)
    labels, _ = one.take()
    one.give_back(labels[1:])
    change(one, ROAD)
    again, terms = one.take()
    assert [facts(each)[:3] for each in again] == [(("car", "Road"), (2, 0), 2), (("road", "sky"), (0, 1), 3)]
    assert again[0] is labels[1] and terms.labels is again[1]
    assert one.take() == ([], terms)


def test_what_does_not_change_the_labels_is_not_published() -> None:
    one = server()
    encoded = one.take()[1].encoded
    assert not change(one, Vocabulary.parse(["road", "sky"]), max_classes=7, min_share=0.25)
    labels, terms = one.take()
    assert (labels, terms.max_classes, terms.min_share, terms.labels.version) == ([], 7, 0.25, 1)
    assert terms.encoded is encoded


def test_other_synonyms_are_a_change_that_keeps_the_ids() -> None:
    one = server()
    one.take()
    assert change(one, Vocabulary.parse(["road, street", "sky"]))
    assert facts(one.take()[0][0])[:3] == (("road", "sky"), (0, 1), 2)


@pytest.mark.parametrize(
    ("failure", "vocabulary"),
    [
        (ClassIdsExhausted, Vocabulary.parse([f"thing {number}" for number in range(254)])),
        (RuntimeError, CAR),
    ],
)
def test_a_change_that_fails_changes_nothing(failure: type[Exception], vocabulary: Vocabulary) -> None:
    def encode_road(new: Vocabulary) -> EncodedVocabulary:
        if new != ROAD:
            raise RuntimeError("out of memory")
        return encode(new)

    one = server(encode=encode_road)
    before = one.take()[1]
    with pytest.raises(failure):
        change(one, vocabulary, max_classes=9, threshold=0.9)
    assert one.take() == ([], before)


@pytest.mark.parametrize(("encoding", "dtype", "unlabelled"), [("mono8", "uint8", 255), ("mono16", "uint16", 65535)])
def test_the_id_table_holds_ids_and_the_unlabelled_id_beyond(encoding: str, dtype: str, unlabelled: int) -> None:
    one = server(encoding)
    change(one, CAR)
    table = one.take()[1].labels.id_table
    assert (table.shape, table.dtype) == ((65536,), dtype)
    assert table[:2].tolist() == [2, 0] and set(table[2:].tolist()) == {unlabelled}


def test_frames_go_on_under_the_old_terms_while_new_names_are_encoded() -> None:
    encoding, go_on = threading.Event(), threading.Event()

    def slow(vocabulary: Vocabulary) -> EncodedVocabulary:
        if vocabulary != ROAD:
            encoding.set()
            assert go_on.wait(10)
        return encode(vocabulary)

    one = server(encode=slow)
    one.take()
    changing = threading.Thread(target=change, args=(one, CAR))
    changing.start()
    assert encoding.wait(10)
    start = time.monotonic()
    assert one.take()[1].labels.version == 1
    assert time.monotonic() - start < 1
    go_on.set()
    changing.join(10)
    assert one.take()[1].labels.version == 2
