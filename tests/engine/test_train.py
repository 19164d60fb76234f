"""Training: it learns, keeps its best weights, and refuses what cannot work."""

import json

import pytest
import torch

import cdzoo
from cdzoo.data.folder import FolderPairs
from cdzoo.engine.inputs import change_probability, normalize
from cdzoo.engine.module import change_loss
from cdzoo.engine.settings import TrainCfg
from cdzoo.engine.train import train
from cdzoo.errors import ConfigError, TrainingError
from cdzoo.metrics import Confusion
from cdzoo.registry import FUSIONS

QUICK = TrainCfg(epochs=2, batch_size=2, lr=1e-3, crop=32, progress=False, device="cpu")


def test_it_learns_and_leaves_the_best_weights_behind(tiny, pair_folder, tmp_path):
    samples = FolderPairs(pair_folder(4, 48))
    model = tiny()
    cfg = TrainCfg(epochs=40, batch_size=4, lr=1e-2, crop=48, validate_every=10, progress=False, device="cpu")
    confusion = train(model, samples, samples, cfg, tmp_path / "out", {"judged_on": "itself"})
    assert confusion.f1 > 0.8
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["scores"]["f1"] == confusion.f1 and results["judged_on"] == "itself"
    assert results["training"]["lr"] == 1e-2

    loaded = cdzoo.create_model(f"local-dir:{tmp_path / 'out'}").eval()
    again = Confusion(0, 0, 0, 0)
    for sample in samples:
        change = cdzoo.predict_pair(loaded, *(sample[k].permute(1, 2, 0).numpy() for k in ("image_a", "image_b")))
        again += Confusion.of(torch.from_numpy(change.mask), sample["mask"])
    assert again == confusion
    assert not model.training
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True))


@pytest.mark.parametrize("fusion", FUSIONS.list())
def test_every_fusion_trains_through_the_ordinary_trainer(tiny, pair_folder, fusion):
    samples = FolderPairs(pair_folder(2, 40))
    train(tiny(fusion=fusion), samples, samples, QUICK)


def test_several_classes_train_with_cross_entropy(tiny, pair_folder):
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


def test_a_loss_that_is_not_finite_stops_training_and_writes_nothing(tiny, pair_folder, tmp_path):
    samples = FolderPairs(pair_folder(2, 40))
    model = tiny()
    with torch.no_grad():
        model.head.classify.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"loss became nan at step 0.*--lr"):
        train(model, samples, samples, QUICK, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_model_that_cannot_be_saved_fails_before_training(tiny, pair_folder, tmp_path):
    model = tiny(fusion=tiny(fusion="diff").fusion)
    samples = FolderPairs(pair_folder(2, 40))
    with pytest.raises(ConfigError, match="given as an instance"):
        train(model, samples, samples, QUICK, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("batch_size", 0), ("crop", 16), ("lr", 0.0), ("lr", float("nan")), ("threshold", 1.0), ("device", "tpu")],
)
def test_settings_that_cannot_train_are_named(name, value):
    with pytest.raises(ConfigError, match=name):
        TrainCfg(**{name: value})


def test_loss_of_one_class_is_bce_and_ignores_255():
    logits, mask = torch.randn(2, 1, 4, 4), torch.randint(0, 2, (2, 4, 4))
    p = logits[:, 0].sigmoid()
    bce = -(mask * p.log() + (1 - mask) * (1 - p).log())
    torch.testing.assert_close(change_loss(logits, mask), bce.mean())
    mask[0] = 255
    torch.testing.assert_close(change_loss(logits, mask), bce[1].mean())
    two = torch.randn(2, 2, 4, 4)
    torch.testing.assert_close(change_loss(two, mask), -two[1].log_softmax(0).gather(0, mask[1:]).mean())


def test_probability_of_change():
    one, three = torch.randn(1, 1, 2, 2), torch.randn(1, 3, 2, 2)
    torch.testing.assert_close(change_probability(one), 1 / (1 + torch.exp(-one[:, 0])))
    torch.testing.assert_close(change_probability(three), three.softmax(1)[:, 1:].sum(1))


def test_bytes_and_floats_are_normalised_alike():
    pixels = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    torch.testing.assert_close(normalize(pixels, (0.5,), (0.25,)), (pixels / 255 - 0.5) / 0.25)
    torch.testing.assert_close(normalize(pixels / 255, (0.1, 0.2, 0.3), (1, 2, 4))[:, 2], (pixels[:, 2] / 255 - 0.3) / 4)
