"""The training loop: one process or many, resumes to the same numbers, ends in a safetensors file."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import os
import pickle
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import accelerate  # type: ignore[import-untyped]
import numpy as np
import torch
from accelerate.utils import DistributedDataParallelKwargs  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from errseg_model.checkpoint import NO_PYTORCH_FILE, save_checkpoint
from errseg_model.config import model_config
from errseg_model.errors import InputError
from errseg_model.factory import create_model
from errseg_model.files import whole
from errseg_model.training.losses import Processes
from errseg_model.training.objective import TERMS, Objective
from errseg_model.training.parameters import create_optimizer, named_parameters
from errseg_model.training.pretrained import load_start
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.samples import StepBatches, TrainingCrops
from errseg_model.training.words import StepVocabulary, Words, WordSampler

LOG_EVERY = 10


class Trainer:
    """Trains a model by a recipe, in a folder that holds the state to resume from.

    Of several processes every one makes a Trainer; all read the folder, the first one writes.
    """

    def __init__(self, recipe: TrainingRecipe, folder: Path, workers: int = 0) -> None:
        """`workers` are processes that read pictures ahead, for each training process.

        Raises InputError: a recipe, data, weights or a state in the folder that do not fit.
        """
        self._accelerator = _create_accelerator(recipe)
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder, self._workers = recipe, folder, workers
        # Before the towers are built: wrong data should not cost half a minute.
        self._crops = TrainingCrops(recipe, model_config(recipe.model))
        self.model = create_model(recipe.model, random_weights=True)
        entries = self._crops.vocabulary.entries
        words = (
            Words.of_classes(entries, recipe.held_out)
            if recipe.words is None
            else Words.read(recipe.words, [entry.name for entry in entries], recipe.held_out)
        )
        imagenet = load_start(self.model, recipe, words)
        # After it: which names of ImageNet are unlike the classes is asked of the tower that it loads.
        self._sampler = WordSampler(words, recipe, self.model.text_tower, self.model.config.embedding_size)
        self._optimizer = create_optimizer(self.model, recipe)
        self._learning = {name: p for name, p in named_parameters(self.model) if p.requires_grad}
        self._inputs = self._digest_inputs(words)
        show = self._accelerator.is_main_process
        counts = self._crops.count_labels(show)
        if show:
            tqdm.write(str(counts), file=sys.stderr)
        objective = Objective(
            self.model,
            recipe,
            self._sampler.phrases,
            counts.weights(recipe.class_weight),
            Processes(self._accelerator.num_processes, self._sum, self._max),
            imagenet,
        )
        self._objective, self._prepared = self._accelerator.prepare(objective, self._optimizer)
        self._averages = {name: p.detach().clone() for name, p in self._learning.items()} if recipe.ema_decay else {}
        self.step = 0
        self._state = folder / "state.pt"
        if os.path.isfile(self._state):
            self._resume()

    def run(self, until: int | None = None) -> Path:
        """Train to the recipe's end, or to step `until`; returns the weights' file.

        Raises InputError: a picture that cannot be read, a training that diverged, or a folder that cannot be written;
        what was saved last stays.
        """
        recipe, first = self.recipe, self._accelerator.is_main_process
        end = min(recipe.steps, until or recipe.steps)
        self._crops.draw_frames(first)
        _train_mode(self.model.network)
        log = _Log(self.folder / "log.csv", self.step) if first else None
        bar = tqdm(initial=self.step, total=end, desc="training", unit="step", mininterval=5, disable=not first)
        with bar:
            for images, labels in self.batches(range(self.step, end)):
                terms = self.compute_gradients(images, labels)
                self._update()
                bar.update()
                logs, saves = (self.step % every == 0 or self.step == end for every in (LOG_EVERY, recipe.save_every))
                if logs:
                    shared: Tensor = self._accelerator.reduce(terms, "mean")
                    if log is not None:
                        log.write(self.step, recipe.learning_rate_factor(self.step - 1), shared.tolist())
                if logs or saves:
                    self._check_finite()
                if saves:
                    self._save()
        return self._export()

    def batches(self, steps: range) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's share of the crops of `steps`, on its device."""
        accelerator = self._accelerator
        numbers = StepBatches(steps, self.recipe.batch_size, accelerator.process_index, accelerator.num_processes)
        loader = DataLoader(self._crops, batch_sampler=numbers, num_workers=self._workers)
        try:
            for images, labels in loader:
                yield images.to(accelerator.device), labels.to(accelerator.device)
        except InputError as error:
            # A worker's error arrives with its whole traceback as the message.
            raise InputError(str(error).strip().splitlines()[-1].split("Error: ")[-1]) from None

    def compute_gradients(self, images: Tensor, labels: Tensor) -> Tensor:
        """The gradients of the present step, the same in all processes; returns this process's terms of the loss."""
        vocabulary = self._sampler.draw(np.random.default_rng((self.recipe.seed, self.step)))
        # Of what the network draws (drop_path): the same after a resume, and other numbers in every process.
        drawn = (self.recipe.seed, self.step, self._accelerator.process_index)
        torch.manual_seed(int(np.random.SeedSequence(drawn).generate_state(1, np.uint64)[0]))
        self._prepared.zero_grad()
        terms: Tensor = self._objective(images, labels, _to(vocabulary, images.device))
        self._accelerator.backward(terms.sum())
        return terms.detach()

    def _update(self) -> None:
        recipe = self.recipe
        if recipe.gradient_norm is not None:
            self._accelerator.clip_grad_norm_(self._learning.values(), recipe.gradient_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = group["base_rate"] * recipe.learning_rate_factor(self.step)
        self._prepared.step()
        if recipe.ema_decay is not None:
            averages, now = [*self._averages.values()], [p.detach() for p in self._learning.values()]
            torch._foreach_lerp_(averages, now, 1 - recipe.ema_decay)
        self.step += 1

    def _sum(self, tensor: Tensor) -> Tensor:
        total: Tensor = self._accelerator.reduce(tensor, "sum")
        return total

    def _max(self, tensor: Tensor) -> Tensor:
        largest: Tensor = self._accelerator.gather(tensor).max()
        return largest

    def _check_finite(self) -> None:
        """Raises InputError once a weight is nan or infinite, which it then stays."""
        norms = torch.stack(torch._foreach_norm([p.detach() for p in self._learning.values()]))
        if not norms.isfinite().all():
            raise InputError(
                f"the training diverged by step {self.step}: its weights are no longer numbers. Lower the recipe's "
                "learning_rate, or give it a gradient_norm, and name another --folder"
            )

    def _save(self) -> None:
        """Write what a resumed run needs; nothing else is random or kept. Raises InputError: it cannot be written."""
        if self._accelerator.is_main_process:
            scaler = self._accelerator.scaler
            state = {
                "recipe": dataclasses.asdict(self.recipe),
                "inputs": self._inputs,
                "step": self.step,
                "learning": {name: parameter.detach() for name, parameter in self._learning.items()},
                "averages": self._averages,
                "optimizer": self._optimizer.state_dict(),
                "scaler": scaler.state_dict() if scaler is not None else None,
            }
            with whole(self._state) as partial, open(partial, "wb") as file:
                try:
                    torch.save(state, file)
                except RuntimeError as error:  # of the file that is not whole; why it is not lies behind it
                    raise error.__context__ if isinstance(error.__context__, OSError) else error from None
        self._accelerator.wait_for_everyone()

    def _digest_inputs(self, words: Words) -> dict[str, str]:
        """What the recipe only names and a resumed run reads anew, in the words of a message."""
        frozen = {name: tensor for name, tensor in self.model.named_tensors().items() if name not in self._learning}
        return {
            "words": _digest(words),
            "pictures": _digest(self._crops.names),
            "classes or their ids": _digest(self._crops.class_ids),
            "frozen weights (of start_from or pretrained)": _digest_tensors(frozen),
        }

    def _resume(self) -> None:
        try:
            # Not to the GPU: AdamW counts its steps on the CPU and would wait for every one of them.
            state = torch.load(self._state, map_location="cpu", weights_only=True)
            recipe, inputs = state["recipe"], state["inputs"]
        except (pickle.UnpicklingError, *NO_PYTORCH_FILE):
            raise InputError(f"{self._state} is no state of a training: delete it, or name another --folder") from None
        own = dataclasses.asdict(self.recipe)
        if changed := [name for name in own if own[name] != recipe.get(name)]:
            raise InputError(
                f"{self.folder} holds a training by another recipe ({', '.join(changed)} differ): "
                "name another --folder, or delete state.pt there"
            )
        if changed := [name for name in self._inputs if self._inputs[name] != inputs.get(name)]:
            raise InputError(
                f"{self.folder} holds a training whose {' and '.join(changed)} have changed since: "
                "put them back, name another --folder, or delete state.pt there"
            )
        self.step = state["step"]
        with torch.no_grad():
            for values, into in ((state["learning"], self._learning), (state["averages"], self._averages)):
                for name, tensor in into.items():
                    tensor.copy_(values[name])
        self._optimizer.load_state_dict(state["optimizer"])
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state["scaler"])

    def _export(self) -> Path:
        """The model's weights, averaged where the recipe averages."""
        path = self.folder / f"{self.recipe.model}.safetensors"
        if self._accelerator.is_main_process:
            save_checkpoint(path, self.model.named_tensors() | self._averages, self.recipe.model)
        self._accelerator.wait_for_everyone()
        return path


def _create_accelerator(recipe: TrainingRecipe) -> accelerate.Accelerator:
    """Raises InputError: a precision that the device lacks, or a batch that the processes cannot share."""
    try:
        accelerator = accelerate.Accelerator(
            mixed_precision=recipe.mixed_precision,
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
    except ValueError as error:
        raise InputError(f"recipe: mixed_precision {recipe.mixed_precision} is not to be had here: {error}") from None
    if recipe.batch_size % accelerator.num_processes:
        raise InputError(
            f"recipe: batch_size {recipe.batch_size} cannot be shared by {accelerator.num_processes} processes evenly"
        )
    return accelerator


def _digest(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _to(vocabulary: StepVocabulary, device: torch.device) -> StepVocabulary:
    return dataclasses.replace(
        vocabulary,
        class_of=vocabulary.class_of.to(device),
        relatives_of=vocabulary.relatives_of.to(device),
        uniform=vocabulary.uniform.to(device),
        shift=None if vocabulary.shift is None else vocabulary.shift.to(device),
        name_shift=vocabulary.name_shift.to(device),
    )


def _train_mode(network: nn.Module) -> None:
    """Train everything but the statistics of the batch norms: batches are small and of two strides."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


class _Log:
    """`log.csv`: steps, seconds of this run, the factor on the learning rate, and terms of the loss."""

    def __init__(self, path: Path, step: int) -> None:
        """Goes on after `step`; what an interrupted run logged beyond it is dropped, and what is no row of a log.

        Raises InputError: it cannot be read or written.
        """
        self._path, self._started = path, time.monotonic()
        with whole(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
            # Not by csv, which a file of another kind ends in an error.
            text = path.read_text(encoding="utf-8", errors="replace") if os.path.isfile(path) else ""
            csv.writer(file).writerow(["step", "seconds", "rate", *TERMS])
            for row in text.splitlines()[1:]:
                number = row.split(",")[0]
                if number.isdecimal() and len(number) < 20 and int(number) <= step:
                    file.write(f"{row}\r\n")

    def write(self, step: int, rate: float, terms: list[float]) -> None:
        """Raises InputError: it cannot be written."""
        seconds = time.monotonic() - self._started
        try:
            with open(self._path, "a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow([step, f"{seconds:.1f}", f"{rate:.6f}", *(f"{term:.5f}" for term in terms)])
        except OSError as error:
            raise InputError(f"{self._path} cannot be written: {error.strerror or error}") from None
