"""Protocols: named, checked, hashed."""

import dataclasses
import json

import pytest

from cdzoo.data.protocols import all_protocols, get_protocol
from cdzoo.errors import ConfigError
from cdzoo.protocol import Protocol
from cdzoo.results import ProtocolRecord, manifest_hash


@pytest.mark.parametrize("name", all_protocols())
def test_every_protocol_says_itself_and_never_selects_on_test(name):
    protocol = get_protocol(name)
    assert protocol.name == name and str(protocol).startswith(f"{name}: ") and protocol.selection_split != "test"


def test_defaults_of_data_sets():
    assert get_protocol(None).name == "folder" and get_protocol(None, "levir_cd").name == "levir_256"
    assert get_protocol("folder", "levir_cd").name == "folder"


@pytest.mark.parametrize(
    "wrong",
    [
        {"tile": 16},
        {"overlap": 8},
        {"window": 64, "overlap": 64},
        {"threshold": 1.0},
        {"selection_split": "test"},
        {"metric": "oa2"},
    ],
)
def test_what_is_no_protocol_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))[:6] if "selection_split" not in wrong else "selection_split must be 'val' or 'train'"):
        Protocol("x", **wrong)


def test_the_hash_follows_the_names_and_the_settings_but_not_the_order():
    protocol = Protocol("x")
    one = ProtocolRecord.of(protocol, {"val": ["a", "b"]})
    assert one == ProtocolRecord.of(protocol, {"val": ["b", "a"]})
    assert one.hash != ProtocolRecord.of(protocol, {"val": ["a", "c"]}).hash
    assert one.hash != ProtocolRecord.of(dataclasses.replace(protocol, threshold=0.4), {"val": ["a", "b"]}).hash
    assert one.splits["val"] == {"samples": 2, "sha256": manifest_hash(["a", "b"])}
    assert ProtocolRecord.from_dict(json.loads(json.dumps(one.to_dict()))) == one
