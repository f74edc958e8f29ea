"""YAML as people mean it, and errors that say where they slipped."""

import pytest

from tune_ode.config.yaml_files import parse_yaml, read_yaml
from tune_ode.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("off", "off"),
        ("none", "none"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("0.5", 0.5),
        ("007", 7),
        ("null", None),
        ("~", None),
        ("", None),
        ("true", True),
        ("'1'", "1"),
        (".inf", ".inf"),
        ("{a: [1, 2.0], b: }", {"a": [1, 2.0], "b": None}),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_what_a_word_means(text, value):
    found = parse_yaml(text, "here")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "here, line 1: no YAML"),
        ("a: 1\nb: 2\na: 3", "here, line 3: .*'a' stands here twice"),
        ("a: &x 1\nb: *x", "here, line 2: .*aliases"),
        ("a: &x {b: *x}", "aliases"),
        ("[" * 50, "levels of nesting"),
        ("{[1]: 2}", "a key is a word"),
        ("{{a: 1}: 2}", "a key is a word"),
        ("a: !!python/object:os.system x", "no YAML"),
        ("a: !!set {b}", "no YAML"),
        ("a: \x01", "here: no YAML"),
        ("--- 1\n--- 2", "no YAML"),
    ],
)
def test_what_is_no_yaml_is_said_with_its_line(text, said):
    with pytest.raises(ConfigurationError, match=said) as error:
        parse_yaml(text, "here")
    assert "\n" not in str(error.value)


def test_a_file_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    with pytest.raises(ConfigurationError, match="cannot read .*mine.yaml"):
        read_yaml(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="mine.yaml is no text"):
        read_yaml(path)
    path.write_text("- 1")
    with pytest.raises(ConfigurationError, match="mine.yaml must hold settings by name"):
        read_yaml(path)
    path.write_text("1: 2")
    with pytest.raises(ConfigurationError, match="mine.yaml: .* found 1"):
        read_yaml(path)
    path.write_text("# nothing yet")
    assert read_yaml(path) == {}
