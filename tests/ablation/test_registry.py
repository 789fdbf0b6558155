"""The tables: nothing of the paper is left out, and every row can be configured."""

import pytest

from bodymap.ablation.registry import TABLES, TRAININGS, find_tables
from bodymap.ablation.running import CONFIGS
from bodymap.config import load_config
from bodymap.errors import UserError
from bodymap.metrics import paper
from bodymap.train import Config


def test_every_table_of_the_paper_is_there():
    names = [table.name for table in TABLES]
    assert len(set(names)) == len(names)
    assert set(names) == {"1", "2", "3", "4", "5", "6", "rgb", "finetuning", "segmentation"}
    for numbers in (paper.ACCURACY_SYNTHETIC, paper.AP_COCO, paper.AP_SYNTHETIC, paper.TEMPORAL, paper.FINE_TUNING):
        assert any(table.paper == numbers for table in TABLES)
    for table in TABLES:
        assert all(len(values) == len(table.columns) for values in table.paper.values()), table.name
    by_name = {table.name: table for table in TABLES}
    trained = {name: {row.training for row in table.rows} for name, table in by_name.items()}
    assert trained["5"] >= {"resnet", "efficientnet", "unet", "vit"}
    assert trained["6"] >= {"cls", "sil", "geo", "con_photograph"}  # and con_predicted, which is bodymap
    assert {row.mask for row in by_name["segmentation"].rows} == {"true", "own", "segmenter", "eroded", "dilated"}


def test_rows_are_told_apart_by_their_files():
    for table in TABLES:
        keys = [row.key(table.measure) for row in table.rows]
        assert len(set(keys)) == len(keys)
        assert len({row.label for row in table.rows}) == len(table.rows)
        assert all(row.training is None or row.training in TRAININGS for row in table.rows)
    assert {row.training for table in TABLES for row in table.rows} >= set(TRAININGS)


@pytest.mark.parametrize("name", TRAININGS)
def test_every_training_can_be_configured(name):
    from bodymap.config import from_dict
    from bodymap.task import TaskConfig

    training = TRAININGS[name]
    config = load_config(Config, CONFIGS / f"{training.base}.yaml", training.overrides)
    task = from_dict(TaskConfig, config.task, "task")
    if training.start == ("cse",):
        # the coarse stage of the shipped weights must fit, whatever the row changes
        assert config.model.cse == load_config(Config, CONFIGS / "small.yaml").model.cse
        assert task.stage == "bodymap" and task.losses.layer == 0
        assert task.appearance_start == "own" or config.model.appearance == config.model.cse.encoder
    if name in ("resnet", "efficientnet", "unet", "vit"):
        assert config.model.appearance.kind == config.model.correspondence.kind == name


def test_names_of_tables():
    assert [table.name for table in find_tables(["6", "2"])] == ["2", "6"]
    assert find_tables([]) == TABLES
    with pytest.raises(UserError, match="segmentation"):
        find_tables(["segmentatoin"])
