"""What surfaces are made of for Cycles: the engine's materials as node trees, and plain masks of who is who.

Colours are worked out in sRGB, as the engine does, and made linear at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from bodymap.people.material import Material
from bodymap.types import LAYER_NAMES

SKIN = LAYER_NAMES.index("skin")
_CUT = 110 / 255  # more opaque than this is solid, as for the truth
_WET = 0.25  # glossier than this, what belongs to the skin is an eye or a tooth


def tinted(material: Material) -> UInt8[np.ndarray, "height width channel"] | None:
    """The material's texture in its own colours, sRGB; None without a texture."""
    texture, tint = material.texture, material.tint
    if texture is None or tint is None:
        return texture
    colour = np.asarray(tint.colour, np.float32)
    base = texture[..., :3].astype(np.float32) / 255
    if tint.replaces:
        light = np.clip(base.mean(-1, keepdims=True) / max(tint.mean, 0.02), 0.15, 2.2)
        base = colour * light**tint.power
    else:
        base = colour * base**tint.power
    out = texture.copy()
    out[..., :3] = np.rint(np.clip(base, 0, 1) * 255).astype(np.uint8)
    return out


def roughness(shine: float) -> float:
    """Of a microfacet surface whose highlight is as wide as a cosine to the power ``shine`` (Walter et al. 2007)."""
    return float(np.clip((2 / (shine + 2)) ** 0.25, 0.05, 1))


class Shaders:
    """Makes Blender materials; equal images are given to Blender once. ``bpy``: the module."""

    def __init__(self, bpy: Any):
        self.bpy = bpy
        self.images: dict[int, Any] = {}
        self.held: list[np.ndarray] = []  # ids of arrays stay unique while they live

    def mask(self, material: Material, value: float) -> Any:
        """Shines with ``value``, cut out as the material is."""
        tree = _Tree(self.bpy, "mask")
        emission = tree.add("ShaderNodeEmission")
        emission.inputs["Color"].default_value = (value, value, value, 1)
        alpha = self._alpha(tree, material)
        if alpha is None:
            return tree.finish(emission.outputs[0])
        clear, mix = tree.add("ShaderNodeBsdfTransparent"), tree.add("ShaderNodeMixShader")
        tree.links(mix, {0: alpha, 1: clear.outputs[0], 2: emission.outputs[0]})
        return tree.finish(mix.outputs[0])

    def surface(self, material: Material, layer: int) -> Any:
        """A principled surface: skin lets light in, cloth and hair shimmer at grazing angles, wrinkles are bumps."""
        tree = _Tree(self.bpy, LAYER_NAMES[layer])
        surface = tree.add("ShaderNodeBsdfPrincipled")
        inputs = surface.inputs
        gamma = tree.add("ShaderNodeGamma")
        gamma.inputs["Gamma"].default_value = 2.2
        colour = tree.vector("MAXIMUM", self._colour(tree, material), (0.015,) * 3)
        tree.links(gamma, {"Color": tree.vector("MINIMUM", colour, (0.95,) * 3)})
        tree.links(surface, {"Base Color": gamma.outputs[0]})
        flesh = layer == SKIN and not material.alpha
        inputs["Roughness"].default_value = roughness(material.shine)
        inputs["Specular IOR Level"].default_value = float(np.clip(5 * material.gloss, 0.1, 1))
        if flesh and material.gloss < _WET:
            inputs["Subsurface Weight"].default_value = 0.25
            inputs["Subsurface Radius"].default_value = (1.0, 0.35, 0.2)
            inputs["Subsurface Scale"].default_value = 0.008
            inputs["Roughness"].default_value = 0.5
        elif not flesh:
            inputs["Sheen Weight"].default_value = float(np.clip(0.15 + material.sheen, 0, 1))
        alpha = self._alpha(tree, material)
        if alpha is not None:
            tree.links(surface, {"Alpha": alpha})
        if material.folds > 0 and material.waves is not None:
            tree.links(surface, {"Normal": _wrinkles(tree, material)})
        return tree.finish(surface.outputs[0])

    def _colour(self, tree: _Tree, material: Material) -> Any:
        """The socket of the sRGB colour, print included."""
        texture = tinted(material)
        base = np.asarray(material.colour, float) if texture is None else self._look_up(tree, texture, "uv")[0]
        if material.pattern is None:
            return base
        cloth = tree.add("ShaderNodeUVMap")
        cloth.uv_map = "cloth"
        across = tree.vector("DIVIDE", cloth.outputs[0], (material.pattern_size,) * 3)
        tile = self._look_up(tree, material.pattern, across)[0]
        multiplied = tree.vector("MULTIPLY", base, tree.vector("MULTIPLY_ADD", tile, (1.1,) * 3, (0.35,) * 3))
        replaced = tile
        if texture is not None:  # the texture's light and dark show through the print
            mean = tree.vector("DOT_PRODUCT", base, (1 / 3,) * 3)
            shading = tree.number("MULTIPLY_ADD", mean, 0.65 / max(material.mean_brightness, 0.02), 0.35)
            replaced = tree.vector("SCALE", tile, scale=tree.number("MINIMUM", shading, 1.5))
        blend = float(material.pattern_blend)
        rest = tree.vector("SCALE", multiplied, scale=1 - blend)
        return tree.vector("MULTIPLY_ADD", replaced, (blend,) * 3, rest)

    def _alpha(self, tree: _Tree, material: Material) -> Any | None:
        """1 where a cut-out texture is solid, else 0; None where all of it is."""
        if not (material.alpha and material.texture is not None and material.texture.shape[-1] == 4):
            return None
        return tree.number("GREATER_THAN", self._look_up(tree, material.texture, "uv", closest=True)[1], _CUT)

    def _look_up(self, tree: _Tree, image: np.ndarray, where: Any, closest: bool = False) -> tuple[Any, Any]:
        """(colour, alpha) sockets of an image at UV coordinates: a map's name, or a socket."""
        node = tree.add("ShaderNodeTexImage")
        node.image = self._image(image)
        node.interpolation = "Closest" if closest else "Linear"
        if isinstance(where, str):
            named = tree.add("ShaderNodeUVMap")
            named.uv_map = where
            where = named.outputs[0]
        tree.links(node, {"Vector": where})
        return node.outputs["Color"], node.outputs["Alpha"]

    def _image(self, image: UInt8[np.ndarray, "height width channel"]) -> Any:
        """The image in Blender, taken as plain numbers."""
        if id(image) not in self.images:
            self.held.append(image)
            rgba = np.full((*image.shape[:2], 4), 255, np.uint8)
            rgba[..., : image.shape[-1]] = image
            self.images[id(image)] = new_image(self.bpy, rgba.astype(np.float32) / 255, False)
        return self.images[id(image)]


def new_image(bpy: Any, rgba: Float[np.ndarray, "height width rgba=4"], high_range: bool) -> Any:
    """An image of Blender's that holds these numbers as they are; row 0 on top."""
    height, width = rgba.shape[:2]
    image = bpy.data.images.new("numbers", width, height, alpha=True, float_buffer=high_range)
    image.colorspace_settings.name = "Non-Color"
    # texels under alpha 0 keep their colour
    image.alpha_mode = "CHANNEL_PACKED"
    image.pixels.foreach_set(np.ascontiguousarray(rgba[::-1], np.float32).ravel())
    image.pack()
    return image


def _wrinkles(tree: _Tree, material: Material) -> Any:
    """A bumped normal: the engine's plane waves over the rest body, as heights."""
    rest = tree.add("ShaderNodeAttribute")
    rest.attribute_name = "rest"
    waves, phases = np.asarray(material.waves, float), np.asarray(material.phases, float)
    phase = [
        tree.number("ADD", tree.vector("DOT_PRODUCT", rest.outputs["Vector"], w), p)
        for w, p in zip(waves, phases, strict=True)
    ]
    height: Any = 0.0
    for k, wave in enumerate(waves):
        # the height whose slope is sin(p) + 0.4 sin(2 p + 0.7), within a much longer wave's mask
        second = tree.number("COSINE", tree.number("MULTIPLY_ADD", phase[k], 2.0, 0.7))
        both = tree.number("MULTIPLY_ADD", second, 0.2, tree.number("COSINE", phase[k]))
        mask = tree.number("SINE", tree.number("MULTIPLY_ADD", phase[k - 1], 0.21, 1.0))
        mask = tree.number("POWER", tree.number("MULTIPLY_ADD", mask, 0.5, 0.5), 2.0)
        size = -0.55 * 0.75 * material.folds / max(float(np.linalg.norm(wave)), 1e-6)
        height = tree.number("MULTIPLY_ADD", tree.number("MULTIPLY", both, mask), size, height)
    bump = tree.add("ShaderNodeBump")
    bump.inputs["Distance"].default_value = 1.0
    tree.links(bump, {"Height": height})
    return bump.outputs[0]


class _Tree:
    """A node tree that grows by expressions; arguments are sockets or plain values."""

    def __init__(self, bpy: Any, name: str):
        self.material = bpy.data.materials.new(name)
        self.tree = self.material.node_tree
        self.tree.nodes.clear()

    def add(self, kind: str) -> Any:
        return self.tree.nodes.new(kind)

    def links(self, node: Any, inputs: dict[str | int, Any]) -> None:
        for name, value in inputs.items():
            if hasattr(value, "is_output"):
                self.tree.links.new(value, node.inputs[name])
            else:
                node.inputs[name].default_value = value

    def number(self, operation: str, *values: Any) -> Any:
        """The result of a scalar operation."""
        node = self.add("ShaderNodeMath")
        node.operation = operation
        self.links(node, dict(enumerate(values)))
        return node.outputs[0]

    def vector(self, operation: str, *values: Any, scale: Any = None) -> Any:
        """The result of an operation on three numbers; of "DOT_PRODUCT" a number."""
        node = self.add("ShaderNodeVectorMath")
        node.operation = operation
        plain = {k: tuple(v) if isinstance(v, np.ndarray) else v for k, v in enumerate(values)}
        self.links(node, plain if scale is None else {**plain, "Scale": scale})
        return node.outputs["Value" if operation == "DOT_PRODUCT" else "Vector"]

    def finish(self, socket: Any) -> Any:
        output = self.add("ShaderNodeOutputMaterial")
        self.tree.links.new(socket, output.inputs["Surface"])
        return self.material
