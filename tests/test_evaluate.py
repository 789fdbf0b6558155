"""The evaluation: predictors whose quality is known, and the command from end to end on a tiny network."""

import json
import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from support.ellipse import SIZE, truth_as_prediction
from support.ellipse import ellipse as person

from bodymap import evaluate
from bodymap.data.photos import read_photo_sets
from bodymap.errors import UserError
from bodymap.evaluation import judge, network, photos, report, synthetic
from bodymap.evaluation.progress import Progress, duration
from bodymap.surface import load_template, points
from bodymap.types import LAYER_NAMES, PART_NAMES, Correspondence


@pytest.fixture(scope="module")
def template():
    return load_template()


@pytest.fixture(scope="module")
def people(template):
    return [person(template, seed, facing) for seed, facing in enumerate((0.0, math.pi / 2, math.pi))]


class Oracle(torch.nn.Module):
    """A network that knows the answers and believes whatever correspondence image it is given."""

    correspondence = True

    def __init__(self, template, samples):
        super().__init__()
        self.template = template
        self.answers = {s.image.tobytes(): (s, truth_as_prediction(template, s)) for s in samples}
        self.given = []
        self.cse = SimpleNamespace(both_ways=self._stage)
        self.codes = {}
        for key, (sample, _) in self.answers.items():
            code = torch.zeros(*SIZE, 3)
            inside = sample.foreground
            place = torch.from_numpy(sample.triangle[inside]).long(), torch.from_numpy(sample.barycentric[inside])
            code[torch.from_numpy(inside)] = points.code(template, *place)
            self.codes[key] = code

    def _key(self, image):
        return (image[0].permute(1, 2, 0) * 255).round().byte().numpy().tobytes()

    def _stage(self, image):
        sample, _ = self.answers[self._key(image)]
        mask = torch.from_numpy(sample.foreground)
        logits = torch.where(mask, 9.0, -9.0)[None, None]
        quarter = round(sample.facing / (math.pi / 2)) % 4
        return SimpleNamespace(
            key=self._key(image),
            foreground=logits,
            facing=torch.nn.functional.one_hot(torch.tensor([quarter]), 4).float(),
        )

    def correspondence_image(self, output, size):
        code = self.codes[output.key].permute(2, 0, 1)
        return torch.cat([code, (code.sum(0) > 0).float()[None]])[None]

    def forward(self, image, mask=None, correspondence=None):
        output = self._stage(image)
        if correspondence is None:
            correspondence = self.correspondence_image(output, SIZE)
        self.given.append(correspondence)
        layer = torch.zeros(1, 7, *SIZE)
        layer[:, LAYER_NAMES.index("upper")] = 1
        return SimpleNamespace(features=correspondence[:, :3], foreground=output.foreground, layer=layer)

    def evidence_at(self, output, pixels, size):
        code = self.codes[output.key][pixels[1], pixels[2]]
        return -100 * (code[:, None] - self.template.sample_code).square().sum(-1)

    def scores(self, features):
        return -((torch.arange(256) - 255 * features[..., None]) ** 2) / 2


# -------------------------------------------------------------------------------------------- judging and passes


def test_the_truth_gets_full_marks(template, people):
    judged = [judge.judge(template, s, truth_as_prediction(template, s)) for s in people]
    figures = judge.summarise(judged, worst=2.0)
    assert figures["acc_rgb"]["5"] == figures["acc_cm"]["1"] == figures["mask"]["iou"] == figures["gps"]["masked"] == 1
    assert figures["mask"]["boundary_f"] == 1 and figures["layer_accuracy"] == 1 and figures["swap_rate"] == 0
    assert figures["ap"]["AP"] == pytest.approx(1) and figures["calibration"]["ece"] == pytest.approx(0)
    assert {view: f["images"] for view, f in figures["flips"].items()} == {"front": 1, "side": 1, "back": 1, "all": 3}
    assert figures["by_place"]["upper garments"]["pixels"] == figures["pixels"]


def test_nothing_found_gets_no_marks(template, people):
    figures = judge.summarise([judge.judge(template, s, Correspondence.empty(SIZE)) for s in people], worst=2.0)
    assert figures["acc_rgb"]["20"] == figures["acc_cm"]["10"] == figures["mask"]["iou"] == figures["gps"]["fixed"] == 0
    assert figures["geodesic"]["mean_cm"] == pytest.approx(200) and figures["ap"]["AP"] == 0
    assert math.isnan(figures["flips"]["all"]["flipped"])
    json.dumps(report.plain(figures), allow_nan=False)


def test_loose_cloth_is_cloth_on_the_legs_of_whoever_wears_a_skirt(template, people):
    assert not judge.loose_cloth(people[0]).any()
    skirt = person(template, 7, pieces=("skin", "coat skirt"))
    legs = np.isin(skirt.part, [i for i, name in enumerate(PART_NAMES) if "thigh" in name or "shin" in name])
    assert np.array_equal(judge.loose_cloth(skirt), legs) and legs.any()


@pytest.mark.parametrize("method", ["likelihood", "expectation", "fused"])
def test_the_network_by_itself(template, people, method):
    net = Oracle(template, people)
    figures = {
        given: judge.summarise(network.evaluate_network(net, template, people, given, method), worst=2.0)
        for given in network.INPUTS
    }
    assert figures["own"]["mask"]["iou"] == 1 and figures["own"]["acc_rgb"]["5"] > 0.9
    assert figures["own"]["layer_accuracy"] == 1 and math.isnan(figures["cse"]["layer_accuracy"])
    assert figures["cse"]["acc_rgb"]["5"] > 0.99 and figures["cse"]["facing_accuracy"] == 1
    # a network that believes its input is lost without it
    for spoilt in ("zero", "shuffle"):
        assert figures[spoilt]["acc_cm"]["5"] < 0.1 and figures[spoilt]["mask"]["iou"] == 1


def test_shuffled_input_is_the_picture_before(template, people):
    net = Oracle(template, people)
    network.evaluate_network(net, template, people, "shuffle")
    shuffled, net.given = net.given, []
    network.evaluate_network(net, template, people, "own")
    assert [next(i for i, own in enumerate(net.given) if torch.equal(own, s)) for s in shuffled] == [2, 0, 1]
    with pytest.raises(ValueError, match="correspondence"):
        network.evaluate_network(net, template, people, "nonsense")


def test_chunks_leave_nobody_alone():
    for count in range(1, 30):
        steps = iter(range(count))
        chunks = list(synthetic._chunks(range(count), steps.__next__))
        assert [i for chunk in chunks for i in chunk] == list(range(count)) and next(steps, None) is None
        assert count == 1 or min(map(len, chunks)) > 1


def test_evaluate_synthetic_runs_every_pass(template, people):
    net, shown = Oracle(template, people), []
    known = {s.image.tobytes(): truth_as_prediction(template, s) for s in people}
    figures = synthetic.evaluate_synthetic(
        template,
        people,
        lambda image: known[image.tobytes()],
        net,
        "cpu",
        synthetic.PASSES,
        show=lambda *a: shown.append(a),
    )
    assert list(figures) == ["bodymap", *synthetic.PASSES] and len(shown) == 3
    assert figures["bodymap"]["acc_cm"]["1"] == 1 and "by_region" not in figures["cse"]
    text = report.synthetic_report({"held_out_assets": figures})
    assert "the network uses its CSE input" in text and "front (1)" in text
    figures["network_cse_zeroed"] = figures["network"]
    assert "does NOT need" in report.synthetic_report({"held_out_assets": figures})


def test_possible_passes():
    assert synthetic.possible_passes(SimpleNamespace(cse=None)) == ()
    assert "network_cse_zeroed" not in synthetic.possible_passes(SimpleNamespace(cse=1, correspondence=None))
    assert synthetic.possible_passes(SimpleNamespace(cse=1, correspondence=1)) == tuple(synthetic.PASSES)


# ------------------------------------------------------------------------------------------------------- reports


def test_tables_are_markdown():
    text = report.table(["name", "a"], [["x", "1.0"], ["longer", "–"]])
    assert text.splitlines() == ["| name   |   a |", "|--------|----:|", "| x      | 1.0 |", "| longer |   – |"]
    assert report.percent(0.12345) == "12.3" and report.percent(math.nan) == report.percent(None) == "–"


def test_json_has_no_nan(tmp_path):
    report.write_json(
        {"a": math.nan, "b": [np.float32(0.25), math.inf], "c": {"d": np.int64(3), "e": True}}, tmp_path / "f"
    )
    assert json.loads((tmp_path / "f").read_text()) == {"a": None, "b": [0.25, None], "c": {"d": 3, "e": True}}


def test_progress_says_when_it_ends(capsys):
    progress = Progress(4, "people")
    for _ in range(4):
        progress.step()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("people: 1/4, ") and lines[0].endswith("left") and lines[-1] == "people: 4/4"
    assert [duration(s) for s in (45, 180, 9000)] == ["45 s", "3 min", "2.5 h"]


# -------------------------------------------------------------------------------------------------------- photos


@pytest.fixture
def folder(tmp_path, template, people):
    """Two photographs of the same person with mask, labels and landmarks; the first is seen from behind."""
    root = tmp_path / "people"
    (root / "masks").mkdir(parents=True)
    keypoints = {}
    for index, sample in enumerate(people[:2]):
        name = f"p{index}"
        Image.fromarray(sample.image).save(root / f"{name}.png")
        Image.fromarray(sample.foreground.astype(np.uint8) * 255).save(root / "masks" / f"{name}.png")
        Image.fromarray(sample.foreground.astype(np.uint8)).save(root / f"{name}_labels.png")
        rows = np.zeros((33, 4))
        rows[:, :2] = 0.5
        rows[[11, 23], 0], rows[[12, 24], 0] = (0.4, 0.6) if index == 0 else (0.6, 0.4)
        rows[[11, 12], 1], rows[[23, 24], 1] = 0.4, 0.6
        rows[[0, 11, 12, 13, 23, 24], 3] = 1
        keypoints[f"{name}.png"] = rows.tolist()
    (root / "keypoints.json").write_text(json.dumps(keypoints))
    (root / "classes.csv").write_text("id,name,group\n0,null,background\n1,coat,upper\n")
    (root / "photos.csv").write_text("file,person\np0.png,anna\np1.png,anna\n")
    return root


def painted(mask, part):
    c = Correspondence.empty(mask.shape)
    c.mask[:], c.part[mask], c.layer[mask] = mask, PART_NAMES.index(part), LAYER_NAMES.index("upper")
    c.triangle[mask] = 100
    c.barycentric[mask] = 1 / 3
    return c


def test_photographs_with_a_perfect_mask(template, people, folder):
    (photo_set,) = read_photo_sets(folder)
    known = {s.image.tobytes(): painted(s.foreground, "torso_front") for s in people}
    figures = photos.evaluate_set(photo_set, lambda image: known[image.tobytes()], template)
    assert figures["mask"]["mean"] == figures["mask"]["median"] == 1 and figures["mask"]["photos"] == 2
    assert figures["mask"]["leak"] == figures["mask"]["miss"] == 0
    assert figures["missed_by_group"] == {"upper": 0} and figures["layers"]["accuracy"] == 1
    # of nose, shoulders, elbow and hips four may lie on a torso
    assert figures["landmarks"]["landmarks"] == 12 and figures["landmarks"]["score"] == pytest.approx(4 / 6)
    assert figures["landmarks"]["by_kind"] == {"head": 0, "shoulder": 1, "elbow": 0, "hip": 1}
    assert figures["landmarks"]["from_behind"] == {"p0.png": pytest.approx(4 / 6)}
    assert figures["landmarks"]["by_view"]["front"]["photos"] == 1 and figures["landmarks"]["mostly_flipped"] == []
    assert "same_person" not in figures  # the two views are not alike
    assert [row["mask_iou"] for row in figures["per_photo"]] == [1, 1]
    assert "from behind: p0.png 66.7 %" in report.photo_report({"people": figures})


def test_photographs_mapped_to_the_other_side(template, people, folder):
    (photo_set,) = read_photo_sets(folder)
    half = {s.image.tobytes(): painted(s.foreground & (np.arange(SIZE[1]) < 24), "right_upper_arm") for s in people}
    figures = photos.evaluate_set(photo_set, lambda image: half[image.tobytes()], template)
    assert figures["mask"]["mean"] < 0.6 and 0.3 < figures["missed_by_group"]["upper"] < 0.7
    # in p0 the left shoulder lies to the left: found, on the wrong side
    assert figures["landmarks"]["mostly_flipped"] == ["p0.png"]
    assert figures["layers"]["accuracy"] == pytest.approx(1 - figures["missed_by_group"]["upper"])


def test_mirrored_photographs_and_the_same_person(template, people, folder):
    rows = json.loads((folder / "keypoints.json").read_text())
    rows["p1.png"] = rows["p0.png"]
    (folder / "keypoints.json").write_text(json.dumps(rows))
    (photo_set,) = read_photo_sets(folder)
    everything = painted(np.ones(SIZE, bool), "head")
    figures = photos.evaluate_set(photo_set, lambda image: everything, template, mirror=True)
    # one point for every pixel: mirroring moves it to the other side, two photographs agree on it
    assert figures["mirror"]["median_cm"] > 1 and figures["same_person"]["median_cm"] == pytest.approx(0, abs=1e-4)
    assert figures["same_person"] | {"pairs": 1, "landmarks": 6} == figures["same_person"]


def test_photographs_without_truth(template, people, tmp_path):
    Image.fromarray(people[0].image).save(tmp_path / "x.png")
    (photo_set,) = read_photo_sets(tmp_path)
    figures = photos.evaluate_set(photo_set, lambda image: Correspondence.empty(SIZE), template)
    assert set(figures) == {"photos", "per_photo"}
    assert "nothing to measure" in report.photo_report({"x": figures})


# ------------------------------------------------------------------------------------------------------- command


@pytest.fixture(scope="module")
def weights(tmp_path_factory, template):
    """A weights folder of the smallest network, untrained, that takes everything for a person."""
    from support.sizes import PRESETS

    from bodymap.network import build_model
    from bodymap.weights import save_weights

    torch.manual_seed(0)
    net = build_model(PRESETS["tiny"], template)
    with torch.no_grad():
        net.cse.foreground.bias.fill_(3.0)
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    config = {"model": PRESETS["tiny"].to_dict()}
    return str(save_weights(folder, net.state_dict(), config, {"code_version": template.code_version}))


def test_photos_command(weights, folder, tmp_path, capsys):
    out = ["--json", str(tmp_path / "f.json"), "--sheet", str(tmp_path / "f.png")]
    assert evaluate.main(["photos", str(folder.parent), "--weights", weights, "--device", "cpu", *out]) == 0
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["photos"]["people"]["mask"]["photos"] == 2 and figures["weights"] == weights
    assert "## Photographs: people (2)" in capsys.readouterr().out
    assert Image.open(tmp_path / "f.png").width > 500


def test_synthetic_and_tables_commands(weights, tmp_path, capsys):
    figures, sheet = tmp_path / "f.json", tmp_path / "f.png"
    common = ["--weights", weights, "--device", "cpu", "--count", "1", "--size", "64x48"]
    assert evaluate.main(["synthetic", *common, "--json", str(figures), "--sheet", str(sheet)]) == 0
    text = capsys.readouterr().out
    assert "BodyMap (paper)" in text and "CSE input zeroed" in text and sheet.exists()
    passes = json.loads(figures.read_text())["synthetic"]
    assert set(passes) == {"held_out_assets", "new_combinations"}
    assert set(passes["held_out_assets"]) == {"bodymap", *synthetic.PASSES}

    assert evaluate.main(["tables", "--results", str(figures)]) == 0
    table = capsys.readouterr().out
    assert "| BodyMap (paper)  " in table and "71.12" in table and "BodyMap (ours, held-out assets)" in table
    assert "Temporal" not in table  # what is not measured has no table


def test_breaks_command(weights, tmp_path, capsys):
    figures, sheet = tmp_path / "f.json", tmp_path / "f.jpg"
    common = ["--weights", weights, "--device", "cpu", "--count", "1", "--size", "64x48", "--heights", "0"]
    assert evaluate.main(["breaks", *common, "--json", str(figures), "--sheet", str(sheet)]) == 0
    text = capsys.readouterr().out
    assert "## Where it breaks" in text and "| seen from" in text and "| hidden, per cent" in text
    records = json.loads(figures.read_text())["records"]
    assert [r["picture"] for r in records] == ["held_out_assets 0", "new_combinations 0"]
    assert all(r["height"] > 5 and r["places"] and r["occluded"] is not None for r in records)
    assert Image.open(sheet).format == "JPEG"


def test_a_picture_of_nobody_counts_as_missed():
    def predict(image):
        raise UserError("No person was found in the given array.")

    empty = evaluate._forgiving(SimpleNamespace(predict=predict))(np.zeros((8, 6, 3), np.uint8))
    assert empty.size == (8, 6) and not empty.mask.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos", "nowhere"], "not a folder"),
        (["synthetic", "--weights", "nowhere"], "no weights"),
        (["synthetic", "--json", "nowhere/f.json"], "does not exist"),
        (["tables", "--results", "nowhere.json"], "cannot be read"),
    ],
)
def test_mistakes_of_the_user(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        evaluate.main(arguments)


@pytest.mark.parametrize("arguments", [["synthetic", "--count", "0"], ["synthetic", "--size", "9x9"], ["nonsense"], []])
def test_wrong_arguments_exit_with_2(arguments):
    with pytest.raises(SystemExit) as exit_:
        evaluate.main(arguments)
    assert exit_.value.code == 2


def test_figures_of_something_else(tmp_path):
    for content in ("{}", "[", '{"synthetic": {"held_out_assets": {"bodymap": 1}}}', "[1]"):
        (tmp_path / "f.json").write_text(content)
        with pytest.raises(UserError, match=r"f\.json"):
            evaluate.main(["tables", "--results", str(tmp_path / "f.json")])


def test_bad_input_is_told_without_loading_torch(tmp_path):
    code = "import sys; from bodymap import evaluate\n"
    code += "try: evaluate.main(sys.argv[1:])\nfinally: print('torch' in sys.modules)"
    for arguments in (["--help"], ["photos", "nowhere"], ["synthetic", "--weights", "nowhere"]):
        result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert result.stdout.splitlines()[-1] == "False", result.stderr
