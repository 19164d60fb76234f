"""Models of tasks with several outputs: branches of single dates, shared weights, saving, loading and training."""

import pytest
import torch
from architectures import families, shrunk

import cdzoo
from cdzoo.components import PerLevelFusion
from cdzoo.config import ModelCfg
from cdzoo.decoders import TopDown
from cdzoo.errors import ChannelMismatchError, ConfigError, UnknownNameError, WeightsError
from cdzoo.fusion import Diff
from cdzoo.heads import Conv, Summation
from cdzoo.models.branch import Branch
from cdzoo.tasks import SemanticTask
from cdzoo.weights.state import write_tensors

COVERS = ("water", "ground", "building")
SMALL = {"backbone_kwargs": {"channels": 8, "depths": (1, 1, 1, 1), "d_state": 2}}
FAST = ("bit_s4_dd8_dedim8", "fc_ef", "fc_siam_diff", "glmamba_tiny", "tinycd")
FAMILIES = [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in families()]


def semantic(**options):
    torch.manual_seed(0)
    return cdzoo.create_model("glmamba_tiny", task="semantic", class_names=COVERS, **SMALL, **options).eval()


@pytest.fixture(scope="module")
def pair():
    torch.manual_seed(1)
    return tuple(torch.rand(2, 1, 3, 64, 64))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_architecture_takes_every_task_or_says_why(name):
    own = cdzoo.factory.MODELS.get(name)()
    options = shrunk(name)
    joined = getattr(cdzoo.registry.underlying(cdzoo.registry.FUSIONS.get(own.fusion.name)), "num_dates", 2) == 1
    with torch.device("meta"):
        kinds = {"task": "multiclass", "class_names": ("no change", "new", "gone")}
        if own.head.name == "distance":
            with pytest.raises(ConfigError, match=r'one distance does not tell 3 classes apart.*head="conv"'):
                cdzoo.create_model(name, **kinds, **options)
        else:
            model = cdzoo.create_model(name, **kinds, **options)
            assert model.num_classes == 3 and not model.branches
        if joined:
            for task in ("semantic", "damage"):
                with pytest.raises(ConfigError, match=r"needs the features of each date.*'multiclass'"):
                    cdzoo.create_model(name, task=task, class_names=COVERS, **options)
            return
        model = cdzoo.create_model(name, task="semantic", class_names=COVERS, **options)
        side = model.fixed_input_size or max(64, model.size_multiple)
        images = [torch.rand(1, bands, side, side) for bands in model.bands]
        outputs = model.eval()(*images)
    assert {key: value.shape[1] for key, value in outputs.items()} == {
        "change": model.num_classes,
        "semantic_t1": 4,
        "semantic_t2": 4,
    }
    assert sum(model.parameter_counts().values()) == sum(p.numel() for p in model.parameters())


def test_dates_share_the_branch_unless_told_otherwise(pair):
    model = semantic()
    with torch.no_grad():
        outputs, swapped = model(*pair), model(*pair[::-1])
    torch.testing.assert_close(outputs["semantic_t1"], swapped["semantic_t2"])
    assert not torch.allclose(outputs["semantic_t1"], outputs["semantic_t2"])
    keys = [key for key in model.state_dict() if key.startswith("branches.")]
    assert keys and all(key.startswith("branches.semantic_t1.") for key in keys)
    apart = semantic(branch_shared=False)
    with torch.no_grad():
        outputs, swapped = apart(*pair), apart(*pair[::-1])
    assert not torch.allclose(outputs["semantic_t1"], swapped["semantic_t2"])
    assert [key for key in apart.state_dict() if key.startswith("branches.semantic_t2.decoder.")]
    assert not [key for key in apart.state_dict() if key.startswith("branches.semantic_t2.head.")]


def test_components_of_branches_swap_by_name_and_class(pair):
    model = semantic(branch_decoder="unet", branch_head=("conv", {"kernel_size": 3}))
    assert model.config.branch_decoder.name == "unet" and model.branches["semantic_t1"].head.classify.kernel_size == (3, 3)
    model = semantic(branch_decoder=None, branch_head=Summation)
    assert isinstance(model.branches["semantic_t1"].head, Summation) and model.branches["semantic_t1"].decoder is None
    with torch.no_grad():
        assert model(*pair)["semantic_t2"].shape == (1, 4, 64, 64)
    with pytest.raises(UnknownNameError, match="Did you mean 'top_down'"):
        semantic(branch_decoder="topdown")
    with pytest.raises(ConfigError, match="branch_decoder may be needed several times"):
        semantic(branch_decoder=TopDown((8, 16, 32, 64), (4, 8, 16, 32)))


def test_damage_has_its_buildings_from_the_first_date(pair):
    model = cdzoo.create_model("glmamba_tiny", task="damage", class_names=("none", "destroyed"), **SMALL).eval()
    with torch.no_grad():
        outputs, other = model(*pair), model(pair[0], pair[0])
    assert [(name, value.shape[1]) for name, value in outputs.items()] == [("building", 2), ("damage", 3)]
    torch.testing.assert_close(outputs["building"], other["building"])
    assert not torch.allclose(outputs["damage"], other["damage"])


def test_a_model_of_instances_is_given_a_task_and_branches(pair):
    backbone = cdzoo.backbones.VSSBackbone(**SMALL["backbone_kwargs"])
    channels, strides = backbone.out_channels, backbone.out_strides
    fusion = PerLevelFusion([Diff(width) for width in channels], strides)
    head, task = Summation(channels, strides), SemanticTask(COVERS)

    def branches(classes=4, width=8):
        head = Conv([width], strides[:1], classes)
        decoder = TopDown(channels, strides, width)
        return {"semantic_t1": Branch(head, (0,), decoder=decoder), "semantic_t2": Branch(None, (1,), like="semantic_t1")}

    model = cdzoo.ChangeDetector(backbone, None, fusion, None, head, branches=branches(), task=task).eval()
    with torch.no_grad():
        assert list(model(*pair)) == ["change", "semantic_t1", "semantic_t2"]
    assert model.task is task and model.config.class_names == COVERS
    with pytest.raises(ConfigError, match="has no branch 'semantic_t1'"):
        cdzoo.ChangeDetector(backbone, None, fusion, None, head, task=task)
    with pytest.raises(ConfigError, match="has 5 logits, the task 'semantic' needs 4"):
        cdzoo.ChangeDetector(backbone, None, fusion, None, head, branches=branches(5), task=task)
    wrong = {**branches(), "semantic_t1": Branch(Conv([9], None, 4), (0,), decoder=TopDown(channels, strides, 8))}
    with pytest.raises(ChannelMismatchError, match="head Conv of the branch 'semantic_t1'"):
        cdzoo.ChangeDetector(backbone, None, fusion, None, head, branches=wrong, task=task)


def test_configs_and_weights_are_saved_and_loaded(tmp_path, pair):
    model = semantic(branch_shared=False)
    model.save_pretrained(tmp_path / "model")
    assert ModelCfg.from_json(model.config.to_json()) == model.config
    loaded = cdzoo.create_model(f"local-dir:{tmp_path / 'model'}").eval()
    with torch.no_grad():
        for name, value in model(*pair).items():
            assert torch.equal(value, loaded(*pair)[name])
    with pytest.raises(WeightsError, match="another branch_decoder"):
        cdzoo.create_model(f"local-dir:{tmp_path / 'model'}", branch_decoder="unet")


def test_weights_of_one_task_initialize_another(tmp_path):
    binary = cdzoo.create_model("glmamba_tiny", **SMALL)
    binary.save_pretrained(tmp_path / "binary")
    with pytest.warns(UserWarning, match="reinitialized"):
        model = cdzoo.create_model(f"local-dir:{tmp_path / 'binary'}", task="semantic", class_names=COVERS)
    for key, value in binary.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key  # the head of change, too
    model.save_pretrained(tmp_path / "semantic")
    back = cdzoo.create_model(f"local-dir:{tmp_path / 'semantic'}", task="binary")
    assert not back.branches
    for key, value in back.backbone.state_dict().items():
        assert torch.equal(value, model.backbone.state_dict()[key]), key


def test_deep_supervision_is_grouped_by_level_and_weight(pair):
    class Supervised(Conv):
        def __init__(self, in_channels, in_strides=None, num_classes=1):
            super().__init__(in_channels, in_strides, num_classes)
            self.auxiliary_weights = (0.5,)

        def auxiliary(self, features):
            return [self.classify(features[0])]

    model = semantic(branch_head=Supervised)
    outputs, auxiliary = model.forward_supervised(*pair)
    ((weight, coarse),) = auxiliary
    assert weight == 0.5 and list(coarse) == ["semantic_t1", "semantic_t2"] and coarse["semantic_t1"].shape == (1, 4, 16, 16)
    loss = model.task.create_loss("ce+similarity")
    target = {"mask": torch.ones(1, 16, 16, dtype=torch.long)}
    target |= {name: torch.ones(1, 16, 16, dtype=torch.long) for name in coarse}
    assert loss(coarse, target).requires_grad and set(outputs) == {"change", *coarse}


def test_models_with_branches_are_exported(pair):
    model = semantic()
    exported = torch.export.export(model, pair).module()
    with torch.no_grad():
        for name, value in exported(*pair).items():
            torch.testing.assert_close(value, model(*pair)[name])


def test_a_task_instance_keeps_its_colors():
    task = SemanticTask(COVERS, colors=[(1, 2, 3), (4, 5, 6), (7, 8, 9)])
    model = cdzoo.create_model("glmamba_tiny", task=task, **SMALL)
    assert model.task is task and model.config.task == "semantic" and model.config.class_names == COVERS
    with pytest.raises(ConfigError, match="pass one of them"):
        cdzoo.create_model("glmamba_tiny", task=task, class_names=COVERS[::-1], **SMALL)


def test_weights_that_lack_a_branch_are_refused(tmp_path):
    model = semantic()
    model.save_pretrained(tmp_path / "model")
    state = {key: value for key, value in model.state_dict().items() if not key.startswith("branches.")}
    write_tensors(tmp_path / "model" / "model.safetensors", state)
    for options in ({}, {"task": "semantic", "class_names": COVERS}):  # the same task is no other one
        with pytest.raises(WeightsError, match="missing"):
            cdzoo.create_model(f"local-dir:{tmp_path / 'model'}", **options)
