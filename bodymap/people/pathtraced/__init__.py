"""A small set of path-traced pictures of the same people with the same truth: ``python -m bodymap.people.pathtraced``.

``still`` prepares what is photographed, ``blender`` renders it with Cycles (the package ``bpy``), ``shaders`` says what
surfaces are made of there, ``files`` writes and reads pictures with their truth (``read_picture``).
"""
