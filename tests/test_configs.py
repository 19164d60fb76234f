"""Descriptions of models: every field is validated, and no model is built that is too large."""

import functools
import json
import time

import pytest
import torch
from torch import nn

import cdzoo
from cdzoo.components import LevelFusion
from cdzoo.config import ComponentCfg, ModelCfg, ModelOptions
from cdzoo.errors import CdzooError, ConfigError, UnknownNameError, WeightsError
from cdzoo.models.budget import counted
from cdzoo.registry import FUSIONS, HEADS, MODELS
from cdzoo.weights.pretrained import PretrainedCfg

NAN, INF = float("nan"), float("inf")
FIELDS = {
    "name": [5, ["x"]],
    "in_chans": [True, 0, -1, "3", 1.5, [3], [3, True], [], [1] * 100, 10**9],
    "num_classes": [True, 0, "1", 1.0],
    "task": [1, "nonsense"],
    "class_names": ["abc", [1, 2]],
    "siamese": ["no", 1, None],
    "mean": ["abc", [True] * 3, ["0.4", 0.4, 0.4], [NAN, 0, 0], [INF, 0, 0], [1e300, 0, 0], [0.4, 0.4], []],
    "std": [[True] * 3, [0.0, 1, 1], [-1.0, 1, 1], [1e-300, 1, 1], [1e300, 1, 1], [NAN, 1, 1]],
    "license": [7],
    "citation": [["x"]],
    "neck": [5, "no_such", {"name": "csam", "kwargs": 3}],
    "backbone": [None, {"name": 3}, {"name": "vss", "kwargs": {"channels": NAN}}],
}


@pytest.fixture(scope="module")
def config():
    return ModelCfg.from_dict(cdzoo.create_model("glmamba_tiny").config.to_dict())


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in FIELDS.items() for value in values])
def test_fields(config, field, value):
    text = json.dumps({**config.to_dict(), field: value})
    with pytest.raises(CdzooError, match=field if field not in ("neck", "backbone") else "neck|component|backbone"):
        cdzoo.ChangeDetector.from_config(ModelCfg.from_json(text))


@pytest.mark.parametrize(
    ("kind", "name", "kwargs"),
    [
        ("backbone", "vss", {"channels": True}),
        ("backbone", "vss", {"channels": 8.0}),
        ("backbone", "vss", {"depths": "1111"}),
        ("backbone", "vss", {"depths": [1, "1"]}),
        ("backbone", "vss", {"depths": [1, 1, 60_000, 1]}),
        ("backbone", "vss", {"depths": [1] * 20}),
        ("backbone", "vss", {"d_state": 0}),
        ("backbone", "vss", {"d_state": 10_000_000}),
        ("backbone", "vss", {"drop_path": INF}),
        ("backbone", "vss", {"expand": 1e-3}),
        ("backbone", "unet", {"dropout": -0.1}),
        ("backbone", "changeformer", {"mlp_ratio": 0}),
        ("backbone", "timm/resnet18", {"drop_path_rate": NAN}),
        ("backbone", "timm/resnet18", {"block_args": "x"}),
        ("fusion", "bfa", {"norm": "yes"}),
        ("fusion", "bfa", {"reduction": None}),
        ("fusion", "spatio_temporal", {"drop_path": 1.5}),
        ("fusion", "changeformer", {"channels": 0}),
        ("head", "summation", {"channels": 0}),
        ("head", "conv", {"kernel_size": "3"}),
    ],
)
def test_arguments_of_components(kind, name, kwargs):
    start = time.process_time()
    with pytest.raises(ConfigError):
        cdzoo.create_model("glmamba_tiny", **{kind: (name, kwargs)})
    assert time.process_time() - start < 10


@pytest.mark.parametrize("kwargs", [{"channels": 40_000}, {"channels": 1000, "d_state": 60_000}, {"depths": [200] * 5}])
def test_models_that_are_too_large_are_not_built(kwargs):
    start = time.process_time()
    with pytest.raises(ConfigError, match=r"billion parameters|more than 5,000 modules"):
        cdzoo.create_model("glmamba_tiny", backbone_kwargs=kwargs)
    assert time.process_time() - start < 10


def test_weights_file_limits_the_model(tiny, tmp_path):
    cdzoo.save_pretrained(tiny(), tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    config["backbone"]["kwargs"]["channels"] = 128
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=r"config describes [\d,]+ parameters"):
        cdzoo.create_model(f"local-dir:{tmp_path / 'm'}")


def test_limits_are_those_of_the_building_context():
    with counted("x") as count:
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    nn.Linear(100, 100)
    assert count.modules == 2 and count.parameters == 3 * 4 + 4 + 4 * 4 + 1


@pytest.mark.parametrize("value", ["nonsense", "", 1, None, ["synthetic"]])
def test_pretrained_is_a_switch_or_a_known_tag(value):
    with pytest.raises(CdzooError, match=r"pretrained|no weights 'nonsense'"):
        cdzoo.create_model("glmamba_tiny", pretrained=value)


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("glmamba_tiny.", {}, UnknownNameError),
        ("glmamba_tiny.nonsense", {}, UnknownNameError),
        ("glmamba_tiny.synthetic", {"pretrained": "other"}, ConfigError),
        (5, {}, ConfigError),
        ("glmamba_tiny", {"checkpoint_path": [1]}, ConfigError),
        ("glmamba_tiny", {"backbone_kwargs": [1]}, ConfigError),
        ("glmamba_tiny", {"backbone": "timm/resnet18", "pretrained": True}, WeightsError),
        ("glmamba_tiny", {"neck": None, "pretrained": True}, WeightsError),
    ],
)
def test_names_and_sources_of_weights(name, options, error):
    with pytest.raises(error):
        cdzoo.create_model(name, **options)


def test_models_know_their_weights(tiny, tmp_path):
    tagged = cdzoo.create_model("glmamba_tiny.synthetic")
    assert tagged.origin.name == "glmamba_tiny.synthetic" and tagged.origin.sha256 == tagged.pretrained_cfg.sha256
    assert cdzoo.create_model("glmamba_tiny").origin is None
    folder = cdzoo.save_pretrained(tiny(), tmp_path / "m")
    assert str(cdzoo.create_model(f"local-dir:{folder}").origin).startswith(f"{folder} (sha256 ")


@pytest.mark.parametrize("change", [{"metrics": {"f1": 2.0}}, {"mean": (NAN,)}, {"size": 0}, {"threshold": 1.0}, {"std": (0.0,)}])
def test_fields_of_published_weights(change):
    with pytest.raises(ConfigError):
        PretrainedCfg(**{"model": "m", "tag": "t", "sha256": "0" * 64, "file": "f", **change})


def test_options_are_validated_like_the_config():
    for field, value in {"mean": (1e300,), "std": (1e-300,), "in_chans": (3,) * 100, "num_classes": 0}.items():
        with pytest.raises(ConfigError, match=field):
            ModelOptions("glmamba_tiny", **{field: value})
    with pytest.raises(ConfigError, match="argument 'a' must have at most"):
        ComponentCfg("x", {"a": [0] * 100})


@pytest.fixture
def registered():
    """Remove the entries that a test registers."""
    known = {name: FUSIONS.get(name) for name in FUSIONS}
    yield
    FUSIONS._entries = known


def test_partials_are_components(registered, tiny):
    cdzoo.register_fusion("thin_bfa")(functools.partial(FUSIONS.get("bfa"), reduction=2))
    model = tiny(fusion="thin_bfa")
    assert model(*torch.zeros(2, 1, 3, 64, 64)).shape == (1, 1, 64, 64)
    with pytest.raises(ConfigError, match="taken"):
        cdzoo.register_fusion("thin_bfa")(functools.partial(FUSIONS.get("bfa"), reduction=4))
    cdzoo.register_fusion("function")(lambda channels: FUSIONS.get("diff")(channels))
    assert tiny(fusion="function").fusion.num_dates == 2


@pytest.mark.parametrize("entry", [functools.partial(nn.ReLU), nn.ReLU(), 5])
def test_entries_without_a_name_are_refused(entry):
    with pytest.raises(ConfigError, match="register"):
        cdzoo.register_fusion(entry)


def test_registered_models_return_a_config():
    MODELS.register("odd_model")(lambda: 5)
    try:
        with pytest.raises(ConfigError, match="must return a ModelCfg"):
            cdzoo.create_model("odd_model")
    finally:
        MODELS._entries.pop("odd_model")


class Raising(LevelFusion):
    """Fails with an error of its own when it is run."""

    def forward(self, x1, x2):
        raise ZeroDivisionError("in my code")


def test_errors_of_components_are_named(tiny):
    with pytest.raises(ConfigError, match="in my code"):
        tiny(fusion=Raising)


WITHOUT_BIAS = ("deconv", "distance")


def _num_levels(head):
    """Return 3, or 1 for a head that expects one level."""
    try:
        with torch.device("meta"):
            HEADS.get(head)(in_channels=(16, 16, 16), in_strides=[4, 8, 16])
    except ConfigError as error:
        assert "expects one level" in str(error)
        return 1
    return 3


@pytest.mark.parametrize("num_classes", [1, 2])
@pytest.mark.parametrize("name", [name for name in HEADS.list() if name not in WITHOUT_BIAS])
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_heads_start_at_the_prior_of_change(name, num_classes, scale):
    levels = [torch.randn(2, 16, 16 >> i, 16 >> i).abs() * scale for i in range(_num_levels(name))]
    head = HEADS.get(name)(
        in_channels=(16,) * len(levels), in_strides=[4 << i for i in range(len(levels))], num_classes=num_classes
    )
    for mode in (True, False):
        with torch.no_grad():
            logits = head.train(mode)(levels, (64, 64))
        probability = logits.sigmoid() if num_classes == 1 else logits.softmax(1)[:, 1]
        assert 0.01 < probability.mean() < 0.2


@pytest.mark.parametrize("name", ["glmamba_tiny", "fc_siam_diff", "fc_ef"])
def test_untrained_models_start_near_the_prior(name):
    target = torch.zeros(2, 64, 64)
    target[:, :14, :14] = 1
    for seed in range(2):
        torch.manual_seed(seed)
        model = cdzoo.create_model(name)
        images = torch.randn(2, 2, 3, 64, 64)
        for mode in (True, False):
            with torch.no_grad():
                probability = model.train(mode).probabilities(model(*images))
            assert nn.functional.binary_cross_entropy(probability, target) < 0.4
