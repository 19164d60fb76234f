"""Classes of synthetic scenes."""

LAND_COVER = ("building", "road", "tree", "low vegetation", "ground", "water")
"""Classes of land cover, 1 to 6 in targets."""
BUILDING, ROAD, TREE, VEGETATION, GROUND, WATER = range(1, 7)

GRADES = ("no damage", "minor damage", "major damage", "destroyed")
"""Grades of damage, 1 to 4 in targets, as in xBD."""
NONE, MINOR, MAJOR, DESTROYED = range(1, 5)

TASKS: dict[str, tuple[str, ...]] = {"binary": (), "semantic": LAND_COVER, "damage": GRADES}
"""Tasks that scenes can be made for, with their classes."""
