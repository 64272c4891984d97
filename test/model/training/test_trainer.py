"""Training for real, for a few steps on tiny pictures: it learns, and it resumes to the same numbers."""

from __future__ import annotations

import csv
import dataclasses
import resource
import shutil
from pathlib import Path

import pytest
import torch

from errseg_model import InputError, create_model
from errseg_model.checkpoint import save_checkpoint
from errseg_model.training.objective import TERMS
from errseg_model.training.prototypes import imagenet_names
from errseg_model.training.recipe import DatasetSource, FolderSource, TrainingRecipe
from errseg_model.training.trainer import Trainer, _Log


def losses(folder: Path) -> dict[int, float]:
    with open(folder / "log.csv", encoding="utf-8") as file:
        return {int(row["step"]): sum(float(row[term]) for term in TERMS) for row in csv.DictReader(file)}


def test_an_interrupted_training_resumes_to_the_same_weights(recipe: TrainingRecipe, tmp_path: Path) -> None:
    whole = Trainer(recipe, tmp_path / "whole")
    file = whole.run()
    parts = tmp_path / "parts"
    Trainer(recipe, parts).run(until=3)
    with open(parts / "log.csv", "a", encoding="utf-8") as log:
        log.write("4,9.9,0.1,9,9,9,9,9\n")  # logged by a run that was cut off before it saved
    again = Trainer(recipe, parts)
    assert again.step == 3
    resumed = again.run()
    expected = create_model("errseg-lite", file).network.state_dict()  # what a user loads
    for name, tensor in create_model("errseg-lite", resumed).network.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0, msg=name)
    for name, tensor in whole.model.network.state_dict().items():
        torch.testing.assert_close(again.model.network.state_dict()[name], tensor, rtol=0, atol=0, msg=name)
    assert list(losses(parts)) == [3, 6] and losses(parts)[6] == losses(tmp_path / "whole")[6]


def test_what_the_network_draws_is_the_same_after_a_resume_and_with_workers(
    recipe: TrainingRecipe, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(recipe, drop_path=0.3, steps=4, sample_drive=None)
    plain = Trainer(dataclasses.replace(recipe, drop_path=0.0), tmp_path / "plain")
    plain.run()
    whole = Trainer(recipe, tmp_path / "whole")
    whole.run()
    Trainer(recipe, tmp_path / "parts").run(until=2)
    torch.rand(3)  # what a process has drawn before does not matter
    resumed = Trainer(recipe, tmp_path / "parts", workers=1)
    resumed.run()
    for name, tensor in whole.model.network.state_dict().items():
        torch.testing.assert_close(resumed.model.network.state_dict()[name], tensor, rtol=0, atol=0, msg=name)
    name = "escf.1.spatial_fusion.sa.mlp.fc1.weight"
    assert not torch.equal(whole.model.network.state_dict()[name], plain.model.network.state_dict()[name])


def test_a_few_steps_lower_the_loss_and_move_the_averages(recipe: TrainingRecipe, tmp_path: Path) -> None:
    plain = dataclasses.replace(
        recipe, sample_drive=None, distractors=0, compounds=0, word_noise=0.0, prototype_weight=0.0, teacher_weight=0.0
    )
    # With a K of its own in every step the losses could not be compared.
    longer = dataclasses.replace(plain, steps=120, learning_rate=0.0005, min_classes=recipe.max_classes)
    trainer = Trainer(longer, tmp_path)
    before = {name: tensor.clone() for name, tensor in trainer.model.network.state_dict().items()}
    file = trainer.run()
    found = losses(tmp_path)
    assert sum(found[step] for step in (100, 110, 120)) < 0.93 * sum(found[step] for step in (10, 20, 30)), found
    after = create_model("errseg-lite", file).network.state_dict()
    moved = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert "decoder.head.weight" in moved and "hsm.image_tower.trunk.blocks.3.0.conv_pw.weight" in moved
    assert "hsm.image_tower.trunk.blocks.1.0.conv_pw.weight" not in moved


def test_a_training_starts_from_the_weights_that_the_recipe_names(recipe: TrainingRecipe, tmp_path: Path) -> None:
    first = Trainer(recipe, tmp_path / "first")
    file = first.run(until=1)
    second = Trainer(dataclasses.replace(recipe, start_from=str(file)), tmp_path / "second")
    expected = create_model("errseg-lite", file).network.state_dict()
    for name, tensor in second.model.network.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0, msg=name)


def test_a_training_without_averages_gives_the_weights_of_its_last_step(recipe: TrainingRecipe, tmp_path: Path) -> None:
    trainer = Trainer(dataclasses.replace(recipe, ema_decay=None, steps=2), tmp_path)
    written = create_model("errseg-lite", trainer.run()).network.state_dict()
    for name, tensor in trainer.model.network.state_dict().items():
        torch.testing.assert_close(written[name], tensor, rtol=0, atol=0, msg=name)


def test_workers_read_what_the_training_itself_would_have_read(recipe: TrainingRecipe, tmp_path: Path) -> None:
    short = dataclasses.replace(recipe, sample_drive=None)
    alone = list(Trainer(short, tmp_path).batches(range(4)))
    helped = list(Trainer(short, tmp_path, workers=2).batches(range(4)))
    assert len(alone) == 4
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_low_precision_trains(recipe: TrainingRecipe, tmp_path: Path) -> None:
    trainer = Trainer(dataclasses.replace(recipe, mixed_precision="bf16", sample_drive=None, steps=2), tmp_path)
    trainer.run()
    assert all(torch.isfinite(tensor).all() for tensor in trainer.model.network.state_dict().values())


def test_another_recipe_does_not_go_on_with_a_state(recipe: TrainingRecipe, tmp_path: Path) -> None:
    Trainer(recipe, tmp_path).run(until=1)
    with pytest.raises(InputError, match=r"another recipe \(learning_rate differ\): name another --folder"):
        Trainer(dataclasses.replace(recipe, learning_rate=0.1), tmp_path)


def test_other_words_do_not_go_on_with_a_state(recipe: TrainingRecipe, tmp_path: Path) -> None:
    """The recipe names a file of words; a resumed run with other ones would not give the numbers of one run."""
    words = tmp_path / "words.yaml"
    text = Path(str(recipe.words)).read_text()
    words.write_text(text)
    own = dataclasses.replace(recipe, words=str(words))
    Trainer(own, tmp_path).run(until=1)
    words.write_text("# A comment changes nothing.\n" + text)
    assert Trainer(own, tmp_path).step == 1
    words.write_text(text.replace("- cyclists\n", "- people cycling\n"))
    with pytest.raises(InputError, match="a training whose words have changed since: put them back"):
        Trainer(own, tmp_path)


def test_other_pictures_do_not_go_on_with_a_state(recipe: TrainingRecipe, tmp_path: Path) -> None:
    Trainer(recipe, tmp_path).run(until=1)
    assert isinstance(recipe.data, DatasetSource)
    for folder in ("images", "labels"):
        first = Path(recipe.data.root, "train", folder, "a_1.png")
        shutil.copy(first, first.with_name("a_3.png"))
    with pytest.raises(InputError, match="a training whose pictures have changed since"):
        Trainer(recipe, tmp_path)


def test_other_ids_of_the_classes_do_not_go_on_with_a_state(
    recipe: TrainingRecipe, tmp_path: Path, tiny_camvid: Path
) -> None:
    classes = tiny_camvid / "classes.yaml"
    source = FolderSource(*(str(tiny_camvid / "train" / folder) for folder in ("images", "labels")), str(classes))
    own = dataclasses.replace(recipe, data=source, sample_drive=None, words=None)
    classes.write_text("0: sky\n3: road\n11: bonnet\n")
    Trainer(own, tmp_path).run(until=1)
    classes.write_text("3: sky\n0: road\n11: bonnet\n")
    with pytest.raises(InputError, match="a training whose classes or their ids have changed since: put them back"):
        Trainer(own, tmp_path)


def test_other_weights_to_start_from_do_not_go_on_with_a_state(recipe: TrainingRecipe, tmp_path: Path) -> None:
    """What is frozen is in no state: a resumed run would put two models together."""
    file = tmp_path / "start.safetensors"
    model = create_model("errseg-lite", random_weights=True)
    save_checkpoint(file, model.named_tensors(), "errseg-lite")
    own = dataclasses.replace(recipe, start_from=str(file))
    Trainer(own, tmp_path).run(until=1)
    assert Trainer(own, tmp_path).step == 1
    with torch.no_grad():
        model.network.hsm.image_tower.trunk.conv_stem.weight.mul_(1.1)
    save_checkpoint(file, model.named_tensors(), "errseg-lite")
    with pytest.raises(InputError, match=r"whose frozen weights \(of start_from or pretrained\) have changed since"):
        Trainer(own, tmp_path)


def test_a_state_is_read_on_the_cpu(recipe: TrainingRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AdamW's counts of steps stay where they are read, and on a GPU every step would wait for them."""
    Trainer(recipe, tmp_path).run(until=1)
    load, places = torch.load, []
    monkeypatch.setattr(torch, "load", lambda *args, **options: places.append(options) or load(*args, **options))
    Trainer(recipe, tmp_path)
    assert [options["map_location"] for options in places if "map_location" in options][-1] == "cpu"


def test_the_labels_are_told_once_as_the_training_begins(
    recipe: TrainingRecipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Trainer(recipe, tmp_path)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("labels of 3 of 3 pictures: 4.2%")]
    assert len(told) == 1 and "none is labelled building, pole, pavement" in told[0]


def test_a_damaged_state_is_refused(recipe: TrainingRecipe, tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match=r"state.pt is no state of a training"):
        Trainer(recipe, tmp_path)


def test_a_training_that_diverges_says_so_and_keeps_what_was_saved(recipe: TrainingRecipe, tmp_path: Path) -> None:
    Trainer(recipe, tmp_path).run(until=3)
    saved = (tmp_path / "state.pt").read_bytes()
    again = Trainer(recipe, tmp_path)
    with torch.no_grad():
        next(iter(again._learning.values())).mul_(float("inf"))
    with pytest.raises(InputError, match=r"diverged by step 6: .* Lower the recipe's learning_rate"):
        again.run()
    assert (tmp_path / "state.pt").read_bytes() == saved
    assert "nan" in (tmp_path / "log.csv").read_text().splitlines()[-1]


def test_a_state_that_does_not_fit_on_the_disk_is_one_message_and_the_last_one_stays(
    recipe: TrainingRecipe, tmp_path: Path
) -> None:
    Trainer(recipe, tmp_path).run(until=3)
    saved = (tmp_path / "state.pt").read_bytes()
    again = Trainer(recipe, tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(saved) // 2, limits[1]))
    try:
        with pytest.raises(InputError, match=r"state\.pt cannot be written: File too large"):
            again.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "state.pt").read_bytes() == saved
    assert sorted(path.name for path in tmp_path.glob("*.p*")) == ["state.pt"]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", "step\n1,2\n".encode("utf-16"), b"step\n\xb2,1\n" + b"9" * 200_000, b"\0\n\0\n"]
)
def test_what_is_no_log_is_dropped(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log.csv").write_bytes(content)
    _Log(tmp_path / "log.csv", 5).write(6, 1.0, [0.0] * len(TERMS))
    assert list(losses(tmp_path)) == [6]


def test_a_log_that_does_not_fit_on_the_disk_is_one_message(tmp_path: Path) -> None:
    log = _Log(tmp_path / "log.csv", 0)
    (tmp_path / "log.csv").unlink()
    (tmp_path / "log.csv").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"log\.csv cannot be written: No space left on device"):
        log.write(1, 1.0, [0.0])


def test_what_no_label_names_is_trained_by_the_teacher(recipe: TrainingRecipe, tmp_path: Path) -> None:
    """With void everywhere nothing but the teacher tells what is there."""
    trainer = Trainer(recipe, tmp_path)
    images, labels = torch.randint(0, 255, (2, 3, 64, 64)), torch.full((2, 64, 64), 11)
    unsure, sure = torch.full((2, 1000, 4, 4), 0.001), torch.zeros(2, 1000, 4, 4)
    sure[:, imagenet_names().index("unicycle")] = 1.0
    for said, trained in ((unsure, {"prototype", "teacher"}), (sure, set(TERMS))):
        trainer._objective._teacher.forward = lambda images, said=said: said
        terms = zip(TERMS, trainer.compute_gradients(images, labels).tolist(), strict=True)
        assert {term for term, value in terms if value} == trained


def test_without_a_teacher_void_stays_void(recipe: TrainingRecipe, tmp_path: Path) -> None:
    trainer = Trainer(dataclasses.replace(recipe, teacher_weight=0.0), tmp_path)
    images, labels = torch.randint(0, 255, (2, 3, 64, 64)), torch.full((2, 64, 64), 11)
    terms = dict(zip(TERMS, trainer.compute_gradients(images, labels).tolist(), strict=True))
    assert [term for term, value in terms.items() if value] == ["prototype"]
