"""Extension points: exchange of features between dates, fusions of several dates, branches, and checks of declared channels."""

import copy

import pytest
import torch
from torch import nn

import cdzoo
from cdzoo.backbones import VSSBackbone
from cdzoo.components import Exchange, Fusion, LevelFusion, PerLevelFusion
from cdzoo.errors import ChannelMismatchError, ConfigError, InputError, UnknownNameError
from cdzoo.fusion import Diff
from cdzoo.heads import Summation
from cdzoo.models.branch import Branch
from cdzoo.registry import BACKBONES, COMPONENTS
from cdzoo.tasks import BinaryTask, Task, get_task
from cdzoo.weights.state import write_tensors

SIZE = {"channels": 8, "depths": (1, 1, 1, 1), "d_state": 2}


class SwapHalf(Exchange):
    """Swaps half of the channels between two dates."""

    def forward(self, x, num_dates):
        dates = list(x.chunk(num_dates))
        half = x.shape[1] // 2
        dates = [torch.cat([dates[1 - i][:, :half], date[:, half:]], 1) for i, date in enumerate(dates)]
        return torch.cat(dates)


def detector(backbone, fusion=None):
    fusion = fusion or PerLevelFusion([Diff(channels) for channels in backbone.out_channels], backbone.out_strides)
    return cdzoo.ChangeDetector(backbone, None, fusion, None, Summation(fusion.out_channels, fusion.out_strides)).eval()


def test_exchange_hook_changes_both_dates():
    torch.manual_seed(0)
    backbone = VSSBackbone(**SIZE).eval()
    images = tuple(torch.rand(2, 2, 3, 64, 64))
    with torch.no_grad():
        before = backbone.encode(images)
        backbone.add_exchange(SwapHalf(), levels=[1])
        after = backbone.encode(images)
    assert torch.equal(before[0][0], after[0][0])  # finer than the exchange
    half = before[0][1].shape[1] // 2
    for date in (0, 1):
        assert torch.equal(after[date][1][:, :half], before[1 - date][1][:, :half])
        assert torch.equal(after[date][1][:, half:], before[date][1][:, half:])
        assert not torch.allclose(before[date][2], after[date][2])


class Scaled(Exchange):
    """Multiplies all features by a learned factor."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1))

    def forward(self, x, num_dates):
        return x * self.factor


def test_copies_of_a_backbone_have_exchanges_of_their_own(tmp_path):
    backbone = VSSBackbone(**SIZE).eval()
    backbone.add_exchange(Scaled())
    images = tuple(torch.rand(2, 1, 3, 64, 64))
    copied = copy.deepcopy(backbone)
    with torch.no_grad():
        expected = backbone.encode(images)
        copied.exchanges["0"].factor.fill_(2.0)
        torch.testing.assert_close(copied.encode(images)[0][0], 2 * expected[0][0])
        torch.testing.assert_close(backbone.encode(images)[0][0], expected[0][0])
    write_tensors(tmp_path / "backbone.safetensors", backbone.state_dict())
    assert [name for name in backbone.state_dict() if "factor" in name] == ["exchanges.0.factor"]


def test_exchange_of_equal_dates_is_the_identity():
    backbone = VSSBackbone(**SIZE).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = backbone.encode((image, image))
        backbone.add_exchange(SwapHalf())
        found = backbone.encode((image, image))
    for date in (0, 1):
        for level, other in zip(found[date], expected[date], strict=True):
            torch.testing.assert_close(level, other)


def test_a_backbone_may_override_encode():
    class Mixed(VSSBackbone):
        def encode(self, images):
            mean = torch.stack(images).mean(0)
            return super().encode([image - mean for image in images])

    model = detector(Mixed(**SIZE))
    x1, x2 = torch.rand(2, 1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(x1 + 0.25, x2 + 0.25), model(x1, x2), atol=1e-5, rtol=1e-4)


class Spread(Fusion):
    """Range of the features over any number of dates."""

    num_dates = None

    def __init__(self, in_channels, in_strides):
        super().__init__(in_channels, in_strides)

    def forward(self, *pyramids):
        return [torch.stack(level).amax(0) - torch.stack(level).amin(0) for level in zip(*pyramids, strict=True)]


def test_three_dates():
    backbone = VSSBackbone(**SIZE)
    fusion = Spread(backbone.out_channels, backbone.out_strides)
    model = cdzoo.create_model(
        "glmamba_tiny", in_chans=(3, 3, 3), backbone=backbone, neck=None, fusion=fusion, decoder=None
    ).eval()
    assert model.num_dates == 3
    x1, x2, x3 = torch.rand(3, 1, 3, 48, 64)
    with torch.no_grad():
        assert model(x1, x2, x3).shape == (1, 1, 48, 64)
        torch.testing.assert_close(model(x1, x2, x3), model(x3, x1, x2))
    with pytest.raises(InputError, match="3 tensors"):
        model(x1, x2)
    with pytest.raises(ConfigError, match="dates"):
        cdzoo.create_model("glmamba_tiny", in_chans=(3, 3, 3), fusion="bfa")


def test_fusions_that_return_undeclared_channels_raise():
    class Doubling(LevelFusion):
        def forward(self, x1, x2):
            return torch.cat([x1, x2], 1)

    with pytest.raises(ChannelMismatchError, match=r"declares channels \(8, 16, 32, 64\), but returns \(16, 32, 64, 128\)"):
        cdzoo.create_model("glmamba_tiny", backbone_kwargs=SIZE, fusion=Doubling, decoder=None)


def test_flags_are_those_of_all_components():
    class Global(LevelFusion):
        is_local = False
        exportable = False

        def forward(self, x1, x2):
            return (x1 - x2) - (x1 - x2).mean((2, 3), keepdim=True)

    backbone = BACKBONES.get("unet")()
    local = detector(backbone)
    assert local.local is backbone.is_local and local.exportable
    fused = PerLevelFusion([Global(channels) for channels in backbone.out_channels], backbone.out_strides)
    model = detector(backbone, fused)
    assert not model.local and not model.exportable


def built(kind, name):
    """Return a component of a model with four levels; skip those that need another pyramid."""
    options = {"neck": None, "decoder": None, kind: name}
    try:
        model = cdzoo.create_model("glmamba_tiny", backbone_kwargs=SIZE, **options)
    except ConfigError:
        pytest.skip(f"{kind} {name} needs another pyramid")
    return getattr(model, kind).eval()


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in ("neck", "fusion", "decoder") for name in COMPONENTS[kind].list() if name != "early"],
)
def test_components_declared_local_are_local(kind, name):
    """The corner of the output is the same for a window with this corner as for the whole input."""
    component = built(kind, name)
    if not component.is_local:
        pytest.skip("not declared local")
    strides, dates = (1, 2, 4, 8), range(2 if kind == "fusion" else 1)
    pyramids = [
        [torch.rand(1, c, 256 // s, 256 // s) for c, s in zip(component.in_channels, strides, strict=False)] for _ in dates
    ]
    windows = [[level[..., : 192 // s, : 192 // s] for level, s in zip(pyramid, strides, strict=False)] for pyramid in pyramids]
    with torch.no_grad():
        whole, window = component(*pyramids), component(*windows)
    for a, b in zip(whole, window, strict=True):
        torch.testing.assert_close(a[..., :2, :2], b[..., :2, :2], rtol=0, atol=1e-6, msg=lambda text: f"{name}: {text}")


def test_branches_add_outputs():
    model = cdzoo.create_model("glmamba_tiny", backbone_kwargs=SIZE).eval()
    channels, strides = model.neck.out_channels, model.neck.out_strides
    x1, x2 = torch.rand(2, 1, 3, 50, 70)
    with torch.no_grad():
        change = model(x1, x2)
        model.branches["before"] = Branch(Summation(channels, strides, num_classes=5))
        model.branches["after"] = Branch(Summation(channels, strides, num_classes=5), dates=(1,))
        model.branches["after"].load_state_dict(model.branches["before"].state_dict())
        model.eval()
        outputs, swapped = model(x1, x2), model(x2, x1)
    with torch.no_grad():
        supervised, _ = model.forward_supervised(x1, x2)
    assert all(torch.equal(supervised[name], outputs[name]) for name in outputs)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "change": (1, 1, 50, 70),
        "before": (1, 5, 50, 70),
        "after": (1, 5, 50, 70),
    }
    torch.testing.assert_close(outputs["change"], change)
    torch.testing.assert_close(outputs["before"], swapped["after"])
    with pytest.raises(ConfigError, match="requires a fusion"):
        Branch(Summation(channels, strides), dates=(0, 1))


def test_a_backbone_without_meta_kernels_is_run_on_zeros():
    class Branching(VSSBackbone):
        def forward(self, x):
            return super().forward(x if x.sum() >= 0 else -x)  # depends on values, which meta tensors lack

    model = cdzoo.create_model("glmamba_tiny", backbone=Branching(**SIZE))
    assert model.backbone.out_channels == (8, 16, 32, 64)

    class Failing(VSSBackbone):
        def forward(self, x):
            raise RuntimeError("no such size")

    with pytest.raises(ConfigError, match="fails on images of 64x64 pixels: no such size"):
        cdzoo.create_model("glmamba_tiny", backbone=Failing(**SIZE))


def test_a_task_is_found_by_the_name_of_its_class():
    class Other(Task):
        name = "other_task"

    assert isinstance(get_task("binary"), BinaryTask)
    with pytest.raises(UnknownNameError, match="Did you mean 'other_task'"):
        get_task("other_tasks")
