from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_pages import NASTY, scored

from annotator.errors import InputError
from annotator.labelstudio.config import (
    guide_hints,
    guide_path,
    labelling_config,
    project_settings,
    read_guide,
    refused_changes,
    settings_diff,
    stored_values,
    used_values,
)
from annotator.labelstudio.convert import prediction
from annotator.records import LABELS, SOURCE_TYPES

GUIDE = read_guide(guide_path())


def options(tag, name):
    root = ET.fromstring(labelling_config(GUIDE))  # noqa: S314 -- our own
    return list(next(e for e in root.iter(tag) if e.get("name") == name))


def test_people_see_french_and_the_server_stores_the_ids_of_the_codebook():
    labels = options("Labels", "label")
    assert [e.get("alias") for e in labels] == [str(label) for label in LABELS]
    assert [e.get("value") for e in labels] == ["Fait rapporté", "Citation attribuée", "Cadrage éditorial", "Paratexte"]
    assert [e.get("hotkey") for e in labels] == ["1", "2", "3", "4"]
    assert [e.get("alias") for e in options("Choices", "source_type")] == [str(kind) for kind in SOURCE_TYPES]


def test_hotkeys_and_colours_are_each_used_once():
    root = ET.fromstring(labelling_config(GUIDE))  # noqa: S314 -- our own
    for name in ("hotkey", "background"):
        found = [e.get(name) for e in root.iter() if e.get(name)]
        assert len(found) == len(set(found)) >= 7


def test_hints_are_the_questions_of_the_guide():
    assert guide_hints(GUIDE)["attributed_quote"].startswith("Y a-t-il là des mots exacts")
    with pytest.raises(InputError, match="no row for boilerplate"):
        guide_hints(GUIDE.replace("`boilerplate`", "`menu`"))


def test_the_guide_becomes_html_with_its_tables_and_without_scripts():
    html = project_settings(GUIDE + "\n\n<script>x</script>\n")["expert_instruction"]
    assert "<table>" in html
    assert "<script>" not in html


def test_every_prediction_fits_the_config():
    used = used_values([prediction(scored(NASTY))["result"]])
    assert set(used) <= stored_values(labelling_config(GUIDE))
    assert {control for control, _ in used} == {"label", "mark", "review", "source_type"}


def test_the_same_config_in_another_layout_is_no_difference():
    wanted = project_settings(GUIDE)
    one_line = "".join(line.strip() for line in wanted["label_config"].splitlines())
    assert settings_diff({**wanted, "label_config": one_line, "id": 4, "color": "#fff"}, wanted) == []


def test_what_differs_is_shown_line_by_line():
    wanted = project_settings(GUIDE)
    found = {**wanted, "label_config": wanted["label_config"].replace("Paratexte", "Décor"), "show_skip_button": False}
    lines = settings_diff(found, wanted)
    assert any(line.startswith("-") and "Décor" in line for line in lines)
    assert any(line.startswith("+") and "Paratexte" in line for line in lines)
    assert "-False" in lines
    assert settings_diff({}, wanted)


def test_a_label_in_use_may_not_be_dropped_or_renamed():
    config = labelling_config(GUIDE)
    used = {("label", "boilerplate"): 3, ("note", ""): 1, ("mark", "cue"): 2}
    assert refused_changes(config, used) == []
    assert refused_changes(config.replace("Paratexte", "Décor"), used) == []  # what people see may change
    (line,) = refused_changes(config.replace('alias="boilerplate"', 'alias="furniture"'), used)
    assert "'boilerplate' is in use 3 times" in line
    assert len(refused_changes(config.replace('name="label"', 'name="voice"'), used)) == 1
    assert len(refused_changes("<View/>", used)) == 3


def test_a_config_that_is_no_xml_is_named():
    with pytest.raises(InputError, match="not XML"):
        stored_values("<View>")


def test_used_values_count_annotations_of_any_shape():
    result = [
        {"from_name": "label", "type": "labels", "value": {"labels": ["boilerplate"]}},
        {"from_name": "label", "type": "labels", "value": {"labels": ["boilerplate"]}},
        {"from_name": "comment", "type": "textarea", "value": {"text": ["x"]}},
        {"type": "relation", "from_id": "a"},
    ]
    assert used_values([result, []]) == {("label", "boilerplate"): 2, ("comment", ""): 1}


@given(st.sets(st.sampled_from(sorted(stored_values(labelling_config(GUIDE))))))
def test_nothing_of_the_config_itself_is_ever_refused(values):
    assert refused_changes(labelling_config(GUIDE), dict.fromkeys(values, 1)) == []
