"""Pictures do not depend on a user's configuration of matplotlib, however broken it is."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib

from analysis.plots import style
from analysis.plots.isolation import isolated
from analysis.plots.plot import one_panel
from analysis.plots.style import to_png

ROOT = Path(__file__).parents[3]
HOSTILE = {
    "text.usetex": True, "font.family": "Nonexistent Sans", "font.size": 30,
    "savefig.format": "svg",
    "figure.facecolor": "black", "axes.grid": False, "lines.linewidth": 9,
    "path.sketch": (5, 50, 2),
    "savefig.bbox": "tight", "text.parse_math": True, "axes.unicode_minus": False,
}  # fmt: skip
LABEL = r"-1 $\nonsense$ 🙂 日本"
IMPORT = "import analysis.plots, matplotlib; print(matplotlib.rcParamsDefault['font.size'])"


def picture():
    def plot(values, ax):
        ax.plot(values, [-1, 0, 1], label=LABEL)
        ax.set_title(LABEL)
        style.legend_below(ax, 2)

    with isolated():
        return to_png(one_panel([-1, 2, 3], plot))


def test_pictures_are_the_same_with_any_settings(recwarn):
    expected = picture()
    with matplotlib.rc_context(HOSTILE):
        assert picture() == expected
    assert not recwarn.list, "fonts without a character are no news"


def test_settings_of_the_process_are_kept():
    with matplotlib.rc_context({"font.size": 17.0}):
        before = dict(matplotlib.rcParams)
        with isolated():
            assert matplotlib.rcParams["font.size"] == 10.0
        assert dict(matplotlib.rcParams) == before


def test_a_configuration_that_matplotlib_cannot_read_is_ignored(tmp_path):
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe bad line\nnonsense: 1\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "nonsense"}
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT], env=environment, check=False, cwd=tmp_path,
        capture_output=True, text=True,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "10.0\n", "")
