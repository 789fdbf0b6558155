"""A predictor as ONNX graphs: one for each of the modules below, and a check of each against torch."""

from __future__ import annotations

import json
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm.models.tiny_vit
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

from bodymap.config import to_dict
from bodymap.cropping import MULTIPLE
from bodymap.decoding import BLOCK, decode_blocks
from bodymap.deploy.graphs import DESCRIPTION, FORMAT, GRAPHS, TABLES, VERSION, Graphs, file_of
from bodymap.errors import UserError
from bodymap.files import atomic_folder
from bodymap.network.cse import evidence_of
from bodymap.predictor import BodyMap
from bodymap.surface import points
from bodymap.upsampling import AGREEMENT, blended, one_sided

# Share of a graph's answers that may differ, and by how much: rounding decides between equal answers
_TOLERANCE, _SHARE = 2e-3, 0.01

# ------------------------------------------------------------------------------------------------------- the graphs


class Coarse(nn.Module):
    """Picture -> embedding and foreground logits at stride 4."""

    def __init__(self, model: BodyMap):
        super().__init__()
        self.stage = model.net.cse

    def forward(self, image):
        output = self.stage(image)
        return output.embedding, output.foreground


class Match(nn.Module):
    """Embeddings of pixels -> colour code and confidence; ``MatchBoth``: with those of the mirrored picture."""

    def __init__(self, model: BodyMap):
        super().__init__()
        self.stage = model.net.cse

    def forward(self, embedding, mirrored=None):
        code, confidence = self.stage.decode(embedding, mirrored)
        return torch.cat([code, confidence[:, None]], -1)


class MatchBoth(Match):
    def forward(self, embedding, mirrored):
        return super().forward(embedding, mirrored)


class Fine(nn.Module):
    """Picture, soft mask and coarse match -> features, foreground and layer logits of each pixel."""

    def __init__(self, model: BodyMap):
        super().__init__()
        self.net = model.net

    def forward(self, image, mask, correspondence):
        answer = self.net(image, mask, correspondence)
        return answer.features, answer.foreground, answer.layer


class Decode(nn.Module):
    """Features and embeddings of blocks of pixels -> colour code of the surface point, and confidence."""

    def __init__(self, model: BodyMap):
        super().__init__()
        self.net, self.t, self.weight = model.net, model.template, model.config.coarse_weight

    def forward(self, features, embedding, mirrored):
        def says(which, samples):
            return self.weight * evidence_of(self.net.cse, embedding[:, which], mirrored[:, which], samples)

        scores = self.net.scores(features.flatten(0, 1)).unflatten(0, (-1, BLOCK * BLOCK))
        return decode_blocks(self.t, scores, says).unflatten(0, (-1, BLOCK * BLOCK))


class Blended(nn.Module):
    """Codes of a crop at positions between its pixels, and where they need ``OneSided``."""

    def __init__(self, model: BodyMap):
        super().__init__()

    def forward(self, codes, rows, columns):
        answer, spread = blended(codes, rows, columns)
        return answer, spread > AGREEMENT


class OneSided(Blended):
    """The same at limbs' edges."""

    def forward(self, codes, rows, columns):
        return one_sided(codes, rows, columns)


class Surface(nn.Module):
    """Colour codes and the vertices nearest to them -> the points on the surface, and what lies there."""

    def __init__(self, model: BodyMap):
        super().__init__()
        self.t = model.template

    def forward(self, colours, near):
        t = self.t
        place = points.project_on(t, t.code, colours, t.vertex_triangles[near].flatten(1))
        return *place, points.part(t, *place), points.uv(t, *place), points.code(t, *place)


# ------------------------------------------------------------------------------------------------- inputs for checks


@dataclass(frozen=True)
class Size:
    """Of random inputs: a picture's sides in multiples of MULTIPLE, and a number of entries."""

    rows: int
    columns: int
    count: int


TRACED = Size(5, 3, 37)
CHECKED = (TRACED, Size(3, 6, 1), Size(7, 4, 70))


def _inputs(graph: str, model: BodyMap, size: Size) -> tuple[Tensor, ...]:
    """Random ones, the same for the same arguments."""
    random = torch.Generator().manual_seed(size.rows * 100 + size.columns)
    rows, columns, n = size.rows * MULTIPLE, size.columns * MULTIPLE, size.count

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=random)

    def unit(*shape: int) -> Tensor:
        # of samples and a little beside them: far from all of them rounding would decide
        vertices = model.net.cse.vertex_embedding()
        chosen = vertices[torch.randint(len(vertices), shape, generator=random)]
        return F.normalize(chosen + 0.02 * torch.randn(chosen.shape, generator=random), dim=-1)

    if graph == "coarse":
        return (uniform(1, 3, rows, columns),)
    if graph == "fine":
        mask = (uniform(1, 1, rows, columns) > 0.3).float()
        return uniform(1, 3, rows, columns), mask, uniform(1, 4, rows, columns) * mask
    if graph in ("match", "match_both"):
        return tuple(unit(n) for _ in GRAPHS[graph][0])
    if graph == "decode":
        channels = model.net.score_head.hidden.in_features
        features = uniform(n, BLOCK * BLOCK, channels) if n > 1 else torch.zeros(n, BLOCK * BLOCK, channels)
        one = unit(n)[:, None].expand(-1, BLOCK * BLOCK, -1)
        return features, one.contiguous(), unit(n, BLOCK * BLOCK)
    if graph == "surface":
        colours = uniform(n, 3)
        return colours, points.nearest_vertices(model.template, model.template.code, colours, 2, "code")
    codes = (uniform(rows, columns, 4) * 0.05 + (uniform(rows, columns, 1) > 0.5) * 0.5).contiguous()
    return codes, uniform(n) * rows, uniform(n) * columns


def _dynamic(graph: str, inputs: Sequence[Tensor]) -> tuple[dict[int, Dim], ...]:
    """Which axes of the inputs are free."""
    if graph in ("coarse", "fine"):
        sides = {2: MULTIPLE * Dim("rows", min=1, max=64), 3: MULTIPLE * Dim("columns", min=1, max=64)}
        return tuple(sides for _ in inputs)
    entries = Dim("entries", min=1, max=1 << 20)
    if graph in ("blended", "one_sided"):
        picture = {0: Dim("height", min=4, max=4096), 1: Dim("width", min=4, max=4096)}
        return picture, {0: entries}, {0: entries}
    return tuple({0: entries} for _ in inputs)


# ---------------------------------------------------------------------------------------------------------- exporting

MODULES: dict[str, type[nn.Module]] = {
    "coarse": Coarse,
    "match": Match,
    "match_both": MatchBoth,
    "fine": Fine,
    "decode": Decode,
    "blended": Blended,
    "one_sided": OneSided,
    "surface": Surface,
}


def export(model: BodyMap, folder: Path, int8: bool = False) -> dict[str, float]:
    """Writes a predictor as graphs; its network is changed for that, and of no other use afterwards.

    Args:
        model: on the CPU.
        int8: also write the networks in 8 bits.

    Returns:
        largest difference between each graph's answers and torch's, in float32.

    Raises:
        UserError: a network that lacks a stage, or a graph that does not say what torch says.
    """
    net, t, config = model.net, model.template, model.config
    if net.cse is None or net.correspondence is None:
        raise UserError("These weights lack the coarse stage or the correspondence stream: they cannot be exported.")
    if config.coarse_weight <= 0 or not config.coarse_mirror or config.stage != "bodymap":
        raise UserError("Only a predictor that looks both ways and decodes with the coarse stage can be exported.")
    _without_branches(net)
    differences: dict[str, float] = {}
    with atomic_folder(folder) as temporary:
        outer = torch.nonzero(t.vertex_triangles[:, 0] >= 0)[:, 0]
        np.savez(temporary / TABLES, outer=outer.numpy(), outer_code=t.code[outer].numpy())
        description = {
            "format": FORMAT,
            "version": VERSION,
            "code_version": t.code_version,
            "predictor": to_dict(config),
        }
        (temporary / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        for graph, kind in MODULES.items():
            _export_graph(graph, kind(model).eval(), model, temporary)
        graphs = Graphs(temporary, threads=1)
        for graph, kind in MODULES.items():
            differences[graph] = _check(graph, kind(model).eval(), model, graphs)
        if int8:
            from bodymap.export.quantise import quantise

            quantise(temporary)
    return differences


def _export_graph(graph: str, module: nn.Module, model: BodyMap, folder: Path) -> None:
    inputs = _inputs(graph, model, TRACED)
    names, outputs = GRAPHS[graph]
    with torch.inference_mode(False), torch.no_grad():
        module(*inputs)  # what the template keeps on first use must not come from tracing, which has no values
        torch.onnx.export(
            module,
            inputs,
            folder / file_of(graph),
            input_names=list(names),
            output_names=list(outputs),
            dynamic_shapes=_dynamic(graph, inputs),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@torch.no_grad()
def _check(graph: str, module: nn.Module, model: BodyMap, graphs: Graphs) -> float:
    """The largest difference of floating answers; UserError where too many differ."""
    largest = 0.0
    for size in CHECKED:
        inputs = _inputs(graph, model, size)
        expected = module(*inputs)
        expected = (expected,) if isinstance(expected, Tensor) else expected
        for name, ours, theirs in zip(
            GRAPHS[graph][1], graphs.run(graph, *(one.numpy() for one in inputs)), expected, strict=True
        ):
            off = np.abs(ours.astype(float) - theirs.numpy().astype(float))
            if ours.shape != tuple(theirs.shape) or (off > _TOLERANCE).mean() > _SHARE:
                raise UserError(
                    f"The exported graph {graph} does not say what torch says: {name} differs by up to {off.max():.2g}."
                )
            if theirs.is_floating_point():
                largest = max(largest, float(off.max()))
    return largest


def _without_branches(net: nn.Module) -> None:
    """TinyViT's blocks ask whether windows need padding; a graph for all sizes cannot: it always pads, even by 0."""
    for module in net.modules():
        if isinstance(module, timm.models.tiny_vit.TinyVitBlock):
            module.forward = types.MethodType(_padded_block, module)
        if isinstance(module, timm.models.tiny_vit.Attention):
            module.fused_attn = False  # one node less that onnxruntime would take apart again


def _padded_block(block: timm.models.tiny_vit.TinyVitBlock, x: Tensor) -> Tensor:
    batch, height, width, channels = x.shape
    side = block.window_size
    windows = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
    down, across = windows.shape[1] // side, windows.shape[2] // side
    windows = windows.view(batch, down, side, across, side, channels).transpose(2, 3)
    windows = block.attn(windows.reshape(batch * down * across, side * side, channels))
    windows = windows.view(batch, down, across, side, side, channels).transpose(2, 3)
    x = x + windows.reshape(batch, down * side, across * side, channels)[:, :height, :width]
    x = block.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).reshape(batch, height * width, channels)
    return (x + block.mlp(x)).view(batch, height, width, channels)
