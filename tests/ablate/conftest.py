"""Files of small grids."""

import pytest
import yaml
from grids import GRID


class PlainDumper(yaml.SafeDumper):
    """Writes shared values twice: grids have no anchors."""

    def ignore_aliases(self, data):
        return True


@pytest.fixture
def write(tmp_path):
    def to_file(**changes):
        path = tmp_path / "grid.yaml"
        path.write_text(yaml.dump({**GRID, **changes}, Dumper=PlainDumper))
        return path

    return to_file
