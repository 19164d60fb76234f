"""Losses of models with several outputs: `"ce+0.75*lovasz+0.25*similarity"`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from cdzoo.constants import IGNORE_INDEX
from cdzoo.errors import ConfigError
from cdzoo.losses.pairs import ConsistencyLoss, PairLoss, SimilarityLoss
from cdzoo.losses.sums import LOSSES, Term, WeightedSum, parse_terms
from cdzoo.names import check_known

PAIR_LOSSES: dict[str, type[PairLoss]] = {"consistency": ConsistencyLoss, "similarity": SimilarityLoss}
"""Losses of the land-cover maps of two dates."""


class OutputsLoss(nn.Module):
    """Weighted sum of losses of named outputs, and of losses that compare two of them.

    Args:
        weights: Weight of each output.
        losses: Loss of each output that has one, a module of logits (B, K, H, W) and a target (B, H, W).
        pair: Names of the outputs that `pair_loss` compares.
        pair_loss: Loss of two maps and the target of the first output; None for no such loss.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        losses: Mapping[str, nn.Module],
        pair: Sequence[str] = (),
        pair_loss: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.weights, self.losses = dict(weights), nn.ModuleDict(losses)
        self.main, self.pair, self.pair_loss = next(iter(weights)), tuple(pair), pair_loss

    def forward(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """Return the loss; terms whose outputs are not given, as in deep supervision, are left out.

        Args:
            outputs: Logits (B, K, H, W) by name, at least one.
            targets: Target (B, H, W) of each output.
        """
        terms = [self.weights[name] * loss(outputs[name], targets[name]) for name, loss in self.losses.items() if name in outputs]
        if self.pair_loss is not None and all(name in outputs for name in self.pair):
            terms.append(self.pair_loss(*(outputs[name] for name in self.pair), targets[self.main]))
        # Without a term, the loss is a zero that has a gradient.
        return torch.stack(terms).sum() if terms else 0 * next(iter(outputs.values())).float().mean()


def create_outputs_loss(
    text: str,
    weights: Mapping[str, float],
    pair: Sequence[str] = (),
    change_weight: float = 1.0,
    ignore_index: int = IGNORE_INDEX,
) -> OutputsLoss:
    """Return the loss of several outputs that a text describes.

    A name of `LOSSES` is the loss of each output times the weight of the output: with the weights 1 of `change` and 0.5 of
    `semantic_t1` and `semantic_t2`, `"ce"` is CE(change) + 0.5 (CE(semantic_t1) + CE(semantic_t2)). `"ce@change"` applies to this
    output alone, `"ce@semantic"` to all whose names begin so. A name of `PAIR_LOSSES` is added once.

    Args:
        text: Names with optional factors and outputs, joined by `+`, such as `"ce+0.75*lovasz+0.25*similarity"`.
        weights: Weight of each output by name.
        pair: Names of the two outputs that `PAIR_LOSSES` compare; none if there are no such outputs.
        change_weight: Weight of pixels whose target is not 0.
        ignore_index: Value of the targets for pixels that are left out.

    Raises:
        ConfigError: A loss or an output is unknown, or a factor is not a positive number.
    """
    chosen: dict[str, list[Term]] = {name: [] for name in weights}
    pairs = []
    for term in parse_terms(text, (*LOSSES, *PAIR_LOSSES)):
        if term.name in PAIR_LOSSES:
            if not pair or term.output:
                reason = (
                    f"compares two outputs: remove @{term.output}"
                    if pair
                    else "compares the land cover of two dates: task=semantic"
                )
                raise ConfigError(f"loss '{text}': {term.name} {reason}")
            pairs.append(term)
            continue
        found = [name for name in weights if not term.output or f"{name}_".startswith(f"{term.output}_")]
        if not found:
            check_known(f"loss '{text}': unknown output", term.output, weights)
        for name in found:
            chosen[name].append(term)
    losses = {
        name: WeightedSum([term.factor for term in terms], [LOSSES[term.name](change_weight, ignore_index) for term in terms])
        for name, terms in chosen.items()
        if terms
    }
    pair_loss = WeightedSum([term.factor for term in pairs], [PAIR_LOSSES[term.name](ignore_index) for term in pairs])
    return OutputsLoss(weights, losses, pair, pair_loss if pairs else None)
