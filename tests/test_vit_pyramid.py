"""Vision transformers of timm as backbones of models that expect a pyramid."""

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import cdzoo
from cdzoo.errors import ConfigError
from cdzoo.necks import VitPyramidNeck

VIT = "timm/test_vit"


@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("changeformer", {"neck_kwargs": {"channels": 8}}),
        ("fc_siam_diff", {"decoder": ("unet", {})}),
        ("btc_t", {"decoder_kwargs": {"channels": 8}}),
    ],
)
def test_a_vision_transformer_is_the_backbone_of_models_with_a_pyramid(host, options):
    model = cdzoo.create_model(host, backbone=VIT, **options)
    assert model.backbone.out_strides == (4, 8, 16, 32) and model.backbone.out_channels == (16, 32, 64, 64)
    logits = model(*torch.randn(2, 2, 3, 40, 70))
    assert logits.shape == (2, model.num_classes, 40, 70)
    logits.square().mean().backward()
    assert all(p.grad is not None for p in model.backbone.pyramid.parameters())


def test_the_neck_makes_the_same_pyramid_of_chosen_blocks():
    model = cdzoo.create_model("glmamba_tiny", backbone=VIT, neck=None, fusion="diff").eval()
    depth = len(timm.create_model("test_vit").blocks)
    blocks = [depth * quarter // 4 - 1 for quarter in (1, 2, 3, 4)]
    other = cdzoo.create_model(
        "glmamba_tiny", backbone=(VIT, {"out_indices": blocks}), neck="vit_pyramid", decoder="csie", fusion="diff"
    ).eval()
    other.load_state_dict({key.replace("backbone.pyramid.", "neck.pyramid."): value for key, value in model.state_dict().items()})
    x = torch.randn(2, 1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(other(*x), model(*x))
        levels = model.backbone(x[0])
    assert [tuple(level.shape[1:]) for level in levels] == [(16, 16, 24), (32, 8, 12), (64, 4, 6), (64, 2, 3)]


def test_one_map_makes_four_levels():
    neck = VitPyramidNeck([8], [16])
    assert [tuple(x.shape) for x in neck([torch.randn(1, 8, 4, 4)])] == [(1, 2, 16, 16), (1, 4, 8, 8), (1, 8, 4, 4), (1, 8, 2, 2)]
    for channels, strides in (([8, 8], [16, 16]), ([8] * 4, [14] * 4)):
        with pytest.raises(ConfigError, match="vit_pyramid expects four levels whose strides are powers of 2"):
            VitPyramidNeck(channels, strides)


def test_images_are_scaled_to_patches_of_14_pixels():
    model = cdzoo.create_model("glmamba_tiny", backbone=(VIT, {"patch_size": 14}), neck=None, fusion="diff").eval()
    seen = []
    model.backbone.model.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    x = torch.randn(2, 1, 3, 96, 64)
    with torch.no_grad():
        assert model(*x).shape == (1, 1, 96, 64)
    assert model.backbone.out_strides == (4, 8, 16, 32)
    torch.testing.assert_close(seen[0], F.interpolate(x.flatten(0, 1), (84, 56), mode="bilinear"))


def test_some_encoders_of_one_size_take_another_one():
    with torch.device("meta"):
        model = cdzoo.create_model("glmamba_tiny", backbone=("timm/beit_base_patch16_224", {"img_size": 256, "depth": 4}))
    assert model.fixed_input_size == 256 and model.backbone.out_channels == (192, 384, 768, 768)


def test_weights_of_the_encoder_alone_leave_the_pyramid_as_it_is(tmp_path):
    encoder = cdzoo.create_model("glmamba_tiny", backbone=VIT).backbone
    save_file({key: value for key, value in encoder.state_dict().items() if key.startswith("model.")}, tmp_path / "x.safetensors")
    torch.manual_seed(1)
    model = cdzoo.create_model("glmamba_tiny", backbone=VIT, backbone_weights=tmp_path / "x.safetensors")
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, encoder.state_dict()[key]) or key.startswith("pyramid."), key
    assert not torch.equal(model.backbone.pyramid.levels[0][1].weight, encoder.pyramid.levels[0][1].weight)


@pytest.mark.slow
def test_names_of_dino():
    for name, patch in (("vit_small_patch14_dinov2", 14), ("vit_small_patch16_dinov3", 16)):
        with torch.device("meta"):
            model = cdzoo.create_model("glmamba_tiny", backbone=f"timm/{name}").eval()
            assert model.backbone.patch == patch and model(*torch.zeros(2, 1, 3, 100, 130)).shape == (1, 1, 100, 130)
