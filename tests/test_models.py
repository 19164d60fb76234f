"""Registered models, `create_model`, and `ChangeDetector`."""

import pytest
import torch
from architectures import accepted_size, affordable, families, fill, images, tensors

import cdzoo
from cdzoo.backbones import VSSBackbone
from cdzoo.components import LevelFusion, PerLevelFusion
from cdzoo.errors import ConfigError, InputError, UnknownNameError
from cdzoo.heads import Summation
from cdzoo.registry import MODELS

WIDTHS = {"glmamba_base": 64, "glmamba_large": 96}
SYMMETRIC = ("a2net", "stanet_base", "stanet_bam", "stanet_pam")  # by design, in the dates


@pytest.mark.parametrize("name", cdzoo.list_models())
class TestEveryModel:
    def test_config_round_trips_and_is_complete(self, name):
        config = MODELS.get(name)()
        assert config.name == name
        assert config.description and config.paper and config.license
        assert cdzoo.ModelCfg.from_json(config.to_json()) == config

    def test_builds_and_counts_its_parameters(self, name):
        with torch.device("meta"):
            model = cdzoo.create_model(name)
        counts = model.parameter_counts()
        assert set(counts) - {"branches"} == {"backbone", "neck", "fusion", "decoder", "head"}
        assert ("branches" in counts) == bool(model.branches)
        assert sum(counts.values()) == sum(p.numel() for p in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", families())
class TestEveryArchitecture:
    def test_odd_size_and_order_of_dates(self, name):
        model = fill(cdzoo.create_model(name, **affordable(name))).eval()
        size = accepted_size(model, 35, 50)
        t1, t2 = images(*size, bands=model.config.bands[0], batch=1)
        with torch.no_grad():
            outputs, swapped = model(t1, t2), model(t2, t1)
        assert all(values.shape[0] == 1 and values.shape[-2:] == size for values in tensors(outputs))
        assert all(torch.isfinite(values).all() for values in tensors(outputs))
        there, back = (tensors(found)[0] for found in (outputs, swapped))
        difference = (there - back).abs().max() / there.abs().max()
        assert difference < 1e-3 if name in SYMMETRIC else difference > 1e-5  # STANet adds 1e-6 to the signed difference

    def test_gradients_reach_every_trained_parameter(self, name):
        model = fill(cdzoo.create_model(name, **affordable(name))).eval()  # stochastic depth would drop whole blocks
        output, auxiliary = model.forward_supervised(*images(*accepted_size(model, 64, 64), bands=model.config.bands[0]))
        found = [output, *(coarse for _, coarse in auxiliary)]
        sum(values.square().mean() for one in found for values in tensors(one)).backward()
        idle = [key for key, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
        assert not idle, f"no gradient reaches {idle}"


def test_parameters_of_glmamba():
    for name in ("glmamba_levir", "glmamba_gz", "glmamba_sysu"):  # the last two are aliases
        with torch.device("meta"):
            total = sum(cdzoo.create_model(name).parameter_counts().values())
        assert 10e6 < total < 15e6, f"{name} has {total / 1e6:.2f} M parameters"
    for name, width in WIDTHS.items():
        assert MODELS.get(name)().backbone.kwargs["channels"] == width


@pytest.mark.parametrize("size", [(32, 32), (33, 32), (32, 95), (63, 64), (97, 35)])
def test_any_size_of_at_least_32(tiny, size):
    model = tiny().eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, *size), torch.randn(1, 3, *size)).shape == (1, 1, *size)


def test_padding_reflects_and_is_cropped(tiny):
    model = tiny().eval()
    t1, t2 = torch.randn(1, 3, 40, 50), torch.randn(1, 3, 40, 50)
    pad = torch.nn.ReflectionPad2d((0, 14, 0, 24))
    with torch.no_grad():
        torch.testing.assert_close(model(t1, t2), model(pad(t1), pad(t2))[..., :40, :50])


def test_siamese_backbone_encodes_both_dates_as_one_batch(tiny):
    model, seen = tiny(), []
    model.backbone.register_forward_pre_hook(lambda _m, args: seen.append(args[0].shape))
    model(torch.randn(3, 3, 32, 32), torch.randn(3, 3, 32, 32))
    assert seen == [(6, 3, 32, 32)]


def test_order_of_dates_by_fusion(tiny, pair):
    for fusion, same in (("diff", False), ("abs_diff", True), ("sum", True)):
        model = tiny(fusion=fusion).eval()
        with torch.no_grad():
            assert torch.allclose(model(*pair), model(*reversed(pair)), atol=1e-5) is same


@pytest.mark.parametrize("num_classes", [1, 2])
@pytest.mark.parametrize("in_chans", [1, 3, 4, 13])
def test_bands_and_classes(tiny, in_chans, num_classes):
    model = tiny(in_chans=in_chans, num_classes=num_classes)
    image = torch.randn(2, in_chans, 32, 32)
    assert model(image, image).shape == (2, num_classes, 32, 32)
    assert model.config.in_chans == in_chans and model.config.num_classes == num_classes
    assert len(model.config.mean) in (1, in_chans)


def test_one_backbone_per_date(tiny):
    model = tiny(in_chans=(2, 4), siamese=False)
    assert model(torch.randn(2, 2, 32, 32), torch.randn(2, 4, 32, 32)).shape == (2, 1, 32, 32)
    assert model.parameter_counts()["backbone"] == sum(
        p.numel() for b in (model.backbone, model.backbone2) for p in b.parameters()
    )
    assert cdzoo.ModelCfg.from_json(model.config.to_json()) == model.config
    with pytest.raises(ConfigError, match=r"siamese=False.*fusion=\"early\""):
        tiny(in_chans=(2, 4))


def test_early_fusion_concatenates_the_bands(tiny):
    model, seen = tiny(in_chans=(2, 4), fusion="early"), []
    model.backbone.register_forward_pre_hook(lambda _m, args: seen.append(args[0].shape))
    assert model(torch.randn(3, 2, 33, 40), torch.randn(3, 4, 33, 40)).shape == (3, 1, 33, 40)
    assert [shape[:2] for shape in seen] == [(3, 6)]
    assert model.bands == (2, 4) and cdzoo.ModelCfg.from_json(model.config.to_json()) == model.config
    with pytest.raises(InputError, match="4 bands"):
        model(torch.randn(1, 4, 32, 32), torch.randn(1, 4, 32, 32))
    with pytest.raises(ConfigError, match=r"fusion 'early' concatenates the dates before the backbone, so siamese=False"):
        tiny(fusion="early", siamese=False)


def test_forward_features_is_the_input_of_the_head(tiny, pair):
    model = tiny().eval()
    features = model.forward_features(*pair)
    assert tuple(f.shape[1] for f in features) == model.head.in_channels
    assert [f.shape[-2:] for f in features] == [(64 // s, 64 // s) for s in (4, 8, 16, 32)]


@pytest.mark.parametrize(
    ("t1", "t2", "message"),
    [
        ((1, 3, 31, 64), (1, 3, 31, 64), "at least 32x32"),
        ((1, 3, 32, 32), (1, 3, 32, 33), "differ in batch or size"),
        ((1, 3, 32, 32), (2, 3, 32, 32), "differ in batch or size"),
        ((1, 4, 32, 32), (1, 4, 32, 32), "4 bands, the model expects 3.*in_chans=4"),
        ((3, 32, 32), (3, 32, 32), "must be a batch"),
    ],
)
def test_invalid_images_raise(tiny, t1, t2, message):
    with pytest.raises(InputError, match=message):
        tiny()(torch.zeros(t1), torch.zeros(t2))


class TestCreateModel:
    def test_components_by_name_with_kwargs_and_as_instances(self, tiny, pair):
        assert tiny(fusion="cbam").config.fusion == cdzoo.ComponentCfg("cbam")
        assert tiny(fusion=("cbam", {"reduction": 2})).config.fusion.kwargs == {"reduction": 2}
        mine = PerLevelFusion([_Mean(c) for c in (8, 16, 32, 64)])
        model = tiny(fusion=mine)
        assert model.fusion is mine
        assert model(*pair).shape == (2, 1, 33, 47)
        with pytest.raises(ConfigError, match=r"instance \(PerLevelFusion\).*register_fusion"):
            model.config.to_json()

    def test_instances_must_match_the_config(self, tiny):
        head = Summation((16, 32, 64, 128), num_classes=2)
        assert tiny(backbone="vss", backbone_kwargs={"channels": 16}, head=head, num_classes=2).config.num_classes == 2
        with pytest.raises(ConfigError, match="config states num_classes=1, but the components were built for 2"):
            tiny(backbone="vss", backbone_kwargs={"channels": 16}, head=head)
        backbone = VSSBackbone(in_chans=4, channels=8, depths=(1, 1, 1))
        with pytest.raises(ConfigError, match=r"config states in_chans=\(3, 3\), but the components were built for \(4, 4\)"):
            tiny(backbone=backbone)
        assert tiny(backbone=backbone, in_chans=4).config.bands == (4, 4)

    def test_kwargs_are_merged_or_dropped_with_their_component(self):
        kept = cdzoo.create_model("glmamba_tiny", backbone_kwargs={"scan": "corners"}).config.backbone.kwargs
        assert kept["channels"] == 16 and kept["scan"] == "corners"
        same = cdzoo.create_model("glmamba_tiny", decoder="csie", decoder_kwargs={"groups": 2}).config.decoder
        assert same.kwargs == {"groups": 2, "interaction": "group"}
        other = cdzoo.create_model("glmamba_tiny", decoder=("csie", {"groups": 2})).config.decoder
        assert other.kwargs == {"groups": 2}

    def test_only_neck_and_decoder_are_optional(self, tiny):
        model = tiny(neck=None, decoder=None)
        assert model.parameter_counts()["neck"] == model.parameter_counts()["decoder"] == 0
        assert tiny(neck="none", decoder="none").config == model.config
        with pytest.raises(ConfigError, match="needs a fusion"):
            tiny(fusion="none")

    @pytest.mark.parametrize(
        ("overrides", "error", "message"),
        [
            ({"fuson": "cbam"}, ConfigError, "no argument 'fuson'.*'fusion'"),
            ({"fusion": "bfaa"}, UnknownNameError, "Did you mean 'bfa'"),
            ({"fusion_kwargs": {"reducton": 2}}, ConfigError, "'bfa' has no argument 'reducton'.*'reduction'"),
            ({"fusion_kwargs": {"channels": 2}}, ConfigError, "'channels' follows from the previous components"),
            ({"head_kwargs": {"num_classes": 2}}, ConfigError, "'num_classes' follows"),
            ({"neck": None, "neck_kwargs": {"a": 1}}, ConfigError, "neck_kwargs was passed, but the neck is None"),
            ({"neck_kwargs": {"a": 1}}, ConfigError, "'csam' has no argument 'a'"),
            ({"fusion": 3}, ConfigError, "fusion must be a registered name"),
            ({"fusion": LevelFusion(8)}, ConfigError, "fusion of a single level: pass its class"),
            ({"in_chans": 0}, ConfigError, "in_chans must be greater than or equal to 1"),
            ({"num_classes": 0}, ConfigError, "num_classes must be greater than or equal to 1"),
            ({"mean": (0.5, 0.5)}, ConfigError, "mean has 2 values"),
            ({"backbone_kwargs": {"scan": "crss"}}, ConfigError, "unknown scan 'crss'.*'cross'"),
        ],
    )
    def test_invalid_arguments_raise(self, overrides, error, message):
        with pytest.raises(error, match=message):
            cdzoo.create_model("glmamba_tiny", **overrides)

    @pytest.mark.parametrize(
        ("name", "error", "message"),
        [
            ("glmamba_lever", UnknownNameError, "Did you mean 'glmamba_levir'"),
            ("owner/name", ConfigError, "'local-dir:owner/name' or 'hf-hub:owner/name'"),
            ("s3:bucket", ConfigError, "unknown scheme 's3:'"),
            ("local-dir:/nowhere", InputError, "no such folder"),
        ],
    )
    def test_invalid_names_raise(self, name, error, message):
        with pytest.raises(error, match=message):
            cdzoo.create_model(name)


class _Mean(LevelFusion):
    def forward(self, x1, x2):
        return (x1 + x2) / 2


@pytest.mark.parametrize("encoder", ["resnet10t", "convnext_atto", "mobilenetv3_small_050"])
def test_timm_encoders(encoder, pair):
    model = cdzoo.create_model("glmamba_tiny", backbone=f"timm/{encoder}", fusion="abs_diff")
    assert model.backbone.out_strides == (4, 8, 16, 32)
    logits = model(*pair)
    assert logits.shape == (2, 1, 33, 47)
    logits.mean().backward()
    copy = cdzoo.ChangeDetector.from_config(cdzoo.ModelCfg.from_json(model.config.to_json()))
    copy.load_state_dict(model.state_dict(), strict=True)


@pytest.mark.parametrize(
    ("encoder", "neck"),
    [("swin_tiny_patch4_window7_224", "csam"), ("test_vit", "csam"), ("test_vit", None)],
)
def test_timm_transformers_accept_any_size(encoder, neck):
    model = cdzoo.create_model("glmamba_tiny", backbone=f"timm/{encoder}", neck=neck, fusion="diff").eval()
    image = torch.randn(1, 3, 70, 90)
    with torch.no_grad():
        assert model(image, image + 1).shape == (1, 1, 70, 90)


def test_arguments_of_timm_encoders():
    model = cdzoo.create_model(
        "glmamba_tiny", backbone="timm/resnet10t", backbone_kwargs={"out_indices": [1, 2, 3]}, in_chans=4, fusion="diff"
    )
    assert model.backbone.out_strides == (4, 8, 16)
    assert model.backbone.model.conv1[0].weight.shape[1] == 4
    with pytest.raises(ConfigError, match="timm/resnet10t cannot be used"):
        cdzoo.create_model("glmamba_tiny", backbone="timm/resnet10t", backbone_kwargs={"no_such": 1})
    with pytest.raises(UnknownNameError, match=r"timm .* has no model 'resnet10x'"):
        cdzoo.create_model("glmamba_tiny", backbone="timm/resnet10x")
