"""Training: convergence, best weights, skipped steps, settings and results."""

import csv
import dataclasses
import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import cdzoo
from cdzoo.data.folder import FolderPairs
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.fit import train
from cdzoo.errors import ConfigError, TrainingError
from cdzoo.io.files import file_sha256
from cdzoo.metrics import Confusion
from cdzoo.models.preprocess import normalize
from cdzoo.registry import FUSIONS
from cdzoo.results import Results
from cdzoo.tasks import BinaryTask

QUICK = TrainCfg(epochs=2, batch_size=2, lr=1e-3, crop=32, progress=False, device="cpu")


def test_learns_and_saves_the_best_weights(tiny, pair_folder, tmp_path):
    samples = FolderPairs(pair_folder(4, 48))
    model = tiny()
    cfg = dataclasses.replace(
        QUICK, epochs=50, batch_size=4, lr=1e-2, crop=48, loss="bce+dice", seed=1, validate_every=10, pictures_every=50
    )
    trained = train(model, samples, samples, cfg, tmp_path / "out", facts={"data": "itself", "remark": 1})
    assert trained.scores.f1 == trained["f1"] > 0.8
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["scores"] == trained.scores.to_dict() and results["data"] == "itself" and results["remark"] == 1
    assert Results.read(tmp_path / "out" / "results.json") == trained
    assert results["training"]["lr"] == 1e-2 and results["provenance"] == "measured"
    assert results["weights_sha256"] == file_sha256(tmp_path / "out" / "model.safetensors")
    assert results["environment"]["versions"]["torch"] == torch.__version__.split("+")[0]
    assert results["environment"]["hardware"]["device"] == "cpu"
    with Image.open(tmp_path / "out" / "pictures" / "epoch_0050.png") as picture:
        assert picture.width > 5 * 48
    rows = list(csv.DictReader((tmp_path / "out" / "log.csv").open()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 51))
    assert [bool(row["f1"]) for row in rows[:10]] == [False] * 9 + [True]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"]) / 2

    loaded = cdzoo.create_model(f"local-dir:{tmp_path / 'out'}").eval()
    again = Confusion(0, 0, 0, 0)
    for sample in samples:
        change = cdzoo.predict_pair(loaded, *(image.permute(1, 2, 0).numpy() for image in sample.images))
        again += Confusion.of(torch.from_numpy(change.mask), sample.target["mask"])
    assert again.to_dict().items() <= trained.scores.to_dict().items()
    assert not model.training
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True))


@pytest.mark.parametrize("fusion", FUSIONS.list())
def test_every_fusion_trains(tiny, pair_folder, fusion):
    samples = FolderPairs(pair_folder(2, 40))
    train(tiny(fusion=fusion), samples, samples, QUICK)


def test_two_classes_train_with_cross_entropy(tiny, pair_folder):
    samples = FolderPairs(pair_folder(2, 40))
    train(tiny(num_classes=2), samples, samples, QUICK)


def test_the_same_seed_gives_the_same_weights(tiny, pair_folder):
    samples = FolderPairs(pair_folder(4, 48))
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(0)
        model = tiny()
        train(model, samples, samples, TrainCfg(epochs=2, batch_size=2, crop=32, seed=seed, progress=False, device="cpu"))
        states.append(torch.cat([v.flatten().float() for v in model.state_dict().values()]))
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


def test_non_finite_losses_stop_training_without_weights(tiny, pair_folder, tmp_path):
    samples = FolderPairs(pair_folder(2, 40))
    model = tiny()
    model.head.register_forward_hook(lambda module, inputs, output: output * float("nan"))
    cfg = dataclasses.replace(QUICK, epochs=20, max_bad_steps=3, validate_every=20)
    with pytest.raises(
        TrainingError, match=r"loss became nan at step 2, the last of 3 consecutive skipped steps.*samples pair_.*Lower lr"
    ):
        train(model, samples, samples, cfg, tmp_path / "out")
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_non_finite_weights_are_not_written(tiny, pair_folder, tmp_path):
    samples = FolderPairs(pair_folder(2, 40))
    model = tiny()
    with torch.no_grad():
        model.head.classify.bias.fill_(float("inf"))
    with pytest.raises(TrainingError, match=r"1 of the weights are not finite \(head\.classify\.bias\); nothing was written"):
        train(model, samples, samples, dataclasses.replace(QUICK, validate_every=2), tmp_path)
    assert not list(tmp_path.glob("checkpoints/*")) and not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("source", ["loss", "gradient"])
def test_a_skipped_step_changes_nothing_but_its_counter(tiny, pair_folder, tmp_path, source):
    samples = list(FolderPairs(pair_folder(2, 40)))
    model = tiny()
    calls = []

    def spoil(module, inputs, output):
        calls.append({name: value.clone() for name, value in model.state_dict().items()} if module.training else None)
        if module.training and len([c for c in calls if c]) == 2:
            if source == "loss":
                return output * float("inf")
            output.register_hook(lambda gradient: gradient * float("nan"))
        return None

    handle = model.head.register_forward_hook(spoil)
    cfg = dataclasses.replace(QUICK, epochs=3, validate_every=3)
    train(model, samples, samples, cfg, tmp_path / "out")
    handle.remove()
    seen = [state for state in calls if state]
    assert len(seen) == 3
    learned = [name for name, _ in model.named_parameters()]
    assert all(torch.equal(seen[1][name], seen[2][name]) for name in learned)
    assert not all(torch.equal(seen[0][name], seen[1][name]) for name in learned)
    rows = list(csv.DictReader((tmp_path / "out" / "log.csv").open()))
    assert [row["skipped_steps"] for row in rows] == ["0", "1", "1"]
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_batch_norm_statistics_of_a_skipped_step_are_restored(tiny, pair_folder):
    blank = torch.full((3, 40, 40), 3e38)  # overflows when it is normalized
    samples = [sample._replace(images=(blank, sample.images[1])) for sample in FolderPairs(pair_folder(2, 40))]
    model = tiny()
    before = {name: value.clone() for name, value in model.named_buffers()}
    found = pytest.raises(TrainingError, match=r"not finite|became nan")
    with found, pytest.warns(UserWarning, match=r"values of at most 3e\+38"):
        train(model, samples, samples, dataclasses.replace(QUICK, max_bad_steps=1))
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers() if value.is_floating_point())


def test_a_validation_without_positives_gives_a_warning(tiny, pair_folder):
    samples = FolderPairs(pair_folder(2, 40))
    model = tiny()
    with torch.no_grad():
        model.head.classify.bias.fill_(-50.0)
    with pytest.warns(
        UserWarning, match=r"after step 1 no pixel of the validation samples is predicted as changed.*loss=bce\+dice"
    ):
        train(model, samples, samples, dataclasses.replace(QUICK, epochs=1, lr=1e-9))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "weight_decay": 0.1, "schedule": "cosine", "warmup_steps": 1},
        {"optimizer": "sgd", "decay_all": True, "weight_decay": 0.1, "schedule": "step", "lr_decay_epochs": 1},
        {"optimizer": "lion", "schedule": "plateau", "lr_decay_epochs": 1},
        {"precision": "bf16", "batch_size": 4, "accumulate": 2, "clip_norm": 1.0, "channels_last": True},
        {"loss": "bce+dice", "ema": 0.5, "cutmix": 0.5, "jitter": 0.2, "blur": 0.2, "scale_min": 0.8, "scale_max": 1.2},
        {"schedule": "exponential", "swap_dates": 0.5, "log": ("tensorboard",), "workers": 1},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_all_settings_train(tiny, pair_folder, tmp_path, changes):
    samples = FolderPairs(pair_folder(4, 40))
    results = train(tiny(), samples, samples, dataclasses.replace(QUICK, **changes), tmp_path)
    assert 0 <= results["f1"] <= 1
    assert bool(list(tmp_path.glob("tensorboard/events*"))) is ("log" in changes)


def test_unknown_optimizer(tiny, pair_folder):
    samples = FolderPairs(pair_folder(2, 40))
    with pytest.raises(ConfigError, match="optimizer 'adamm' is not an optimizer of timm"):
        train(tiny(), samples, samples, dataclasses.replace(QUICK, optimizer="adamm"))


def test_fp16_needs_a_gpu(tiny, pair_folder):
    samples = FolderPairs(pair_folder(2, 40))
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        train(tiny(), samples, samples, dataclasses.replace(QUICK, precision="fp16"))


def test_the_averaged_weights_are_validated_and_saved(tiny, pair_folder, tmp_path):
    samples = FolderPairs(pair_folder(4, 40))
    torch.manual_seed(0)
    model = tiny()
    start = {name: value.clone() for name, value in model.named_parameters()}
    train(model, samples, samples, dataclasses.replace(QUICK, ema=0.999), tmp_path)
    saved = cdzoo.create_model(f"local-dir:{tmp_path}")
    assert all(torch.equal(value, dict(saved.named_parameters())[name]) for name, value in model.named_parameters())
    moved = [(value - start[name]).abs().max() for name, value in model.named_parameters()]
    raw = load_file(tmp_path / "checkpoints" / "step_00000004" / "weights.safetensors")
    moved_raw = [(raw[name] - value).abs().max() for name, value in start.items()]
    assert 0 < max(moved) < 0.05 * max(moved_raw)


def test_accumulated_gradients_equal_those_of_the_whole_batch(tiny, pair_folder, tmp_path):
    samples = FolderPairs(pair_folder(4, 40))
    weights = []
    for accumulate in (1, 2):
        torch.manual_seed(0)
        model = tiny(neck=None, fusion="abs_diff", decoder=None)
        for module in model.modules():  # statistics of smaller batches differ
            if isinstance(module, torch.nn.BatchNorm2d):
                module.training = False
                module.train = lambda mode=True, module=module: module
        cfg = dataclasses.replace(QUICK, epochs=1, batch_size=4, accumulate=accumulate, optimizer="sgd", lr=0.1)
        train(model, samples, samples, cfg)
        weights.append(torch.cat([p.flatten() for p in model.parameters()]))
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-4, atol=1e-6)


def test_a_model_that_cannot_be_saved_fails_before_training(tiny, pair_folder, tmp_path):
    model = tiny(fusion=tiny(fusion="diff").fusion)
    samples = FolderPairs(pair_folder(2, 40))
    with pytest.raises(ConfigError, match="passed as an instance"):
        train(model, samples, samples, QUICK, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("crop", 16),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("device", "tpu"),
        ("schedule", "x"),
        ("precision", "fp8"),
        ("ema", 1.0),
        ("cutmix", 1.5),
        ("scale_max", 0.5),
        ("lr_decay", 0.0),
        ("weight_decay", -1.0),
        ("warmup_steps", -1),
        ("accumulate", 0),
        ("checkpoint_every", -1),
        ("max_bad_steps", 0),
        ("seed", -1),
        ("seed", 2**64),
        ("workers", -2),
        ("workers", 100_000),
        ("scale_min", 1e-6),
        ("crop", 10**6),
        ("lr_backbone", float("inf")),
    ],
)
def test_invalid_settings(name, value):
    with pytest.raises(ConfigError, match=name):
        TrainCfg(**{name: value})


def test_probability_of_change():
    task, one, two = BinaryTask(), torch.randn(1, 1, 2, 2), torch.randn(1, 2, 2, 2)
    torch.testing.assert_close(task.probabilities(one), 1 / (1 + torch.exp(-one[:, 0])))
    torch.testing.assert_close(task.probabilities(two), two.softmax(1)[:, 1])


def test_uint8_and_float_images_are_normalized_alike():
    pixels = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    torch.testing.assert_close(normalize(pixels, (0.5,), (0.25,)), (pixels / 255 - 0.5) / 0.25)
    torch.testing.assert_close(normalize(pixels / 255, (0.1, 0.2, 0.3), (1, 2, 4))[:, 2], (pixels[:, 2] / 255 - 0.3) / 4)
