from __future__ import annotations

import pytest
import yaml

from envs.days.plain_yaml import load, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("15:00:00", "15:00:00"),  # YAML 1.1: 54000
        ("010", 10),  # YAML 1.1: 8
        ("no", "no"),  # YAML 1.1: false
        ("1e-4", 1.0e-4),  # YAML 1.1: text
        ("true", True),
        ("2025-11-28", "2025-11-28"),
        ("[1, .5, -3]", [1, 0.5, -3]),
        ("~", None),
        ("a:", {"a": None}),
        ("{<<: &x {p: 1}, q: 2}", {"p": 1, "q": 2}),
    ],
)
def test_scalars_are_read_by_yaml_1_2(text, value):
    assert parse(text) == value


def test_nesting_without_end_is_refused():
    with pytest.raises(yaml.YAMLError, match="nested deeper than 40"):
        parse("[" * 3000)


def test_aliases_that_unfold_without_end_are_refused():
    # ten lists of ten of the one before: 10 ** 8 nodes
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(yaml.YAMLError, match="aliases that unfold without end"):
        parse("\n".join(lines))


def test_a_list_that_holds_itself_is_refused():
    with pytest.raises(yaml.YAMLError, match="aliases that unfold without end"):
        parse("&a [*a]")


def test_message_names_file_and_line_and_repeats_nothing(tmp_path):
    path = tmp_path / "fleet.yml"
    path.write_text("- id: v1\n- name: *Jane\n")
    with pytest.raises(ValueError, match=r"fleet\.yml, line 2: not valid YAML") as error:
        load(path)
    assert "Jane" not in str(error.value)
