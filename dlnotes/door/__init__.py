"""The door of the packages: what a caller gives becomes keys and arrays that fit together, or is refused.

Inside the library a key is a typed key and an array an array, and functions call each other without asking.
A person at a notebook has a seed, an old-style key, a list of numbers, an image without its batch axis. So
what a package shows by its name (``dlnotes.layers.dense``) is the function of its module behind a door:
what is given is converted as the annotations of the parameters say, shapes are compared with a table of the
package, and then the function itself runs. Nothing is computed here: arrays and typed keys pass as they are.
"""

from dlnotes.door.given import as_array, as_key
from dlnotes.door.opening import forward_mode, open_class, open_module, open_package, opened
from dlnotes.door.shapes import fit_together

__all__ = [
    "as_array",
    "as_key",
    "fit_together",
    "forward_mode",
    "open_class",
    "open_module",
    "open_package",
    "opened",
]
