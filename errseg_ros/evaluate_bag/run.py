"""An evaluation on this machine: bag after bag, to be interrupted and resumed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from tqdm import tqdm

from errseg_model.errors import InputError
from errseg_ros.evaluate_bag.evaluator import BagEvaluation, Progress, evaluate_one, so_far
from errseg_ros.evaluate_bag.merge import merge
from errseg_ros.evaluate_bag.output_bag import OutputBags
from errseg_ros.evaluate_bag.plan import BagPlan, prepare
from errseg_ros.evaluate_bag.results import Evaluation
from errseg_ros.evaluate_bag.settings import Settings
from errseg_ros.evaluate_bag.state import State, with_kept_words

SAVE_SECONDS = 20.0
"""A process that is killed loses the work of so many seconds."""


class Interrupt(AbstractContextManager["Interrupt"]):
    """SIGINT and SIGTERM end the work after the image in hand; a second one ends it at once.

    One that the process was started without, as a shell does with Ctrl-C for what runs in its background, stays so.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        """The one that came."""

    def __enter__(self) -> Interrupt:
        taken = (n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN)
        self._before = {number: signal.signal(number, self._take) for number in taken}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


@dataclass(frozen=True)
class Job:
    """What is evaluated, and where to."""

    plans: tuple[BagPlan, ...]
    settings: Settings
    out: Path
    output_bags: OutputBags | None = None


Compute = Callable[[Job, State, float, Interrupt], Evaluation]
"""Evaluates what the state does not have, and keeps it there; takes, too, the `time.perf_counter` of the start."""


def evaluate_bags(
    paths: Sequence[Path],
    settings: Settings,
    out: Path,
    resume: bool,
    interrupt: Interrupt,
    output_bags: OutputBags | None = None,
    report: Callable[[Evaluation], None] = lambda evaluation: None,
    compute: Compute | None = None,
) -> Evaluation:
    """Evaluate bags, one after the other unless `compute` has another way, and hand the evaluation to `report`.

    An unfinished evaluation is kept in `out` until the report of a whole one is there, and longer where `resume` left
    bags out that something was done of. Raises InputError; what was
    computed until then can be resumed.
    """
    started = time.perf_counter()
    plans, settings = prepare(paths, with_kept_words(settings, out) if resume else settings)
    job = Job(plans, settings, out, output_bags)
    state = _open_state(job, resume)
    try:
        evaluation = (compute or _evaluate)(job, state, started, interrupt)
    except BaseException:
        if not state.saved:
            state.remove()
        raise
    report(evaluation)
    if not evaluation.interrupted and not state.has_others:
        state.remove()
    return evaluation


def _open_state(job: Job, resume: bool) -> State:
    state = State(job.out, job.plans, job.settings)
    if resume:
        if not state.exists:
            raise InputError(f"{job.out} holds no unfinished evaluation to resume: leave --resume out")
        state.check()
        state.saved = True  # whatever fails from here on, it can still be resumed
        return state
    if state.exists:
        raise InputError(
            f"{job.out} holds an unfinished evaluation: go on with it with --resume, or remove {state.folder} to start "
            "anew"
        )
    state.create()
    return state


def _evaluate(job: Job, state: State, started: float, interrupt: Interrupt) -> Evaluation:
    # PyTorch takes seconds to import: wrong input is told before.
    from errseg_ros.evaluate_bag.models import Models

    progresses = [state.load(place) for place in range(len(job.plans))]
    models = Models(job.settings)
    stride = job.settings.stride
    parts: list[BagEvaluation] = []
    with tqdm(
        total=sum(plan.frames(stride) for plan in job.plans),
        initial=sum(-(-progress.next_index // stride) for progress in progresses),
        unit="image",
    ) as bar:

        def seconds() -> float:
            return state.earlier_seconds + time.perf_counter() - started

        saved = time.monotonic()
        for place, (plan, progress) in enumerate(zip(job.plans, progresses, strict=True)):

            def go_on(progress: Progress, place: int = place) -> bool:
                nonlocal saved
                bar.update()
                if time.monotonic() - saved > SAVE_SECONDS:
                    state.save(place, progress, seconds())
                    saved = time.monotonic()
                return interrupt.signal is None

            if interrupt.signal is not None:
                parts += [so_far(plan, job.settings, models, progress)] if len(progress.accumulator.rows) else []
                continue
            bar.set_description(plan.name)
            sink = job.output_bags.make(plan, job.settings) if job.output_bags and not progress.done else None
            try:
                parts.append(evaluate_one(plan, job.settings, models, progress, sink, go_on))
            except InputError as error:
                name = f"{plan.name}: " if len(job.plans) > 1 else ""
                raise InputError(f"{name}{error}{how_to_go_on(job, state, failed=1)}") from None
            state.save(place, progress, seconds())
    return conclude(parts, job, state, seconds(), any(not progress.done for progress in progresses))


def how_to_go_on(job: Job, state: State, failed: int) -> str:
    """The end of a message that so many bags cannot be done; nothing where nothing was kept."""
    if not state.saved:
        return ""
    without = " without --output-bag" if job.output_bags else ""
    leave_out = f", and may leave {'that bag' if failed == 1 else 'those bags'} out" if failed < len(job.plans) else ""
    return f"; what is done is kept: --resume{without} goes on{leave_out}"


def conclude(parts: Sequence[BagEvaluation], job: Job, state: State, seconds: float, interrupted: bool) -> Evaluation:
    """One evaluation of all bags. Raises InputError where there is not one image; then nothing is kept."""
    if not any(len(part.rows) for part in parts):
        problems = "; ".join(line for part in parts for line in part.summary.problems)
        reason = "interrupted before the first image" if interrupted else "no image could be evaluated"
        if not state.left_out:
            state.remove()
        raise InputError(f"{reason}, so there is nothing to report{f': {problems}' if problems else ''}")
    return merge(parts, job.settings, seconds, interrupted, state.side_by_side)
