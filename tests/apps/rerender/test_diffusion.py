"""A diffusion inpainter paints over the unseen only; here a tiny one with random weights."""

import json
from types import SimpleNamespace

import pytest
import torch

from apps.rerender.diffusion import DiffusionChoice, DiffusionCompletion, read_choice
from apps.rerender.pretrained import find, load_completion
from bodymap.errors import UserError
from bodymap.surface import load_template
from bodymap.types import LAYER_NAMES
from bodymap.warping.atlas import get_atlas
from bodymap.warping.fill import SEEN, fill_texture
from bodymap.warping.image_to_texture import PartialTexture

SIZE = 96


@pytest.fixture(scope="module")
def partial():
    """The left half was seen, orange."""
    t, atlas = load_template(), get_atlas(load_template(), SIZE)
    place = (t.vertices[t.triangles[atlas.triangle.clamp_min(0)]] * atlas.barycentric[..., None]).sum(-2)
    seen = (place[..., 0] > 0) & atlas.covered
    colour = torch.tensor([0.8, 0.5, 0.2]).expand(SIZE, SIZE, 3) * seen[..., None]
    return PartialTexture(colour, seen * 0.9, seen * LAYER_NAMES.index("upper"))


class Painter:
    """Stands for a pipeline: everything becomes blue; keeps what it was given."""

    vae_scale_factor = 2
    unet = SimpleNamespace(config=SimpleNamespace(sample_size=32))
    flagged = False

    def __call__(self, **given):
        self.given = given
        blue = torch.zeros(1, 3, given["height"], given["width"])
        blue[:, 2] = 1
        return SimpleNamespace(images=blue, nsfw_content_detected=[self.flagged])


def test_only_the_unseen_is_painted(partial):
    painter = Painter()
    done = DiffusionCompletion(painter, DiffusionChoice("none")).complete(load_template(), partial)
    start = fill_texture(load_template(), partial)
    assert torch.equal(done.colour[partial.seen], partial.colour[partial.seen])
    assert torch.equal(done.layer, start.layer) and torch.equal(done.origin, start.origin)
    assert torch.equal(done.origin == SEEN, partial.seen)
    unseen = start.covered & ~partial.seen
    # far from the seen the start is gone altogether; outside the islands nothing is painted
    assert (done.colour[unseen] - torch.tensor([0.0, 0, 1])).abs().amax(-1).median() < 0.02
    assert bool((done.colour[~start.covered] == 0).all())
    image, mask = painter.given["image"], painter.given["mask_image"]
    assert image.shape == (1, 3, 64, 64) and mask.shape == (1, 1, 64, 64) and set(mask.unique().tolist()) == {0, 1}
    # islands are padded: no black where nothing is
    assert image.amin((2, 3)).max() > 0.1


def test_a_pipeline_that_does_nothing_keeps_the_details_of_the_start(partial):
    class Idle(Painter):
        def __call__(self, **given):
            return SimpleNamespace(images=given["image"])

    done = DiffusionCompletion(Idle(), DiffusionChoice("none")).complete(load_template(), partial)
    assert torch.equal(done.colour, fill_texture(load_template(), partial).colour)


def test_a_refused_picture_is_not_taken(partial, capsys):
    painter = Painter()
    painter.flagged = True
    done = DiffusionCompletion(painter, DiffusionChoice("none")).complete(load_template(), partial)
    assert torch.equal(done.colour, fill_texture(load_template(), partial).colour)
    assert "its start is kept" in capsys.readouterr().err


@pytest.fixture(scope="module")
def pipeline_folder(tmp_path_factory):
    """A whole pipeline in small, with random weights and a tokenizer of letters."""
    transformers = pytest.importorskip("transformers")
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel

    folder = tmp_path_factory.mktemp("diffusion")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder, model_max_length=16)
    torch.manual_seed(0)
    text = transformers.CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        projection_dim=16,
        eos_token_id=len(words) - 1,
        bos_token_id=len(words) - 2,
    )
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=9,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        cross_attention_dim=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )
    StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=transformers.CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder / "pipeline")
    return folder / "pipeline"


def test_a_real_pipeline_end_to_end(pipeline_folder, partial):
    completion = load_completion(find("completion", f"diffusion:{pipeline_folder},steps=2,strength=1,seed=3"))
    assert completion.base is not None  # the shipped network's completion is where it starts
    done, again = (completion.complete(load_template(), partial) for _ in range(2))
    assert torch.equal(done.colour, again.colour)
    assert torch.equal(done.colour[partial.seen], partial.colour[partial.seen])
    unseen = done.covered & ~partial.seen
    start = completion.start(load_template(), partial)
    assert (done.colour - start.colour)[unseen].abs().mean() > 0.02
    assert bool(done.colour.isfinite().all()) and torch.equal(done.layer, start.layer)


def test_pickled_weights_are_refused(pipeline_folder, tmp_path):
    folder = tmp_path / "pickled"
    for file in pipeline_folder.rglob("*"):
        if file.is_file():
            copy = folder / file.relative_to(pipeline_folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy = copy.with_suffix(".bin") if copy.suffix == ".safetensors" else copy
            copy.write_bytes(file.read_bytes())
    with pytest.raises(UserError, match="cannot be loaded"):
        load_completion(find("completion", f"diffusion:{folder}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("none_there", "no diffusion pipeline at"),
        ("", "no diffusion pipeline at"),
        (".", "model_index.json"),
        ("a/b,style=3", "Unknown option 'style'"),
        ("a/b,steps=many", "must be a number"),
        ("a/b,strength=2", "strength"),
        ("a/b,steps=1,strength=0.5", "steps"),
        ("a/b,size=13", "multiple of 8"),
    ],
)
def test_wrong_choices(text, message):
    with pytest.raises(UserError, match=message):
        find("completion", f"diffusion:{text}")


def test_options_and_prompt(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    choice = read_choice("some/one@main,steps=7,strength=0.5,prompt=denim, worn, blue")
    assert choice == DiffusionChoice("some/one@main", strength=0.5, steps=7, prompt="denim, worn, blue")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install transformers"):
        read_choice("some/one")


def test_it_is_measured_beside_what_it_starts_from(partial):
    from apps.rerender.evaluate import fillings

    ways = fillings(load_template(), DiffusionCompletion(Painter(), DiffusionChoice("none")))
    assert list(ways)[-2:] == ["start", "diffusion"]
    start, done = (ways[name](partial) for name in ("start", "diffusion"))
    assert torch.equal(start, fill_texture(load_template(), partial).colour) and not torch.equal(start, done)
