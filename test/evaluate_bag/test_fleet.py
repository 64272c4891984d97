"""evaluate_bag --ray against a real cluster of two nodes on this machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest

from errseg_model.sample_drive import SampleDrive
from errseg_ros.bags import BagReader
from errseg_ros.evaluate_bag.plan import prepare
from errseg_ros.evaluate_bag.state import State
from errseg_ros.sample_bag import write_sample_bag

pytest.importorskip("ray", reason="needs Ray: pip install '.[fleet]'")

OPTIONS = ("--image-topic", "/camera/image", "--label-topic", "/camera/labels", "--input-size", "64x64")
STORE = 80_000_000
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
# Work on the bag "two" takes long enough for a test to meet it, and is saved often.
SLOW = """
import time
import errseg_ros.evaluate_bag.fleet.run as run
def slow(assignment, evaluate=run.evaluate):
    import errseg_ros.evaluate_bag.fleet.task as task
    from errseg_ros.evaluate_bag.accumulator import Accumulator
    task.SAVE_SECONDS = task.REACHED_SECONDS = 0.2
    seconds = 0.25 if assignment.plan.name == "two" else 0.02
    add = Accumulator.add
    Accumulator.add = lambda self, answer: (time.sleep(seconds), add(self, answer))
    try:
        yield from evaluate(assignment)
    finally:
        Accumulator.add = add
slow.__module__ = "__main__"
run.evaluate = slow
"""

# Writes down which images are computed.
TOLD = """
import errseg_ros.evaluate_bag.fleet.run as run
def told(assignment, evaluate=run.evaluate):
    from errseg_ros.evaluate_bag.accumulator import Accumulator
    add = Accumulator.add
    def added(self, answer):
        with open({file!r}, "a") as file:
            print(assignment.plan.name, answer.index, file=file)
        add(self, answer)
    Accumulator.add = added
    try:
        yield from evaluate(assignment)
    finally:
        Accumulator.add = add
told.__module__ = "__main__"
run.evaluate = told
"""


class Cluster:
    """Two nodes with one core each. A test may take the second away; `complete` brings it back."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()
        self._seen: set[psutil.Process] = set()
        self._head = self._add()
        self._second = self._add()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def complete(self) -> None:
        if self._second is None:
            self._second = self._add()

    def is_on_second(self, pid: int) -> bool:
        """Whether a worker process belongs to the second node."""
        raylet = self._second.all_processes["raylet"][0].process.pid
        return raylet in [parent.pid for parent in psutil.Process(pid).parents()]

    def kill_second(self) -> None:
        """End the second node and its workers with SIGKILL."""
        self.workers()
        self._cluster.remove_node(self._second, allow_graceful=False)
        self._second = None

    def workers(self) -> dict[str, int]:
        """By bag the process that it is evaluated in."""
        # The cluster's processes are descendants of this one; others may use Ray on this machine, too.
        processes = psutil.Process().children(recursive=True)
        self._seen.update(processes)
        found = {}
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                title = " ".join(process.cmdline()).strip()
                if title.startswith("ray::evaluate "):
                    found[title.removeprefix("ray::evaluate ").strip()] = process.pid
        return found

    def shutdown(self) -> None:
        """Ends it, and sees that no process is left behind."""
        self.workers()
        self._cluster.shutdown()
        _, left = psutil.wait_procs(self._seen, timeout=30)
        assert not [process for process in left if process.status() != psutil.STATUS_ZOMBIE]

    def _add(self) -> Any:
        return self._cluster.add_node(
            num_cpus=1, object_store_memory=STORE, include_dashboard=False, dashboard_port=None
        )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as context:
        context.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Of other programs' memory the tests are not to die.
        context.setenv("RAY_memory_monitor_refresh_ms", "0")
        cluster = Cluster()
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three drives; of one the end is cut off."""
    folder = tmp_path_factory.mktemp("bags")
    paths = [folder / name for name in ("one", "two", "damaged")]
    for seconds, path in zip((2.0, 2.4, 2.0), paths, strict=True):
        write_sample_bag(path, SampleDrive(height=48, width=64, duration_s=seconds))
    file = paths[2] / "damaged.mcap"
    os.truncate(file, file.stat().st_size * 2 // 3)
    return paths


def command(arguments: Sequence[Any], prepare: str = "") -> list[str]:
    """The real command in a process of its own, after some lines of Python."""
    code = f"import sys\n{prepare}\nfrom errseg_ros.evaluate_bag.main import main\nsys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", code, *(str(argument) for argument in (*arguments, *OPTIONS))]


def run(*arguments: Any, prepare: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(arguments, prepare), capture_output=True, text=True, timeout=200, env=ENVIRONMENT)


class Running:
    """A command at work on a cluster."""

    def __init__(self, *arguments: Any, errors: Path) -> None:
        self._errors = errors
        with errors.open("w") as file:
            self.process = subprocess.Popen(
                command(arguments, SLOW), stdout=subprocess.DEVNULL, stderr=file, env=ENVIRONMENT
            )

    def errors(self) -> str:
        return self._errors.read_text()


def report(out: Path) -> dict[str, Any]:
    """What must be equal in two runs: all but times."""
    content = json.loads((out / "report.json").read_text())
    for name in ("latency_ms", "frames_per_second", "wall_seconds", "loop_seconds", "model_seconds"):
        del content[name]
    return dict(content)


def frames(out: Path) -> pl.DataFrame:
    return pl.read_parquet(out / "frames.parquet").drop("latency_ms")


def kept(out: Path, bags: Sequence[Path], make_settings: Callable[..., Any]) -> State:
    """What is kept of an unfinished evaluation of bags."""
    plans, settings = prepare(bags, make_settings(image_topic="/camera/image", label_topic="/camera/labels"))
    return State(out, plans, settings)


@pytest.fixture(scope="module")
def here(bags: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run without Ray."""
    out = tmp_path_factory.mktemp("here")
    result = run(*bags, "--out", out)
    assert result.returncode == 0, result.stderr
    return out


def assert_same(out: Path, here: Path) -> None:
    assert report(out) == report(here)
    assert frames(out).equals(frames(here))
    assert sorted(path.name for path in out.iterdir()) == ["frames.parquet", "report.html", "report.json"]


def test_a_cluster_gives_the_report_of_this_machine_and_the_output_bags(
    cluster: Cluster, bags: list[Path], here: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = run(*bags, "--out", out, "--ray", cluster.address, "--output-bag", tmp_path / "masks")
    assert result.returncode == 0, result.stderr
    assert_same(out, here)
    figures = json.loads((out / "report.json").read_text())
    assert figures["frames_per_second"] == pytest.approx(figures["frames"] / figures["wall_seconds"])
    assert "damaged.mcap is damaged" in result.stdout
    assert f"{len(frames(here))}/" in result.stderr
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == ["damaged", "one", "two"]
    # Ray keeps silent.
    assert not [line for line in result.stderr.splitlines() if "ray" in line.lower()]
    assert "ray" not in result.stdout.lower()


def test_a_worker_that_is_killed_changes_nothing_in_the_report(
    cluster: Cluster,
    bags: list[Path],
    here: Path,
    tmp_path: Path,
    make_settings: Callable[..., Any],
    wait_for: Callable[..., None],
) -> None:
    out = tmp_path / "out"
    running = Running(*bags, "--out", out, "--ray", cluster.address, errors=tmp_path / "errors")
    file = kept(out, bags, make_settings).path(1)
    wait_for(lambda: file.is_file() or running.process.poll() is not None)
    assert "two" in cluster.workers(), running.errors()
    os.kill(cluster.workers()["two"], signal.SIGKILL)
    assert running.process.wait(timeout=200) == 0, running.errors()
    assert "evaluate_bag: two: its worker on machine " in running.errors()
    assert "was lost; trying again from image " in running.errors()
    assert running.errors().count("trying again") == 1
    assert_same(out, here)


def test_workers_that_are_killed_leave_whole_output_bags_and_nothing_else(
    cluster: Cluster, bags: list[Path], here: Path, tmp_path: Path
) -> None:
    # The first worker of "two" dies within the bag, the second when all is written and nothing of it told.
    killed = f"""
import os, pathlib, signal
import errseg_ros.evaluate_bag.fleet.run as run
def fragile(assignment, evaluate=run.evaluate):
    import errseg_ros.evaluate_bag.fleet.task as task
    task.REACHED_SECONDS = 0.0
    attempts = pathlib.Path({str(tmp_path / "attempts")!r})
    for message in evaluate(assignment):
        if assignment.plan.name == "two" and isinstance(message, (task.Reached, task.Saved)):
            attempts.mkdir(exist_ok=True)
            before = len(list(attempts.iterdir()))
            if (before, type(message)) in ((0, task.Reached), (1, task.Saved)):
                (attempts / str(before)).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        yield message
fragile.__module__ = "__main__"
run.evaluate = fragile
"""
    out, masks = tmp_path / "out", tmp_path / "masks"
    result = run(*bags, "--out", out, "--ray", cluster.address, "--output-bag", masks, prepare=killed)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("two: its worker on machine ") == 2
    assert_same(out, here)
    assert sorted(path.name for path in masks.iterdir()) == ["damaged", "one", "two"]
    with BagReader(masks / "two") as reader:
        assert reader.topics["/errseg/camera/mask"].count == len(frames(here).filter(pl.col("bag") == "two"))


def test_a_node_that_is_lost_changes_nothing_in_the_report(
    cluster: Cluster, bags: list[Path], here: Path, tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    out = tmp_path / "out"
    # Both bags take long, whichever node has which.
    running = Running(bags[0], bags[2], bags[1], "--out", out, "--ray", cluster.address, errors=tmp_path / "errors")

    def lost_one() -> str | None:
        return next((bag for bag, pid in cluster.workers().items() if cluster.is_on_second(pid)), None)

    wait_for(lambda: lost_one() is not None or running.process.poll() is not None)
    bag = lost_one()
    assert bag is not None, running.errors()
    cluster.kill_second()
    try:
        assert running.process.wait(timeout=200) == 0, running.errors()
    finally:
        cluster.complete()
    assert f"evaluate_bag: {bag}: its worker " in running.errors()
    assert "lost; trying again from " in running.errors()
    found, wanted = report(out), report(here)
    assert found.pop("bags") == [wanted["bags"][place] for place in (0, 2, 1)]
    del wanted["bags"]
    assert found.keys() == wanted.keys()
    assert (found["miou"], found["iou"], found["frames"]) == (wanted["miou"], wanted["iou"], wanted["frames"])
    assert frames(out).sort("bag", "index").equals(frames(here).sort("bag", "index"))


def test_ctrl_c_reports_what_is_done_and_resume_does_the_rest_only(
    cluster: Cluster,
    bags: list[Path],
    here: Path,
    tmp_path: Path,
    make_settings: Callable[..., Any],
    wait_for: Callable[..., None],
) -> None:
    out = tmp_path / "out"
    arguments = (*bags, "--out", out, "--ray", cluster.address)
    running = Running(*arguments, errors=tmp_path / "errors")
    state = kept(out, bags, make_settings)

    def one_is_done_and_two_begun() -> bool:
        return re.search("[12] of 3 bags", running.errors()) is not None and state.path(1).is_file()

    wait_for(lambda: one_is_done_and_two_begun() or running.process.poll() is not None)
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(timeout=200) == 130, running.errors()
    assert "Traceback" not in running.errors()
    assert "Give the same command with --resume" in running.errors()
    part = report(out)
    assert part["interrupted"]
    whole = frames(here)
    done = frames(out)
    assert done.join(whole, on=["bag", "index"], how="semi").equals(done)
    assert len(done) < len(whole)
    stood = [state.load(place) for place in range(len(bags))]
    assert stood[0].done and not stood[1].done and stood[1].next_index > 0
    computed = tmp_path / "computed"
    result = run(*arguments, "--resume", prepare=TOLD.format(file=str(computed)))
    assert result.returncode == 0, result.stderr
    assert_same(out, here)
    left = [
        f"{bag.name} {index}"
        for bag, progress in zip(bags, stood, strict=True)
        for index in whole.filter(pl.col("bag") == bag.name)["index"]
        if index >= progress.next_index
    ]
    assert sorted(computed.read_text().splitlines()) == sorted(left)


def test_a_bag_that_is_wrong_does_not_stop_the_others_nor_lock_them_in(
    cluster: Cluster, bags: list[Path], here: Path, tmp_path: Path, make_settings: Callable[..., Any]
) -> None:
    out, masks = tmp_path / "out", tmp_path / "masks"
    # What nobody can see before: somebody else takes the place of a bag's output meanwhile.
    taken = (
        "import errseg_ros.evaluate_bag.run as run\n"
        "import pathlib\n"
        "prepare = run.prepare\n"
        "def prepared(*arguments):\n"
        f"    pathlib.Path({str(masks / 'one')!r}).mkdir(parents=True)\n"
        "    return prepare(*arguments)\n"
        "run.prepare = prepared\n"
    )
    arguments = (*bags, "--out", out, "--ray", cluster.address)
    result = run(*arguments, "--output-bag", masks, prepare=taken)
    assert result.returncode == 2
    (*_, line) = result.stderr.strip().splitlines()
    assert line.startswith(f"evaluate_bag: error: one: {masks / 'one'} exists already: remove it")
    told = "; what is done is kept: --resume without --output-bag goes on, and may leave that bag out"
    assert line.endswith(told)
    assert not (out / "report.html").exists()
    assert list((masks / "one").iterdir()) == []
    state = kept(out, bags, make_settings)
    assert set(state.folder.glob("*.npz")) == {state.path(1), state.path(2)}
    result = run(*bags[1:], "--out", out, "--ray", cluster.address, "--resume")
    assert result.returncode == 0, result.stderr
    assert frames(out).equals(frames(here).filter(pl.col("bag") != "one"))
    assert not (out / ".evaluate_bag").exists()


def test_a_worker_that_does_not_see_the_bag_tells_machine_and_path(
    cluster: Cluster, bags: list[Path], tmp_path: Path
) -> None:
    bag = tmp_path / "mine"
    write_sample_bag(bag, SampleDrive(height=48, width=64, duration_s=0.3))
    gone = (
        "import errseg_ros.evaluate_bag.run as run\n"
        "import pathlib\n"
        "prepare = run.prepare\n"
        "def prepared(*arguments):\n"
        "    found = prepare(*arguments)\n"
        f"    pathlib.Path({str(bag)!r}).rename({str(tmp_path / 'elsewhere')!r})\n"
        "    return found\n"
        "run.prepare = prepared\n"
    )
    result = run(bag, "--out", tmp_path / "out", "--ray", cluster.address, prepare=gone)
    assert result.returncode == 2
    (*_, line) = result.stderr.strip().splitlines()
    assert line.startswith("evaluate_bag: error: machine ")
    assert f"does not see {bag}: bags have to lie on storage that all machines" in line
    assert not list((tmp_path / "out").iterdir())
