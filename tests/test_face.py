"""Public API: calls in the style of timm and segmentation_models.pytorch work, or raise with the call to use instead."""

import dataclasses
import inspect

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

import cdzoo
from cdzoo.config import ModelOptions
from cdzoo.errors import ConfigError, InputError, UnknownNameError
from cdzoo.fusion import Concat
from cdzoo.losses import BCELoss, DiceLoss, FocalLoss, LovaszLoss

SMALL = {"backbone_kwargs": {"channels": 8, "depths": (1, 1, 1, 1), "d_state": 2}}


def tiny(**options):
    return cdzoo.create_model("glmamba_tiny", **{**SMALL, **options})


class TestCreateModel:
    def test_signature_names_every_argument(self):
        parameters = inspect.signature(cdzoo.create_model).parameters
        kinds = {parameter.kind for parameter in parameters.values()}
        assert inspect.Parameter.VAR_KEYWORD not in kinds and list(parameters)[:2] == ["model_name", "pretrained"]
        assert {
            "checkpoint_path",
            "cache_dir",
            "in_chans",
            "num_classes",
            "task",
            "class_names",
            "backbone",
            "neck",
            "fusion",
        } <= {*parameters}
        assert [field.name for field in dataclasses.fields(ModelOptions)] == list(parameters)
        assert cdzoo.create_model(model_name="glmamba_tiny").config.name == "glmamba_tiny"

    @pytest.mark.parametrize(
        ("options", "answer"),
        [
            ({"in_channels": 4}, "in_chans"),
            ({"classes": 2}, "num_classes"),
            ({"num_clases": 2}, "num_classes"),
            ({"encoder_name": "resnet18"}, "timm/"),
            ({"pretrained_backbone": True}, "backbone_pretrained"),
            ({"drop_path_rate": 0.1}, "backbone_kwargs"),
            ({"features_only": True}, "forward_features"),
        ],
    )
    def test_arguments_of_other_libraries_raise_with_the_equivalent(self, options, answer):
        with pytest.raises(ConfigError, match=answer):
            tiny(**options)

    @pytest.mark.parametrize("backbone", ["resnet18", "tu-resnet18"])
    def test_timm_names_raise_with_the_prefixed_name(self, backbone):
        with pytest.raises(ConfigError, match="timm/resnet18"):
            cdzoo.create_model("glmamba_tiny", backbone=backbone)

    def test_tags(self):
        with pytest.raises(UnknownNameError, match=r"nonsense.*synthetic"):
            cdzoo.create_model("glmamba_tiny", pretrained="nonsense")
        tagged, default = cdzoo.create_model("glmamba_tiny.synthetic"), cdzoo.create_model("glmamba_tiny", pretrained=True)
        assert all(map(torch.equal, tagged.state_dict().values(), default.state_dict().values()))
        assert tagged.pretrained_cfg is not None and tagged.pretrained_cfg == cdzoo.get_pretrained_cfg("glmamba_tiny")

    def test_checkpoint_path(self, tmp_path):
        tiny().save_pretrained(tmp_path)
        loaded = cdzoo.create_model("glmamba_tiny", checkpoint_path=tmp_path / "model.safetensors", **SMALL)
        again = cdzoo.ChangeDetector.from_pretrained(tmp_path)
        assert all(map(torch.equal, loaded.state_dict().values(), again.state_dict().values()))

    def test_modules_of_timm_and_torchvision_as_backbones(self):
        import torchvision

        encoder = timm.create_model("resnet10t", features_only=True, pretrained=False)
        model = cdzoo.create_model("glmamba_tiny", backbone=encoder, fusion="abs_diff", neck=None, decoder=None)
        assert model(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)).shape == (1, 1, 64, 64)
        with pytest.raises(ConfigError, match=r"wrap_backbone|features_only"):
            cdzoo.create_model("glmamba_tiny", backbone=torchvision.models.resnet18(weights=None))

    def test_components_as_classes_and_none(self):
        assert isinstance(tiny(fusion=Concat, decoder=None).fusion.levels[0], Concat)
        assert tiny(neck="none").config.neck is None
        with pytest.raises(ConfigError, match="LevelFusion"):
            tiny(fusion=lambda x1, x2: x1 + x2)

    def test_several_classes_need_a_task(self):
        with pytest.raises(ConfigError, match="task"):
            tiny(num_classes=7)


def test_list_functions():
    assert cdzoo.is_model("glmamba_tiny") and cdzoo.is_model("bit_levir") and not cdzoo.is_model("glmamba")
    assert not any("mamba" in name for name in cdzoo.list_models(exclude_filters=["*mamba*"]))
    assert set(cdzoo.list_models(module="glmamba")) < set(cdzoo.list_models("glmamba*"))
    assert "glmamba_tiny.synthetic" in cdzoo.list_pretrained("*")
    assert "levir_cd" in cdzoo.list_datasets() and "bfa" in str(cdzoo.list_components())


def test_losses():
    logits, target = torch.randn(2, 1, 8, 8), torch.randint(0, 2, (2, 8, 8))
    for loss in (BCELoss(), DiceLoss(), FocalLoss(), LovaszLoss(), cdzoo.create_loss("bce+0.5*dice")):
        assert isinstance(loss, nn.Module) and torch.isfinite(loss(logits, target))
    assert cdzoo.losses.BCELoss is BCELoss and cdzoo.data and cdzoo.metrics


class TestModel:
    def test_attributes(self):
        model = tiny(num_classes=2)
        assert (model.num_classes, model.in_chans, model.num_dates, model.pretrained_cfg) == (2, 3, 2, None)
        assert [level["num_chs"] for level in model.feature_info] == list(model.backbone.out_channels)
        assert [level["reduction"] for level in model.feature_info] == list(model.backbone.out_strides)
        assert {"exportable", "compilable", "local", "square", "size_multiple", "fixed_input_size"} <= {
            name for name in dir(model) if isinstance(getattr(model, name), bool | int | type(None))
        }

    def test_features_and_head(self):
        model = tiny().eval()
        x1, x2 = torch.rand(2, 1, 3, 64, 64)
        features = model.forward_features(x1, x2)
        torch.testing.assert_close(model.forward_head(features, (64, 64)), model(x1, x2))
        model.reset_classifier(2)
        assert model.num_classes == 2 and model(x1, x2).shape == (1, 2, 64, 64)

    def test_gradient_checkpointing_keeps_the_gradients(self):
        torch.manual_seed(0)
        model = tiny().train()
        x1, x2 = torch.rand(2, 1, 3, 64, 64)
        gradients = []
        for enable in (False, True):
            model.zero_grad()
            model.set_grad_checkpointing(enable)
            torch.manual_seed(1)
            model(x1, x2).square().mean().backward()
            gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
        torch.testing.assert_close(*gradients)

    def test_a_single_image_raises_with_the_expected_call(self):
        model, x = tiny(), torch.rand(1, 3, 64, 64)
        for wrong in ((x,), ((x, x),)):
            with pytest.raises(InputError, match="one per date"):
                model(*wrong)

    def test_one_line_per_component(self):
        assert len(repr(tiny()).splitlines()) < 10


def test_images_of_every_kind(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "image.png")
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    model = cdzoo.create_model("glmamba_tiny.synthetic").eval()
    transform = cdzoo.create_transform(model)
    kinds = [tmp_path / "image.png", str(tmp_path / "image.png"), array, array / np.float32(255), Image.fromarray(array), tensor]
    results = [transform(kind) for kind in kinds]
    assert results[0].shape[-3:] == (3, 48, 64)
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], atol=1e-5, rtol=1e-5)
    x1, x2 = model.preprocess(array, tmp_path / "image.png")
    torch.testing.assert_close(x1, x2)
    by_name = cdzoo.predict_pair("glmamba_tiny.synthetic", array, tensor)
    assert by_name.mask.shape == (48, 64)
    np.testing.assert_array_equal(by_name.probability, cdzoo.predict_pair(model, array, array).probability)


def test_the_published_threshold_reaches_the_prediction():
    model = cdzoo.create_model("glmamba_tiny.synthetic").eval()
    before, after = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    probability = cdzoo.predict_pair(model, before, after).probability
    for quantile in (0.2, 0.8):  # a fixed threshold cannot pass both
        threshold = float(np.quantile(probability, quantile))
        model.pretrained_cfg = dataclasses.replace(model.pretrained_cfg, threshold=threshold)
        mask = cdzoo.predict_pair(model, before, after).mask
        np.testing.assert_array_equal(mask, probability >= threshold)
        assert abs(mask.mean() - (1 - quantile)) < 0.05


def test_hubconf_has_a_function_per_model():
    import importlib.util
    from pathlib import Path

    spec = importlib.util.spec_from_file_location("hubconf", Path(cdzoo.__file__).parents[1] / "hubconf.py")
    hubconf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hubconf)
    assert set(cdzoo.list_models()) <= set(dir(hubconf))
    assert hubconf.glmamba_tiny(num_classes=2).num_classes == 2
    assert hubconf.glmamba_tiny.__doc__ and "torch" in hubconf.dependencies
