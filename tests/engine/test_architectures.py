"""All architectures can be trained, and fusions can be exchanged between architectures."""

import dataclasses

import pytest
import torch
from architectures import accepted_size, families, shrunk

import cdzoo
from cdzoo.data.synthetic import SyntheticScenes
from cdzoo.engine import TrainCfg, train
from cdzoo.errors import ConfigError
from cdzoo.registry import COMPONENTS, FUSIONS, MODELS

QUICK = TrainCfg(epochs=1, batch_size=2, lr=1e-4, crop=64, progress=False, device="cpu")
HOSTS = ("changeformer", "mambabcd_tiny", "rsm_cd_tiny")
RGB = [name for name in families() if MODELS.get(name)().bands == (3, 3)]


@pytest.mark.slow
@pytest.mark.parametrize("name", RGB)
def test_every_architecture_trains_an_epoch(name):
    model = cdzoo.create_model(name, **shrunk(name))
    frozen = {key: p.clone() for key, p in model.named_parameters() if not p.requires_grad}
    before = {key: p.detach().clone() for key, p in model.head.named_parameters()}
    size, _ = accepted_size(model, 64, 64)
    scenes = SyntheticScenes(2, size=size, seed=0, task=model.task.name)
    loss = "ce" if model.config.num_classes > 1 else "bce+dice"
    results = train(model, scenes, scenes, dataclasses.replace(QUICK, loss=loss, crop=size))
    assert 0 <= results["f1"] <= 1
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert all((p != before[key]).any() for key, p in model.head.named_parameters())
    assert all(torch.equal(p, frozen[key]) for key, p in model.named_parameters() if key in frozen)


@pytest.mark.slow
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("fusion", FUSIONS.list())
def test_every_fusion_replaces_that_of_other_architectures(host, fusion):
    options = {"decoder": None} if fusion == "icifnet" else {}  # it returns one level
    options |= {key: value for key, value in shrunk(host).items() if key != "fusion_kwargs"}
    model = cdzoo.create_model(host, fusion=fusion, **options).eval()
    with torch.no_grad():
        logits = model(torch.randn(1, 3, 64, 64), torch.randn(1, 3, 64, 64))
    assert logits.shape == (1, model.config.num_classes, 64, 64)
    assert model.config.fusion.name == fusion


def test_decoders_of_other_architectures_and_mismatches():
    model = cdzoo.create_model("glmamba_levir", decoder="unet")
    assert model.decoder.out_strides == (4,)
    with pytest.raises(ConfigError, match=r"needs at least two levels.*'concat' or 'abs_diff'"):
        cdzoo.create_model("bit", fusion="skips")


PARTS = [(kind, name) for kind in ("neck", "fusion", "decoder", "head") for name in COMPONENTS[kind].list()]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_part_fits_into_other_architectures_or_says_why(kind, name):
    """Construction runs the model once; on the meta device, it takes no arithmetic."""
    fitted = []
    for host in ("glmamba_levir", "changeformer", "fc_siam_diff_efficientnet_lite0"):
        for others in ({}, {"decoder": "unet"}, {"decoder": None}):  # some parts need one level, others several
            if kind in others:
                continue
            try:
                with torch.device("meta"):
                    model = cdzoo.create_model(host, **others, **{kind: name})
            except ConfigError as error:  # also of channels that do not match; any other error is a fault
                assert len(str(error)) > 40
                continue
            assert getattr(model.config, kind).name == name
            fitted.append(host)
            break
    assert fitted
