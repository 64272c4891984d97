"""Which topics of which bags are evaluated, found out before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from errseg_model.errors import InputError
from errseg_model.vocabulary import Vocabulary
from errseg_ros.bags import BagError, BagReader
from errseg_ros.bags.messages import IMAGE_TYPES, LABEL_INFO
from errseg_ros.default_vocabulary import DEFAULT_VOCABULARY
from errseg_ros.evaluate_bag.labels import LabelKey, united
from errseg_ros.evaluate_bag.results import VocabularyPeriod
from errseg_ros.evaluate_bag.settings import Settings


@dataclass(frozen=True)
class BagPlan:
    """One bag and what is evaluated of it."""

    name: str
    """Unique in the evaluation."""
    path: Path
    image_topic: str
    images: int
    """On the topic, as the bag's index says."""
    label_topic: str | None
    label_key: LabelKey | None
    problems: tuple[str, ...] = ()
    """Known before it is evaluated, besides those of the reader."""

    def frames(self, stride: int) -> int:
        """How many images are evaluated."""
        return -(-self.images // stride)


def prepare(paths: Sequence[Path], settings: Settings) -> tuple[tuple[BagPlan, ...], Settings]:
    """Look at every bag, and fill in the vocabulary where none is given: the truth's classes, else Cityscapes'.

    Raises InputError naming every bag of no use: one that cannot be read, lacks a topic, or has labels without names.
    """
    plans: list[BagPlan] = []
    failures: list[str] = []
    for path in paths:
        try:
            plan = plan_bag(path, settings)
        except InputError as error:
            failures.append(str(error))
            continue
        used = {other.name for other in plans}
        names = (plan.name, *(f"{plan.name} ({number})" for number in range(2, len(plans) + 2)))
        plans.append(replace(plan, name=next(name for name in names if name not in used)))
    if failures:
        count = f"{len(failures)} of {len(paths)} bags cannot be evaluated: " if len(failures) > 1 else ""
        raise InputError(f"{count}{'; '.join(failures)}")
    if settings.periods and settings.periods[0].since <= 0:
        return tuple(plans), settings
    first = VocabularyPeriod(0.0, _default_vocabulary(plans))
    return tuple(plans), replace(settings, periods=(first, *settings.periods))


def plan_bag(path: Path, settings: Settings) -> BagPlan:
    """What is evaluated of one bag. Raises InputError as `prepare` does."""
    with BagReader(path) as reader:
        image_topic = _image_topic(reader, settings)
        plan = BagPlan(reader.name, path, image_topic, reader.topics[image_topic].count, None, None)
        if settings.label_topic is None:
            return plan
        _check_image_topic(reader, settings.label_topic)
        key, problems = (settings.label_key, ()) if settings.label_key else _recorded_key(reader, settings.label_topic)
        return replace(plan, label_topic=settings.label_topic, label_key=key, problems=problems)


def _image_topic(reader: BagReader, settings: Settings) -> str:
    if settings.image_topic is not None:
        _check_image_topic(reader, settings.image_topic)
        return settings.image_topic
    topics = [name for name in image_topics(reader) if name != settings.label_topic and reader.topics[name].count]
    if len(topics) == 1:
        return topics[0]
    if not topics:
        raise BagError(f"bag {reader.path} has no images; its topics are {_listed(list(reader.topics))}")
    raise BagError(f"bag {reader.path} has several image topics: choose one of {', '.join(topics)} with --image-topic")


def image_topics(reader: BagReader) -> list[str]:
    """Names of the topics with images, raw or compressed."""
    return [topic.name for topic in reader.topics.values() if topic.type in IMAGE_TYPES]


def _check_image_topic(reader: BagReader, name: str) -> None:
    topics = f"the image topics of bag {reader.path} are {_listed(image_topics(reader))}"
    topic = reader.topics.get(name)
    if topic is None:
        raise BagError(f"there is no topic {name}: {topics}")
    if topic.type not in IMAGE_TYPES:
        raise BagError(f"topic {name} has messages of type {topic.type}, no images: {topics}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _recorded_key(reader: BagReader, label_topic: str) -> tuple[LabelKey, tuple[str, ...]]:
    """The names of the ids, of the bag's LabelInfo; later messages may add names."""
    topic = _label_info_topic(reader, label_topic)
    names: dict[int, str] = {}
    problems = set()
    for message in reader.messages([topic]):
        for label in reader.deserialize(message).class_map:
            name = names.setdefault(int(label.class_id), str(label.class_name))
            if name != label.class_name:
                problems.add(f"{topic}: id {label.class_id} is {name!r} first and {label.class_name!r} later")
    try:
        return LabelKey.of(sorted(names.items())), tuple(sorted(problems))
    except InputError as error:
        raise BagError(f"bag {reader.path}, topic {topic}: {error}; name the ids with --labels FILE") from None


def _label_info_topic(reader: BagReader, label_topic: str) -> str:
    """The one in the label topic's namespace, else the only one."""
    topics = [t.name for t in reader.topics.values() if t.type == LABEL_INFO and t.count]
    beside = [name for name in topics if name.rpartition("/")[0] == label_topic.rpartition("/")[0]]
    found = beside or topics
    if len(found) == 1:
        return found[0]
    if not found:
        raise BagError(
            f"bag {reader.path} has no {LABEL_INFO} that names the ids of {label_topic}: name them with "
            "--labels FILE, or colours with --palette FILE"
        )
    raise BagError(
        f"the ids of {label_topic} may be named by {' or '.join(found)} of bag {reader.path}: name them with "
        "--labels FILE"
    )


def _default_vocabulary(plans: Sequence[BagPlan]) -> Vocabulary:
    classes = united(entry for plan in plans if plan.label_key for entry in plan.label_key.classes)
    return Vocabulary(classes) if classes else Vocabulary.parse(DEFAULT_VOCABULARY)
