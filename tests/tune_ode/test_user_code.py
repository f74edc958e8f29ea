"""Objects that a user names by `package.module:NAME`."""

import sys

import pytest

from tune_ode.errors import UsageError
from tune_ode.user_code import import_object


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Return a function that writes a module in the current directory."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="user_module"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / f"{name}.py").write_text(text)

    yield write
    sys.modules.pop("user_module", None)


def test_an_object_is_imported_from_the_current_directory(write_module):
    write_module("NUMBER = 3\ndef function(): return NUMBER")
    before = list(sys.path)
    assert import_object("user_module:NUMBER", int) == 3
    assert import_object("user_module:function")() == 3
    assert sys.path == before


def test_a_file_shadows_no_installed_package(write_module):
    write_module("rgb_to_hsv = 'shadow'", name="colorsys")
    assert callable(import_object("colorsys:rgb_to_hsv"))


@pytest.mark.parametrize(
    ("text", "name", "kind", "message"),
    [
        ("1 +", "NAME", None, "^cannot import user_module: SyntaxError: "),
        (
            "raise SystemExit(3)",
            "NAME",
            None,
            "^cannot import user_module: SystemExit: 3; expected",
        ),
        (
            "raise ValueError('one\\ntwo')",
            "NAME",
            None,
            "ValueError: one; expected package.module:NAME, importable from .* or PYTHONPATH$",
        ),
        ("import no_module", "NAME", None, "user_module: No module named 'no_module'; expected"),
        ("", "NAME", None, "^unknown name in user_module 'NAME'; valid: none$"),
        ("_X = 1\ndef f(): pass", "g", None, "^unknown name in user_module 'g';.* valid: f$"),
        ("WIDTH = 1\nNAME = ''", "WIDHT", int, "did you mean 'WIDTH'. valid: WIDTH$"),
        ("WIDTH = 1\nNAME = ''", "NAME", int, "^unknown int in user_module 'NAME'; valid: WIDTH$"),
    ],
)
def test_errors_name_the_module_and_the_remedy_in_one_line(write_module, text, name, kind, message):
    write_module(text)
    with pytest.raises(UsageError, match=message) as rejected:
        import_object(f"user_module:{name}", kind)
    assert "\n" not in str(rejected.value)
