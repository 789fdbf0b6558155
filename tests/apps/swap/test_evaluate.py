"""Figures of swaps: pairs with an exact answer, baselines, and what a perfect and a useless swap get."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.mapped import FOREARMS, HAIR, HANDS, LOWER, SHOES, SKIN, UPPER, correspondence, dressed, positions

from apps.swap import evaluate, measures
from apps.swap.baselines import NearestTexel, paste_by_part
from apps.swap.measures import Scene, measure
from apps.swap.pairs import exact_map, make_pairs
from bodymap.errors import UserError
from bodymap.surface import load_template
from bodymap.types import LAYER_NAMES, PART_NAMES, LayerMaps
from bodymap.warping import image_to_texture

ONE = {SKIN: (0.9, 0.7, 0.6), UPPER: (0.1, 0.3, 0.8), LOWER: (0.3, 0.3, 0.3), SHOES: (0.5, 0.1, 0)}
TWO = {SKIN: (0.5, 0.35, 0.3), UPPER: (0.8, 0.7, 0.1), LOWER: (0.1, 0.5, 0.2), SHOES: (0.9, 0.9, 0.9)}


@pytest.fixture(scope="module")
def pair():
    return next(make_pairs(1, size=(160, 120)))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """LPIPS would have to be downloaded; here its place is taken by the mean difference."""

    def difference(one, other, region, weights=None):
        return float((one - other).abs().mean(0)[region].mean())

    monkeypatch.setattr(measures, "lpips_distance", difference)


def scene_of(source, target, truth=None):
    photos = dressed(source, ONE), dressed(target, TWO)
    return Scene(photos[0], source, photos[1], target, source, target, truth, None if truth is None else target)


def test_the_right_answer_is_the_same_picture_in_other_clothes(pair):
    target, truth = pair.target, pair.truth
    outside = ~target.foreground & ~truth.foreground
    # shadows apart, nothing else in the picture has changed
    assert (np.abs(target.image[outside].astype(int) - truth.image[outside]).max(1) < 3).mean() > 0.9
    both = target.foreground & truth.foreground
    assert both.sum() > 0.7 * (target.foreground | truth.foreground).sum()
    assert (target.part[both] == truth.part[both]).mean() > 0.9
    bare = both & (target.part == PART_NAMES.index("head")) & (target.layer == SKIN) & (truth.layer == SKIN)
    assert bare.sum() > 20 and np.abs(target.image[bare].astype(int) - truth.image[bare]).mean() < 4
    # and the clothes are the source's: the same pieces, in the same colours
    worn = ("jacket", "shirt", "trousers", "skirt", "boots", "coat", "dress", "bodice")
    clothes = [[k for k in s.body["pieces"] if k.split()[-1] in worn] for s in (pair.source, truth, target)]
    assert clothes[0] == clothes[1] and clothes[0]
    again = next(make_pairs(1, size=(160, 120)))
    assert np.array_equal(again.truth.image, truth.image) and np.array_equal(again.source.image, pair.source.image)


def test_a_perfect_swap_and_one_that_does_nothing(pair):
    maps = [exact_map(s) for s in (pair.source, pair.target, pair.truth)]
    target, truth = pair.target.image, pair.truth.image
    scene = Scene(pair.source.image, maps[0], target, maps[1], maps[0], maps[1], truth, maps[2])
    cloth = np.isin(maps[2].layer, [LAYER_NAMES.index(name) for name in ("upper", "lower")])  # a collar before the chin
    # narrower clothes show what is behind the person within the old outline; wider ones end at it
    garment = ((maps[1].part != PART_NAMES.index("head")) | cloth) & maps[1].mask
    assert (maps[2].mask & ~maps[1].mask).sum() > 100 and (maps[1].mask & ~maps[2].mask).sum() > 100
    perfect = np.where(garment[..., None], truth, target)

    def right(src_photo, src_map, tgt_photo, tgt_map):
        return (perfect, garment) if tgt_photo is target else (tgt_photo, np.zeros(tgt_map.size, bool))

    def nothing(src_photo, src_map, tgt_photo, tgt_map):
        return tgt_photo, np.zeros(tgt_map.size, bool)

    template = load_template()
    best, worst = (measure(template, scene, way, "all") for way in (right, nothing))
    # windows of SSIM look beyond the garment at the head, which has the light of other clothes
    assert best["psnr"] == math.inf and best["lpips"] == 0 and best["ssim"] > 0.99
    assert best["leak %"] == 0 and worst["leak %"] == 100
    assert worst["psnr"] < 25 and worst["outside"] == 0 and worst["head dB"] == 60
    for figures in (best, worst):
        # a way back that returns the source's own photo has lost nothing
        assert figures["cycle dB"] == 60 and figures["outside"] == 0 and figures["background %"] == 0


def test_a_swap_that_paints_over_everything_is_found_out():
    scene = scene_of(correspondence(0.0), correspondence(0.4))
    spoilt = np.full_like(scene.tgt_photo, 7)
    figures = measure(load_template(), scene, lambda *a: (spoilt, np.zeros(spoilt.shape[:2])), "upper")
    assert figures["outside"] > 200 and figures["background %"] == 100
    assert figures["others %"] > 80 and figures["skin %"] == 100
    assert figures["head dB"] < 20


def test_hair_on_the_shoulders_does_not_say_that_they_are_bare():
    source, target = correspondence(0.0), correspondence(0.4)

    def heights(c):
        z = np.full(c.size, np.nan)
        z[c.mask] = positions(c)[:, 2]
        return np.where(c.part == PART_NAMES.index("torso_front"), z, np.nan)

    low, high = np.nanquantile(heights(source), [0.4, 0.7])
    fallen, bare = ((heights(c) > low + by) & (heights(c) < high - by) for c, by in ((source, 0), (target, 0.02)))
    hairy = replace(source, layer=np.where(fallen, HAIR, source.layer).astype(np.int8))
    target = replace(target, layer=np.where(bare, SKIN, target.layer).astype(np.int8))
    unasked = []
    for one in (source, hairy):
        scene = scene_of(one, target)
        image = np.where(bare[..., None], np.uint8(7), scene.tgt_photo)
        unasked.append(measures.skin_changed(load_template(), scene, image, (UPPER,))["skin unasked %"])
    assert bare.sum() > 50 and max(unasked) < 0.1 * 100 * bare.sum() / (target.layer == SKIN).sum()


def test_skin_that_longer_sleeves_cover_is_told_from_skin_that_changed_without_reason():
    scene = scene_of(correspondence(0.0), correspondence(0.4, sleeves=False))
    target = scene.true_target
    skin = target.mask & (target.layer == SKIN)
    forearms = skin & np.isin(target.part, FOREARMS)
    face = skin & (target.part == PART_NAMES.index("head"))
    image = scene.tgt_photo.copy()
    image[forearms] = (10, 200, 10)
    figures = measures.skin_changed(load_template(), scene, image, (UPPER,))
    assert abs(figures["skin %"] - 100 * forearms.sum() / skin.sum()) < 1e-6
    # but for the rims, where place and layer are a mixture
    assert figures["skin unasked %"] < 0.15 * figures["skin %"]
    image[face] = (10, 200, 10)
    more = measures.skin_changed(load_template(), scene, image, (UPPER,))
    share = 100 * face.sum() / skin.sum()
    for name in ("skin %", "skin unasked %"):
        assert abs(more[name] - figures[name] - share) < 1
    nothing = measures.skin_changed(load_template(), scene, scene.tgt_photo, (UPPER,))
    assert nothing == {"skin %": 0, "skin unasked %": 0}


def test_pasting_by_part_and_filling_from_the_nearest_texel():
    source, target = correspondence(0.0), correspondence(0.4, (420, 320))
    # colours linear in the place: what an affine map carries over exactly, where a part moves as a plane
    colours = np.clip(positions(source) * 0.3 + 0.5, 0, 1)
    photo = np.zeros((*source.size, 3), np.uint8)
    photo[source.mask] = (colours * 255).round()
    template = load_template()
    image, region = paste_by_part(template, photo, source, dressed(target, TWO), target, (UPPER, LOWER))
    assert np.array_equal(region, np.isin(target.layer, (UPPER, LOWER)) & target.mask)
    assert np.array_equal(image[~region], dressed(target, TWO)[~region])
    wanted = np.zeros((*target.size, 3))
    wanted[target.mask] = np.clip(positions(target) * 0.3 + 0.5, 0, 1)
    torso = region & (target.part == PART_NAMES.index("torso_front"))
    assert np.abs(image[torso] / 255 - wanted[torso]).mean() < 0.04

    partial = image_to_texture(template, photo, source, 128)
    filled = NearestTexel().complete(template, partial)
    seen = partial.seen
    assert torch.equal(filled.colour[seen], partial.colour[seen]) and torch.equal(
        filled.layer[seen], partial.layer[seen]
    )
    made = filled.covered & ~seen
    assert bool(made.any()) and bool((filled.layer[made] > 0).all())
    palette = {tuple(c) for c in partial.colour[seen].numpy().round(5).tolist()}
    assert all(tuple(c) in palette for c in filled.colour[made][::50].numpy().round(5).tolist())


def test_what_must_stay_depends_on_what_was_asked_for():
    c = correspondence(0.0)
    kept = measures.kept_region(c, "all")
    assert kept[np.isin(c.part, HANDS) & (c.layer == SKIN)].all() and not kept[c.layer == UPPER].any()
    kept = measures.kept_region(c, "upper,shoes")
    assert (
        kept[c.layer == LOWER].all()
        and not kept[np.isin(c.layer, (UPPER, SHOES, SKIN))].any()
        and not kept[~c.mask].any()
    )


def test_the_command_writes_what_it_prints(tmp_path, monkeypatch, capsys, pair):
    monkeypatch.setattr("apps.swap.pairs.make_pairs", lambda *a, **k: iter([pair]))
    monkeypatch.setattr("bodymap.people.Pack.load", lambda *a: None)
    out = tmp_path / "figures.json"
    options = ["--maps", "true", "--count", "2", "--texture", "128", "--completion", "plain", "--json", str(out)]
    assert evaluate.main(["synthetic", *options, "--quiet"]) == 0
    written, printed = json.loads(out.read_text()), capsys.readouterr().out
    assert list(written["mean"]) == ["swap", "nearest texel", "warp and paste"]
    assert len(written["pairs"]["swap"]) == 2 and written["pairs"]["swap"][0] == written["pairs"]["swap"][1]
    figures = written["mean"]["swap"]
    assert figures["outside"] == 0 and figures["background %"] == 0 and 5 < figures["psnr"] < 60
    assert f"{figures['psnr']:.2f}" in printed and printed.count("\n| ") == 3


def test_means_leave_out_what_does_not_apply():
    rows = [{"psnr": 10.0, "outside": 0.0, "leak %": math.nan}, {"psnr": 20.0, "outside": 3.0, "leak %": math.nan}]
    means = evaluate.mean(rows)
    assert means["psnr"] == 15 and means["outside"] == 3 and math.isnan(means["leak %"])
    assert evaluate.table({"swap": means}).splitlines()[-1] == "| swap | 15.00 | 3 | - |"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["photos", "none"], "not a folder"),
        (["synthetic", "--what", "hair"], "Hair alone"),
        (["synthetic", "--what", "hat"], "'hat'"),
        (["synthetic", "--json", "none/figures.json"], "does not exist"),
    ],
)
def test_mistakes_are_named(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        evaluate.main(arguments)


def test_layer_maps_are_put_over_the_maps_by_their_own_or_the_true_mask(monkeypatch):
    from apps.layered.predictor import LayeredBodyMap

    true = correspondence(0.0)
    own = replace(true, layer=np.where(true.layer == UPPER, LOWER, true.layer).astype(np.int8))
    model = SimpleNamespace(separate=lambda photo, single, mask: LayerMaps(single, None, None, mask))
    monkeypatch.setattr(LayeredBodyMap, "from_pretrained", classmethod(lambda cls, **k: model))
    found = {}
    for way in (None, "own", "guided"):
        options = SimpleNamespace(layers=way, device=None)
        found[way] = evaluate._layered(options)(dressed(true, ONE), own, true).layer
    assert np.array_equal(found[None], own.layer) and np.array_equal(found["own"], own.layer)
    assert np.array_equal(found["guided"], true.layer)
