"""A small set of path-traced pictures of the same people with the same truth: ``python -m bodymap.people.pathtraced``.

``still`` prepares what is photographed, ``blender`` renders it with Cycles (the package ``bpy``), ``shaders`` says what
surfaces are made of there, ``files`` writes and reads pictures with their truth.
"""

from bodymap.people.pathtraced.files import read_picture, write_picture
from bodymap.people.pathtraced.still import PATHTRACED, Still, prepare

__all__ = ["PATHTRACED", "Still", "prepare", "read_picture", "write_picture"]
