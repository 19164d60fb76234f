"""Official checkpoints of published networks into the zoo's models, and back."""

from cdzoo.convert.official import convertible, from_official, to_official

__all__ = ["convertible", "from_official", "to_official"]
