"""Protocols: names, validation, hashes."""

import dataclasses
import json

import pytest

from cdzoo.data.protocols import get_protocol, list_protocols
from cdzoo.errors import ConfigError
from cdzoo.protocol import Protocol
from cdzoo.results import ProtocolRecord, manifest_hash

HASHES = {
    "bright_1024": "ca271f2c2594f4c1",
    "cdd_256": "38caa564efbccce0",
    "clcd_256": "f6a50082980e6a7a",
    "clcd_512": "2319deab89a73fb3",
    "dsifn_256": "38c8603432cdc450",
    "folder": "160157b6988ba03e",
    "gz_256": "766d3434bdc3f6b9",
    "hi_ucd_512": "bbc581509ecc2126",
    "hi_ucd_mini_512": "51435dee840c12d5",
    "hrscd_512": "75d4da3e1a5b32e4",
    "landsat_scd_416": "e9241c6a01e6791c",
    "levir_1024_whole": "98c728b18a3e22d8",
    "levir_1024_windows": "ad0f5a788d67c30e",
    "levir_256": "6a68c6942672be52",
    "levir_plus_1024_whole": "8d2ec5ea1843391b",
    "levir_plus_256": "014a0332ed1a251a",
    "oscd_whole": "819232fb537cf192",
    "s2looking_1024": "0bf2fab9f443fd0d",
    "s2looking_256": "d715073ee5bf28e5",
    "scene": "30095b48cc3a523c",
    "second_512": "0bfeeafc15c0c64b",
    "second_512_from_to": "748c78f187ca66c2",
    "synthetic_128": "6bcfc56ec017e16e",
    "synthetic_damage_128": "f1031fc236c0c04e",
    "synthetic_semantic_128": "48ea543aa03829c2",
    "synthetic_wide_256": "1f7693cc2f0a7c27",
    "sysu_256": "dcf914c33f2fde2d",
    "whu_256": "bdbee2b25a4c93f8",
    "whu_811_256": "05621ac2fafef337",
    "xbd_unmasked": "12d15e98507f1fa8",
    "xbd_xview2": "9b9414c897e0a397",
}
"""Hashes of the protocols with the sample names `a` and `b`: stored results depend on them."""


def test_names_and_hashes_do_not_change():
    assert set(list_protocols()) == set(HASHES)
    for name, expected in HASHES.items():
        assert ProtocolRecord.of(get_protocol(name), {"val": ["a", "b"]}).hash == expected, name


@pytest.mark.parametrize("name", list_protocols())
def test_protocols_describe_themselves_and_never_select_on_test(name):
    protocol = get_protocol(name)
    assert protocol.name == name and str(protocol).startswith(f"{name}: ") and protocol.selection_split != "test"


def test_defaults_of_data_sets():
    assert get_protocol(None).name == "folder" and get_protocol(None, "levir_cd").name == "levir_256"
    assert get_protocol("folder", "levir_cd").name == "folder"
    assert get_protocol(None, "synthetic_plain") is get_protocol("synthetic_128", "synthetic_plain")


def test_protocols_of_other_data_sets_raise():
    with pytest.raises(ConfigError, match="for levir_cd, the data are clcd"):
        get_protocol("levir_256", "clcd")


@pytest.mark.parametrize(
    "wrong",
    [
        {"tile": 16},
        {"tile": 64.0},
        {"overlap": 8},
        {"window": 64, "overlap": 64},
        {"threshold": 1.0},
        {"threshold": float("nan")},
        {"selection_split": "test"},
        {"metric": "f1 score"},
        {"tiles": 256},
    ],
)
def test_invalid_protocols_raise(wrong):
    with pytest.raises(ConfigError, match="overlap" if "overlap" in wrong else next(iter(wrong))):
        Protocol("x", **wrong)


def test_the_hash_depends_on_names_and_settings_but_not_on_order():
    protocol = Protocol("x")
    record = ProtocolRecord.of(protocol, {"val": ["a", "b"]})
    assert record == ProtocolRecord.of(protocol, {"val": ["b", "a"]})
    assert record.hash != ProtocolRecord.of(protocol, {"val": ["a", "c"]}).hash
    assert record.hash != ProtocolRecord.of(dataclasses.replace(protocol, threshold=0.4), {"val": ["a", "b"]}).hash
    assert record.splits["val"] == {"samples": 2, "sha256": manifest_hash(["a", "b"])}
    assert ProtocolRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record
