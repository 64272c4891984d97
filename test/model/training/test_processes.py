"""Several processes compute what one does."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from errseg_model import InputError, create_model
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.trainer import Trainer

WriteRecipe = Callable[[Path, TrainingRecipe], Path]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the processes have: sums of more threads round differently, and the network's choices amplify that."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def gradients(recipe: TrainingRecipe, folder: Path) -> dict[str, torch.Tensor]:
    trainer = Trainer(recipe, folder)
    images, labels = next(trainer.batches(range(1)))
    trainer.compute_gradients(images, labels)
    return {name: p.grad for name, p in trainer.model.network.named_parameters() if p.grad is not None}


def test_two_processes_give_the_gradients_of_one_with_the_whole_batch(
    recipe: TrainingRecipe, tmp_path: Path, free_port: int, write_recipe: WriteRecipe
) -> None:
    # Crops differ in their void pixels and classes, so that means over each half would differ from that of both.
    recipe = dataclasses.replace(
        recipe, batch_size=4, sample_drive=None, min_classes=3, max_classes=3, scale=(0.1, 2.0)
    )
    whole = gradients(recipe, tmp_path)
    command = [sys.executable, __file__, str(write_recipe(tmp_path / "r.yaml", recipe)), str(tmp_path)]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port)}
    environment = {**os.environ, **shared, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(command, env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(2)
    ]
    assert [process.wait(timeout=250) for process in processes] == [0, 0]
    largest = max(gradient.abs().max() for gradient in whole.values())
    for rank in range(2):
        shared = torch.load(tmp_path / f"gradients{rank}.pt", weights_only=True)
        assert shared.keys() == whole.keys()
        for name, gradient in whole.items():
            torch.testing.assert_close(shared[name], gradient, rtol=1e-3, atol=1e-5 * float(largest), msg=name)


def test_accelerate_launch_trains_with_the_same_command(
    recipe: TrainingRecipe, tmp_path: Path, free_port: int, write_recipe: WriteRecipe
) -> None:
    recipe = dataclasses.replace(recipe, sample_drive=None, steps=2, mixed_precision="no")
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--main_process_port", str(free_port), "--num_cpu_threads_per_process", "1", "-m", "errseg_model"]
    command = ["train", "--config", str(write_recipe(tmp_path / "r.yaml", recipe)), "--folder", str(tmp_path / "run")]
    result = subprocess.run([sys.executable, *launch, *command], capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stderr[-2000:]
    file = tmp_path / "run" / "errseg-lite.safetensors"
    assert f"weights: {file}" in result.stdout
    alone = create_model("errseg-lite", Trainer(recipe, tmp_path / "alone").run()).network.state_dict()
    for name, tensor in create_model("errseg-lite", file).network.state_dict().items():
        torch.testing.assert_close(tensor, alone[name], rtol=1e-2, atol=1e-4, msg=name)


def test_a_batch_that_the_processes_cannot_share_is_refused(
    recipe: TrainingRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accelerate.Accelerator.num_processes", 3)
    with pytest.raises(InputError, match="batch_size 2 cannot be shared by 3 processes evenly"):
        Trainer(recipe, tmp_path)


if __name__ == "__main__":  # one of the two processes: recipe, folder
    folder = Path(sys.argv[2])
    torch.save(gradients(TrainingRecipe.read(sys.argv[1]), folder), folder / f"gradients{os.environ['RANK']}.pt")
