"""The state of an unfinished evaluation, kept in its output folder so that `--resume` can go on.

Plain arrays and JSON, never code; each file is whole or absent. One file for each bag, named by what it is, as bags may
come and go; and one with the settings.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errseg_model.errors import InputError
from errseg_model.files import shown, whole, write_json
from errseg_model.vocabulary import Vocabulary, VocabularyError
from errseg_ros.evaluate_bag.evaluator import Kept, Progress, start
from errseg_ros.evaluate_bag.exhibits import Candidate, Pictures, Shelf
from errseg_ros.evaluate_bag.plan import BagPlan
from errseg_ros.evaluate_bag.problems import Problems
from errseg_ros.evaluate_bag.results import VocabularyPeriod
from errseg_ros.evaluate_bag.rows import Rows
from errseg_ros.evaluate_bag.settings import PERIODS, Settings
from errseg_ros.evaluate_bag.stamps import DriveTime

FOLDER = ".evaluate_bag"
_SETTINGS = "settings.json"
_DIGITS = 16
_NAMED = 3  # bags, in a message
_PICTURES = ("image", "truth", "mask", "wrong")


class State:
    """The folder of the state. All writing raises InputError where it fails."""

    def __init__(self, out: Path, plans: Sequence[BagPlan], settings: Settings) -> None:
        """Look at the settings, and at the checkpoints that they name. Raises InputError for one of no use."""
        self.folder = out / FOLDER
        self.saved = False
        """Whether there is something to go on with."""
        self._plans = tuple(plans)
        self._digests = _digests(plans)
        self._bags = {str(plan.path.absolute()): (plan.image_topic, plan.images) for plan in plans}
        """Topic and number of images by path; those of earlier runs, too."""
        self._settings = settings
        # As they are read back; only once, as checkpoints may be large.
        self._described = json.loads(json.dumps(settings.describe()))
        self.earlier_seconds = 0.0
        """That earlier runs took."""
        self.side_by_side = False
        """Whether this run, or an earlier one, evaluates bags at the same time."""

    @property
    def exists(self) -> bool:
        """Whether an unfinished evaluation is there."""
        return os.path.isfile(self.folder / _SETTINGS)

    def create(self) -> None:
        """Start anew. Finds out, too, whether the output can be written."""
        self._write(0.0)

    def check(self) -> None:
        """Take up the state. Bags may be left out and added; one that comes back goes on where it was.

        Raises InputError naming what differs where the state is of other settings, where a bag has changed, and where
        none of the bags is in it.
        """
        path = self.folder / _SETTINGS
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            self.earlier_seconds, self.side_by_side = float(found["seconds"]), bool(found["side_by_side"])
            kept = dict(found["settings"])
            bags = {bag: (str(topic), int(images)) for bag, (topic, images) in found["bags"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} cannot be read: {error}; remove {self.folder}, and start anew") from None
        wanted = self._described
        differing = sorted(key for key in kept.keys() | wanted.keys() if kept.get(key) != wanted.get(key))
        if differing:
            first = differing[0]
            raise InputError(
                f"the unfinished evaluation in {self.folder.parent} is of other settings ({', '.join(differing)}): "
                f"{first} was {_short(kept.get(first))} and is {_short(wanted.get(first))}. Give the same as before, "
                f"or remove {self.folder} to start anew"
            )
        self._check_bags(bags)
        self._bags = bags | self._bags

    @property
    def left_out(self) -> bool:
        """Whether bags of earlier runs are not among those of this one."""
        return len(self._bags) > len({plan.path.absolute() for plan in self._plans})

    @property
    def has_others(self) -> bool:
        """Whether something is kept of bags that are not among those of this run."""
        own = {self.path(place).name for place in range(len(self._plans))}
        return any(file.name not in own for file in self.folder.glob("bag-*.npz"))

    def load(self, place: int) -> Progress:
        """How far the bag at this place among the plans is. Raises InputError for a file that is no state."""
        path = self.path(place)
        progress = start(self._plans[place], self._settings)
        if not os.path.isfile(path):
            return progress
        self.saved = True
        try:
            with np.load(path, allow_pickle=False) as arrays:
                _restore(progress, dict(arrays))
        except Exception as error:  # whatever numpy finds wrong with it
            raise InputError(f"{path} cannot be read: {error}; remove {self.folder}, and start anew") from None
        return progress

    def save(self, place: int, progress: Progress, seconds: float) -> None:
        """Keep how far a bag is, and how many seconds the evaluation took until now."""
        with whole(self.path(place)) as partial, partial.open("wb") as file:
            np.savez(file, **_arrays(progress))
        self._write(seconds)
        self.saved = True

    def remove(self) -> None:
        """The evaluation is complete, or there is nothing to go on with."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, place: int) -> Path:
        """Where the bag at this place among the plans is kept, once it was saved."""
        return self.folder / f"bag-{self._digests[place]}.npz"

    def _check_bags(self, kept: Mapping[str, tuple[str, int]]) -> None:
        for bag, (topic, images) in self._bags.items():
            topic_before, images_before = kept.get(bag, (topic, images))
            if (topic, images) != (topic_before, images_before):
                raise InputError(
                    f"bag {shown(bag)} has changed since the unfinished evaluation in {self.folder.parent} was begun: "
                    f"it had {images_before} images on {topic_before}, and has {images} on {topic}. Leave it out, or "
                    f"remove {self.folder} to start anew"
                )
        if not kept.keys() & self._bags.keys():
            some = ", ".join(shown(bag) for bag in [*kept][:_NAMED])
            raise InputError(
                f"the unfinished evaluation in {self.folder.parent} is of other bags ({some}"
                f"{', ...' * (len(kept) > _NAMED)}): give one of them at least, or remove {self.folder} to start anew"
            )

    def _write(self, seconds: float) -> None:
        content = {
            "bags": self._bags,
            "settings": self._described,
            "seconds": seconds,
            "side_by_side": self.side_by_side,
        }
        write_json(self.folder / _SETTINGS, content)


def with_kept_words(settings: Settings, out: Path) -> Settings:
    """Settings without a first vocabulary have that of the unfinished evaluation, which other bags may have given."""
    if settings.periods and settings.periods[0].since <= 0:
        return settings
    try:
        found = json.loads((out / FOLDER / _SETTINGS).read_text(encoding="utf-8"))
        since, entries = found["settings"][PERIODS][0]
        first = VocabularyPeriod(float(since), Vocabulary.parse(entries))
    except (OSError, ValueError, LookupError, TypeError, VocabularyError):  # told by `check`
        return settings
    return replace(settings, periods=(first, *settings.periods))


def _digests(plans: Sequence[BagPlan]) -> tuple[str, ...]:
    """A name for each bag, whichever others there are; a bag that is given twice has two."""
    seen: Counter[str] = Counter()
    digests = []
    for plan in plans:
        identity = json.dumps([str(plan.path.absolute()), plan.image_topic, plan.images])
        digests.append(hashlib.sha256(f"{identity} {seen[identity]}".encode()).hexdigest()[:_DIGITS])
        seen[identity] += 1
    return tuple(digests)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _arrays(progress: Progress) -> dict[str, Any]:
    accumulator = progress.accumulator
    facts: dict[str, Any] = {
        "next_index": progress.next_index,
        "time": asdict(progress.time),
        "nearest_label_ns": progress.nearest_label_ns,
        "loop_seconds": progress.loop_seconds,
        "model_seconds": progress.model_seconds,
        "done": progress.done,
        "damage": progress.damage,
        "problems": progress.problems.found,
        "labelled": accumulator.labelled,
    }
    arrays: dict[str, Any] = {f"row {name}": column for name, column in accumulator.rows.to_arrays().items()}
    arrays |= {f"pixels {number}": pixels for number, pixels in enumerate(accumulator.pixels)}
    if progress.kept is not None:
        facts["kept_period"] = progress.kept.period
        kept = {"kept": progress.kept.own, "other kept": progress.kept.other}
        arrays |= {name: selected for name, selected in kept.items() if selected is not None}
    if accumulator.previous is not None:
        facts["previous_vocabulary"], arrays["previous"] = accumulator.previous
    for name, shelf in (("worst", accumulator.worst), ("best", accumulator.best)):
        facts[name] = []
        for number, candidate in enumerate(shelf.candidates):
            entry = asdict(candidate)
            pictures = entry.pop("pictures")
            facts[name].append(entry | {"colours": pictures.pop("colours")})
            arrays |= {f"{name} {number} {kind}": p for kind, p in pictures.items() if p is not None}
    return arrays | {"facts": np.array(json.dumps(facts))}


def _restore(progress: Progress, arrays: dict[str, NDArray[Any]]) -> None:
    facts = json.loads(str(arrays["facts"]))
    for name in ("next_index", "nearest_label_ns", "loop_seconds", "model_seconds", "done"):
        setattr(progress, name, facts[name])
    progress.time = DriveTime(**facts["time"])
    progress.damage = tuple(facts["damage"])
    progress.problems = Problems({kind: (count, first) for kind, (count, first) in facts["problems"].items()})
    accumulator = progress.accumulator
    accumulator.labelled = facts["labelled"]
    accumulator.rows = Rows.from_arrays({n.removeprefix("row "): a for n, a in arrays.items() if n.startswith("row ")})
    for number, pixels in enumerate(accumulator.pixels):
        pixels += arrays[f"pixels {number}"]
    if "kept_period" in facts:
        progress.kept = Kept(facts["kept_period"], arrays.get("kept"), arrays.get("other kept"))
    if "previous" in arrays:
        accumulator.previous = (facts["previous_vocabulary"], arrays["previous"])
    for name, highest in (("worst", False), ("best", True)):
        candidates = []
        for number, entry in enumerate(facts[name]):
            colours = {key: tuple(rgb) for key, rgb in entry.pop("colours").items()}
            pictures = {kind: arrays.get(f"{name} {number} {kind}") for kind in _PICTURES}
            candidates.append(Candidate(**entry, pictures=Pictures(**pictures, colours=colours)))  # type: ignore[arg-type]
        setattr(accumulator, name, Shelf(highest, candidates))
