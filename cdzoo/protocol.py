"""`Protocol`: how a score came about, stored with every score and every weight file.

The same network scores a point more or less of F1 on the same pictures when they are cut into other tiles, another split is
used to choose the checkpoint, or the test split is. Two scores may be compared when their protocols and manifests are equal.
"""

from __future__ import annotations

from dataclasses import dataclass

from cdzoo.errors import ConfigError
from cdzoo.names import suggest


@dataclass(frozen=True)
class Protocol:
    """Cutting, threshold and selection.

    Attributes:
        name: Under which `--protocol` finds it.
        dataset: Named data set that it belongs to; empty for any.
        tile: Images are cut into tiles of this side, each a sample of its own; None leaves them whole.
        window: Samples larger than this are predicted in windows of this side, averaged where they overlap; None at once.
        overlap: Pixels that neighbouring windows share.
        threshold: Probability from which a pixel counts as changed.
        selection_split: Split on which the weights are chosen. Never the test split.
        metric: Score by which they are chosen.
        carved: Share of the training scenes that become the validation split where a data set has none.
    """

    name: str
    dataset: str = ""
    tile: int | None = None
    window: int | None = None
    overlap: int = 0
    threshold: float = 0.5
    selection_split: str = "val"
    metric: str = "f1"
    carved: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what is no protocol."""
        for label in ("tile", "window"):
            side = getattr(self, label)
            if side is not None and side < 32:
                raise ConfigError(f"{label} must be at least 32 pixels, got {side}")
        if not 0 <= self.overlap < (self.window or 1):
            raise ConfigError(f"overlap must be smaller than the window of {self.window}, got {self.overlap}")
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold must be between 0 and 1, got {self.threshold}")
        if self.selection_split not in ("train", "val"):
            raise ConfigError(f"weights are chosen on val (or train), never on '{self.selection_split}'")
        if self.metric not in SELECTION_METRICS:
            raise ConfigError(f"metric must be one of {', '.join(SELECTION_METRICS)}, got '{self.metric}'")

    def __str__(self) -> str:
        """Say it in one line, for tables and logs."""
        cut = f"{self.tile}x{self.tile} tiles" if self.tile else "whole images"
        how = f", windows of {self.window} overlapping by {self.overlap}" if self.window else ""
        return f"{self.name}: {cut}{how}, threshold {self.threshold:g}, chosen by {self.metric} on {self.selection_split}"


SELECTION_METRICS = ("f1", "iou", "kappa", "mean_image_f1")

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol("folder"),
        Protocol("synthetic_128", "synthetic"),
        Protocol("levir_256", "levir_cd", tile=256),
        Protocol("levir_1024_whole", "levir_cd"),
        Protocol("levir_1024_windows", "levir_cd", window=256, overlap=128),
        Protocol("levir_plus_256", "levir_cd_plus", tile=256),
        Protocol("levir_plus_1024_whole", "levir_cd_plus"),
        Protocol("whu_256", "whu_cd", tile=256),
        Protocol("whu_811_256", "whu_cd_811", tile=256),
        Protocol("sysu_256", "sysu_cd"),
        Protocol("gz_256", "gz_cd", tile=256),
        Protocol("clcd_512", "clcd"),
        Protocol("clcd_256", "clcd", tile=256),
        Protocol("dsifn_256", "dsifn_cd", tile=256),
        Protocol("cdd_256", "cdd"),
        Protocol("s2looking_1024", "s2looking"),
        Protocol("s2looking_256", "s2looking", tile=256),
        Protocol("oscd_whole", "oscd"),
    )
}
"""By name; the first of a data set is its default."""


def get_protocol(name: str | None, dataset: str = "") -> Protocol:
    """Return the protocol called `name`, or the default one of `dataset`.

    Raises:
        ConfigError: There is none of that name, or it belongs to another data set.
    """
    if name is None:
        return next((one for one in PROTOCOLS.values() if dataset and one.dataset == dataset), PROTOCOLS["folder"])
    if name not in PROTOCOLS:
        raise ConfigError(f"there is no protocol '{name}'.{suggest(name, PROTOCOLS)} Protocols: {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    if dataset and protocol.dataset not in ("", dataset):
        raise ConfigError(f"protocol '{name}' is for {protocol.dataset}, the data are {dataset}")
    return protocol
