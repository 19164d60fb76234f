"""Counts compared with arithmetic by hand, and the formats of `cdzoo flops`."""

import csv
import io
import json

import pytest
import torch
from architectures import accepted_size, families, shrunk

import cdzoo
from cdzoo.cli.main import main
from cdzoo.components import Backbone, PerLevelFusion
from cdzoo.errors import ConfigError, UnknownNameError
from cdzoo.flops import count, count_models, expand
from cdzoo.fusion import Diff
from cdzoo.heads import Summation
from cdzoo.ops import set_scan_backend

# Without multiply-adds: elementwise operations, reductions and pooling.
ELEMENTWISE = {"abs", "add", "add_", "amax", "exp", "gelu", "max_pool2d", "mean", "mul", "neg", "sigmoid", "silu", "softmax"}
ELEMENTWISE |= {"sub", "sum", "div", "rsub", "hardtanh_", "ceil", "pad", "unflatten"}  # and copies
ELEMENTWISE |= {"clamp_min", "hardswish", "linalg_vector_norm", "log", "prelu", "pow", "cos", "sin", "silu_", "square", "where"}
ELEMENTWISE |= {"avg_pool2d", "channel_shuffle", "eye", "flip", "linspace", "repeat", "upsample_bicubic2d", "view_as"}


class _OneConvolution(Backbone):
    def __init__(self):
        super().__init__(3, [5], [4])
        self.conv = torch.nn.Conv2d(3, 5, 3, stride=4, padding=1)

    def forward(self, x):
        return [self.conv(x)]


def test_convolutions():
    model = cdzoo.ChangeDetector(_OneConvolution(), None, PerLevelFusion([Diff(5)], [4]), None, Summation([5], [4], channels=8))
    cost = count(model, (32, 64), batch=3)
    pixels = 3 * (32 // 4) * (64 // 4)
    assert cost.component_macs["backbone"] == 2 * pixels * 5 * 3 * 9
    assert cost.component_macs["neck"] == cost.component_macs["fusion"] == cost.component_macs["decoder"] == 0
    # Summation: Conv1x1 to 8, then at input size Conv3x3 to 4 and Conv1x1 to 1.
    assert cost.operators["conv"] == cost.component_macs["backbone"] + pixels * 5 * 8 + 16 * pixels * (8 * 4 * 9 + 4)
    assert cost.macs == sum(cost.component_macs.values()) == sum(cost.operators.values())
    assert cost.scan == 0 and cost.flops == 2 * cost.macs
    assert cost.activations == 2 * pixels * 5 + pixels * 8 + 16 * pixels * (4 + 1)
    assert cost.uncounted["aten::sub"] == 1  # the fusion
    assert set(cost.uncounted) <= {f"aten::{name}" for name in ("sub", "rsub", "add", "mul", "neg")}  # of sizes
    assert model.training


def test_scan():
    cost = count(cdzoo.create_model("glmamba_tiny", backbone_kwargs={"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2}), 64)
    # Two dates, four directions; 16 inner channels at 16 x 16 pixels, then at each stage twice those on a quarter of these.
    values = sum(2 * 4 * (16 * 2**i) * (16 // 2**i) ** 2 for i in range(4))
    assert cost.scan == cost.operators["selective_scan"] == values * (9 * 2 + 1)
    assert cost.flops == 2 * cost.macs - cost.scan


def test_attention():
    backbone = {"channels": [4, 8], "depths": [1, 2], "heads": [1, 2], "reductions": [2, 1]}
    cost = count(cdzoo.create_model("changeformer", backbone=("changeformer", backbone)), 64)
    first, second = 16 * 16 * (8 * 8) * 4, 2 * (8 * 8) * (8 * 8) * 8  # queries x keys x channels, of all blocks
    assert cost.operators["attention"] == 2 * 2 * (first + second)


def test_all_scan_backends_have_the_same_cost():
    model, costs = cdzoo.create_model("glmamba_tiny"), []
    try:
        for backend in ("reference", None):
            set_scan_backend(backend)
            costs.append(count(model, 32))
    finally:
        set_scan_backend(None)
    assert costs[0] == costs[1]


def test_two_backbones_are_counted(tiny):
    one, two = count(tiny(), 32), count(tiny(siamese=False), 32)
    assert two.component_macs == one.component_macs
    assert two.component_params["backbone"] == 2 * one.component_params["backbone"]


@pytest.mark.slow
@pytest.mark.parametrize("name", families())
def test_uncounted_operators_have_no_multiply_adds(name):
    model = cdzoo.create_model(name, **shrunk(name))
    cost = count(model, accepted_size(model, 32, 32))
    assert {one.removeprefix("aten::") for one in cost.uncounted} <= ELEMENTWISE
    assert cost.macs == sum(cost.component_macs.values())
    assert cost.params == sum(cost.component_params.values()) >= cost.trained


def test_wildcards_and_aliases():
    assert expand(["glmamba_t*", "bit", "glmamba_tiny"]) == ["glmamba_tiny", "bit"]
    with pytest.raises(ConfigError, match="no model matches 'nothing\\*'"):
        expand(["nothing*"])
    with pytest.raises(UnknownNameError, match="Did you mean 'fc_ef'"):
        list(count_models(["fc_eff"]))
    first, second = count_models(["fc_siam_diff", "fc_siam_diff"], 32)
    assert first == second
    (alias,) = count_models(["bit"], 32)
    assert (alias.model, alias.registered) == ("bit", "bit_s4_dd8_dedim8")


class TestCommand:
    def run(self, capsys, *arguments):
        code = main(["flops", "fc_ef", "glmamba_tiny", "--size", "32", *arguments])
        return code, capsys.readouterr().out

    def test_json_has_all_figures(self, capsys):
        code, out = self.run(capsys, "--format", "json")
        rows = json.loads(out)
        assert code == 0 and [row["model"] for row in rows] == ["fc_ef", "glmamba_tiny"]
        for row in rows:
            assert {"params_m", "gmacs", "gflops", "parts", "uncounted", "convention", "activations_m"} <= set(row)
            assert sum(part["gmacs"] for part in row["parts"].values()) == pytest.approx(row["gmacs"])
            assert sum(part["params_m"] for part in row["parts"].values()) == pytest.approx(row["params_m"])
        assert rows[0]["params_m"] == 1.350578

    def test_csv_and_markdown_are_tables(self, capsys):
        rows = list(csv.reader(io.StringIO(self.run(capsys, "--format", "csv")[1])))
        assert [row[0] for row in rows] == ["model", "fc_ef", "glmamba_tiny"] and len({len(row) for row in rows}) == 1
        lines = self.run(capsys, "--format", "markdown")[1].splitlines()
        assert lines[1].startswith("| --- | ---:") and lines[2].startswith("| fc_ef | 1.351 |")

    def test_the_table_states_the_convention_and_uncounted_operators(self, capsys):
        out = " ".join(self.run(capsys)[1].split())
        assert "one per multiply-add" in out and "9 B L D N + B L D" in out and "Not counted" in out and "max_pool2d" in out

    def test_files_are_written_and_invalid_arguments_are_named(self, capsys, tmp_path):
        assert self.run(capsys, "-o", str(tmp_path / "costs.md"), "--format", "markdown")[0] == 0
        assert [file.name for file in tmp_path.iterdir()] == ["costs.md"]
        for arguments, message in (
            (["--format", "xml"], "--format: unknown value 'xml'"),
            (["-o", str(tmp_path / "none" / "costs.md")], "there is no folder"),
            (["--batch", "0"], "must be positive"),
        ):
            assert main(["flops", "fc_ef", "--size", "32", *arguments]) == 2
            assert message in capsys.readouterr().err
