"""Scalars of YAML 1.2, and errors with file and line."""

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
def test_scalars(text, value):
    found = parse_yaml(text, "here")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "here, line 1: invalid YAML"),
        ("a: 1\nb: 2\na: 3", "here, line 3: .*duplicate key 'a'"),
        ("a: &x 1\nb: *x", "here, line 2: .*aliases"),
        ("a: &x {b: *x}", "aliases"),
        ("[" * 50, "levels of nesting"),
        ("{[1]: 2}", "a key must be a scalar"),
        ("{{a: 1}: 2}", "a key must be a scalar"),
        ("a: !!python/object:os.system x", "invalid YAML"),
        ("a: !!set {b}", "invalid YAML"),
        ("a: \x01", "here: invalid YAML"),
        ("--- 1\n--- 2", "invalid YAML"),
    ],
)
def test_invalid_yaml_is_an_error_with_its_line(text, message):
    with pytest.raises(ConfigurationError, match=message) as error:
        parse_yaml(text, "here")
    assert "\n" not in str(error.value)


def test_an_error_names_the_file(tmp_path):
    path = tmp_path / "mine.yaml"
    with pytest.raises(ConfigurationError, match="cannot read .*mine.yaml"):
        read_yaml(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="mine.yaml is not UTF-8 text"):
        read_yaml(path)
    path.write_text("- 1")
    with pytest.raises(ConfigurationError, match="mine.yaml must map names to values"):
        read_yaml(path)
    path.write_text("1: 2")
    with pytest.raises(ConfigurationError, match="mine.yaml: .* found 1"):
        read_yaml(path)
    path.write_text("# empty")
    assert read_yaml(path) == {}
