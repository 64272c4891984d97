"""An evaluation on a Ray cluster: all bags at once, whatever becomes of the machines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from errseg_model.errors import InputError
from errseg_model.model_choice import ModelChoice
from errseg_ros.evaluate_bag.evaluator import BagEvaluation, summarize
from errseg_ros.evaluate_bag.fleet.attempts import Attempts
from errseg_ros.evaluate_bag.fleet.cluster import Share, connected
from errseg_ros.evaluate_bag.fleet.identity import identity
from errseg_ros.evaluate_bag.fleet.options import FleetOptions
from errseg_ros.evaluate_bag.fleet.task import Assignment, Message, Reached, Refused, Saved, Started, evaluate
from errseg_ros.evaluate_bag.merge import without_spare_pictures
from errseg_ros.evaluate_bag.results import Evaluation
from errseg_ros.evaluate_bag.run import Interrupt, Job, conclude, how_to_go_on
from errseg_ros.evaluate_bag.settings import Settings
from errseg_ros.evaluate_bag.state import State

RETRIES = 3
"""So often a bag is tried again after its worker was lost."""
_LOOK_SECONDS = 0.5
_END_SECONDS = 15.0
_THIN_OUT = 16  # bags, some 16 MB of pictures each, are held before those that no report shows are dropped


def evaluate_on_ray(options: FleetOptions, job: Job, state: State, started: float, interrupt: Interrupt) -> Evaluation:
    """Evaluate every bag in a task of its own; the numbers are those of an evaluation here.

    A bag whose worker is lost (killed, out of memory, its machine gone) is tried again from what was saved of it. A bag
    that is wrong itself ends the evaluation once all others are done, so that --resume has only that one to do, or
    leaves it out.

    Raises InputError.
    """
    job = replace(job, settings=_absolute(job.settings))
    state.side_by_side = True
    with connected(options, job.settings) as share:
        fleet = _Fleet(job, state, share, lambda: state.earlier_seconds + time.perf_counter() - started)
        return fleet.run(interrupt)


class _Fleet:
    """The tasks of one evaluation. What is known of a bag is in the state, not in memory."""

    def __init__(self, job: Job, state: State, share: Share, seconds: Callable[[], float]) -> None:
        import ray

        self._job, self._state, self._share, self._seconds = job, state, share, seconds
        self._identity = identity(job.settings)
        # Lost workers are ours to replace: Ray would do it silently, and from the bag's start.
        task = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus, max_retries=0, num_returns="streaming")
        self._task: Any = task(evaluate)
        self._running: dict[Any, int] = {}
        """Place of its bag by stream of messages."""
        self._started: dict[int, Started] = {}
        self._done: set[int] = set()
        self._failures: dict[int, str] = {}
        self._losses = [0] * len(job.plans)
        self._images = [0] * len(job.plans)
        self._attempts = Attempts(job.output_bags) if job.output_bags else None

    def run(self, interrupt: Interrupt) -> Evaluation:
        """Until all bags are done, or the user ends it."""
        places = range(len(self._job.plans))
        for place in places:
            self._know(place)
        stride = self._job.settings.stride
        total = sum(plan.frames(stride) for plan in self._job.plans)
        with tqdm(total=total, initial=sum(self._images), unit="image") as self._bar:
            self._show()
            if not self._share.fits:
                self._say(f"waiting: no machine of the cluster has {self._share.cpus} CPUs and {self._share.gpus} GPUs")
            try:
                # Where all are done a worker has to tell which device that was.
                for place in [place for place in places if place not in self._done] or [0]:
                    self._submit(place)
                while self._running and interrupt.signal is None:
                    for stream in self._ready():
                        self._take(stream)
            finally:
                try:
                    self._cancel()
                finally:
                    for place in places:
                        self._drop(place)
        if self._failures and interrupt.signal is None:
            kept = how_to_go_on(self._job, self._state, len(self._failures))
            raise InputError(f"{'; '.join(self._failures.values())}{kept}")
        interrupted = len(self._done) < len(self._job.plans)
        return conclude(self._parts(), self._job, self._state, self._seconds(), interrupted)

    def _know(self, place: int) -> None:
        """Look up in the state how far a bag is."""
        progress = self._state.load(place)
        self._images[place] = self._evaluated(progress.next_index)
        if progress.done:
            self._done.add(place)

    def _submit(self, place: int) -> None:
        plan = self._job.plans[place]
        make_sink = None
        if self._attempts is not None:
            try:
                make_sink = self._attempts.begin(plan).make
            except InputError as error:
                self._fail(place, f"{plan.name}: {error}")
                return
        progress = self._state.load(place)
        assignment = Assignment(
            replace(plan, path=plan.path.absolute()),
            self._job.settings,
            self._identity,
            self._share.cpus,
            Saved.of(progress) if progress.next_index else None,
            make_sink,
        )
        self._running[self._task.options(name=f"evaluate {plan.name}").remote(assignment)] = place

    def _ready(self) -> list[Any]:
        """The streams that have a message; waits for a while."""
        import ray

        streams = list(self._running)
        return list(ray.wait(streams, num_returns=len(streams), timeout=_LOOK_SECONDS)[0])

    def _take(self, stream: Any) -> None:
        """A stream's next message, or its end."""
        import ray
        from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError, RayTaskError, WorkerCrashedError

        place = self._running[stream]
        try:
            message: Message = ray.get(next(stream))
        except StopIteration:
            del self._running[stream]
        except (NodeDiedError, ObjectLostError, OutOfMemoryError, WorkerCrashedError) as error:
            del self._running[stream]
            if place not in self._done:
                self._lose(place, "ran out of memory" if isinstance(error, OutOfMemoryError) else "was lost")
        except RayTaskError as error:
            if "No module named" in str(error):
                raise InputError(
                    f"a machine of the cluster lacks errseg or what it needs: {_last_line(error)}"
                ) from None
            raise
        else:
            self._act_on(place, message)

    def _act_on(self, place: int, message: Message) -> None:
        match message:
            case Started():
                self._started[place] = message
            case Reached(next_index):
                self._images[place] = self._evaluated(next_index)
            case Saved():
                self._state.save(place, message.progress(), self._seconds())
                self._know(place)
                if place in self._done:
                    self._keep(place)
            case Refused(reason, everywhere=True):
                raise InputError(reason)
            case Refused(reason):
                self._fail(place, reason)
        self._show()

    def _lose(self, place: int, what: str) -> None:
        """Try a bag again, as often as that does."""
        name = self._job.plans[place].name
        started = self._started.get(place)
        worker = f"its worker{f' on machine {started.machine}' if started else ''} {what}"
        self._losses[place] += 1
        self._know(place)
        self._drop(place)
        if self._losses[place] > RETRIES:
            self._fail(place, f"{name}: {worker} {self._losses[place]} times; see Ray's logs")
            return
        since = f"image {self._images[place]} on" if self._images[place] else "its start"
        self._say(f"{name}: {worker}; trying again from {since} ({self._losses[place]} of {RETRIES})")
        self._submit(place)
        self._show()

    def _fail(self, place: int, reason: str) -> None:
        self._failures[place] = reason
        self._drop(place)
        self._say(f"{reason}; the other bags go on")

    def _keep(self, place: int) -> None:
        """A bag is done: its output bag gets its name."""
        if self._attempts is None:
            return
        plan = self._job.plans[place]
        try:
            self._attempts.keep(plan)
        except InputError as error:
            self._fail(place, f"{plan.name}: {error}")

    def _drop(self, place: int) -> None:
        """Leave nothing of an output bag that is not whole."""
        if self._attempts is not None:
            self._attempts.drop(self._job.plans[place])

    def _cancel(self) -> None:
        """End what runs. A bag that is done just now counts."""
        import ray
        from ray.exceptions import RayError

        for stream in self._running:
            ray.cancel(stream)
        until = time.monotonic() + _END_SECONDS
        while self._running and time.monotonic() < until:
            for stream in self._ready():
                try:
                    message = ray.get(next(stream))
                except (StopIteration, RayError):
                    del self._running[stream]
                else:
                    if isinstance(message, Started | Saved):
                        self._act_on(self._running[stream], message)

    def _parts(self) -> list[BagEvaluation]:
        """What the bags have come to, in their order; those without an image only where all are done."""
        some = next(iter(self._started.values()), None)
        if some is None:
            raise InputError("interrupted before a worker was ready; what was kept can be gone on with by --resume")
        parts: list[BagEvaluation] = []
        for place, plan in enumerate(self._job.plans):
            progress = self._state.load(place)
            if place in self._done or len(progress.accumulator.rows):
                own = self._started.get(place, some)
                settings = self._job.settings
                parts.append(
                    summarize(plan, settings, progress, own.model, own.device, own.input_size, own.max_classes)
                )
            if place % _THIN_OUT == 0:
                parts = without_spare_pictures(parts)
        return parts

    def _evaluated(self, next_index: int) -> int:
        return -(-next_index // self._job.settings.stride)

    def _show(self) -> None:
        self._bar.set_description(f"{len(self._done)} of {len(self._job.plans)} bags", refresh=False)
        self._bar.update(sum(self._images) - self._bar.n)

    def _say(self, line: str) -> None:
        self._bar.write(f"evaluate_bag: {line}", file=sys.stderr)


def _absolute(settings: Settings) -> Settings:
    """For workers, which are in other folders."""
    comparison = settings.comparison
    if comparison is not None:
        comparison = replace(comparison, model=_with_absolute_path(comparison.model))
    return replace(settings, model=_with_absolute_path(settings.model), comparison=comparison)


def _with_absolute_path(model: ModelChoice) -> ModelChoice:
    file: Path | None = model.checkpoint
    return model if file is None else replace(model, checkpoint=file.absolute())


def _last_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[-1]
