"""From posed triangles to pixels: cameras, one rasteriser signature with several backends, interpolation, shading.

    from bodymap.rendering import rasterize, interpolate
    fragments = rasterize(clip, triangles, (height, width))[0]
    colour = interpolate(vertex_colour, fragments, triangles)

Everything loads on first use. The modules are called ``rasterizer`` and ``interpolation`` so that no submodule hides
the function of the same name.
"""

_HOME = {
    "Fragments": "rasterizer",
    "rasterize": "rasterizer",
    "available_backends": "rasterizer",
    "interpolate": "interpolation",
    "Pixels": "interpolation",
    "foreground_pixels": "interpolation",
    "gather_corners": "interpolation",
    "interpolate_pixels": "interpolation",
    "scatter_pixels": "interpolation",
}
__all__ = [
    "Fragments",
    "Pixels",
    "available_backends",
    "foreground_pixels",
    "gather_corners",
    "interpolate",
    "interpolate_pixels",
    "rasterize",
    "scatter_pixels",
]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'bodymap.rendering' has no attribute {name!r}")
    from importlib import import_module

    # Kept, so that the next look-up costs nothing.
    globals()[name] = value = getattr(import_module(f"bodymap.rendering.{_HOME[name]}"), name)
    return value
