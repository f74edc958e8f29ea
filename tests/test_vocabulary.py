"""One vocabulary everywhere: the field's terms, and none of the names that they replaced."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OLD_NAMES = """
    QuestionError StorageLost unknown_name ReportLine TrialSetup TrialOutcome latest_lines
    TORCHDIFFEQ_ALONE Suggests narrowed fitted Workplace Ending ending_of silence_seconds
    CompareQuestion SimulationQuestion _orderly_stop _price_of_sharing how_to_go_on SearchEnd
    _take_up MOST_LOSSES TrialBook Rungs Proposals earlier_run results_from_run points_from_run
    _Given starting_points hold_to_share Neighbours neighbours ray_together RayRoom Absence
    current_place SearchLog Destination raise_stop lower_stop RunStore take_up_run check_place
    patiently stop_sign trial_store Confirming Retraining Examination examine judge_commands
    show_commands conclude lasting_place flattered first_probabilities untold model_part unfit
    keep_freed_memory give_memory_back hand_on CarriedSteps GuardedFunction TURNOVER_SECONDS
    losses sharing_seconds nothing-lost Sharing narrowing find_space to_plain this_machine no_run
    in_words _NOTHING FirstStep scores_test report_at ConfirmEnd asks_the_same TIGHT
""".split()  # noqa: SIM905
"""Identifiers of an earlier version."""
OLD_PHRASES = (
    r"the price of sharing", r"known start", r"rooms?", r"neighbours?",
    r"hand(s|ed|ing)? (it |them )?on", r"tak(e|es|en|ing) (it |them )?up",
    r"tells? (what|how|which|that|whether)", r"(told|heard) of", r"beside",
    r"behind the last", r"what (becomes|became) of", r"the like of",
    r"so (many|long|often)", r"of (one's|its|their|his) own", r"put through",
    r"whole again", r"go(es)? on from", r"in turns", r"said so",
    r"on the way", r"without a word", r"take note", r"lets? Ray speak",
    r"the folder is the truth", r"anew",
)  # fmt: skip
"""Archaic or private wording; see "Language" in CONTRIBUTING.md."""
EXCEPTIONS = {
    "losses": (
        "benchmarks/precision_losses.py",
        "tests/tune_ode/training/optimization/test_schedules.py",
    ),
}
"""Old name → files in which the word means something else."""
WORDS = re.compile(
    rf"(?<![\w-])(?:{'|'.join(map(re.escape, OLD_NAMES))})(?![\w-])|\b(?:{'|'.join(OLD_PHRASES)})\b"
)
SUFFIXES = (".py", ".md", ".ipynb", ".j2", ".js", ".yaml", ".sh")


def findings() -> list[str]:
    """Return every use of a forbidden word in a tracked file, with file and line."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    files = [Path(name) for name in listed if name.endswith(SUFFIXES)]
    assert len(files) > 100, "tracked files are listed"
    return [
        f"{file}:{number}: {match[0]}"
        for file in files
        if (ROOT / file).exists() and (ROOT / file) != Path(__file__)
        for number, line in enumerate((ROOT / file).read_text().splitlines(), start=1)
        for match in WORDS.finditer(line)
        if str(file) not in EXCEPTIONS.get(match[0], ())
    ]


def test_files_use_current_names_and_plain_english():
    assert not findings()


@pytest.mark.parametrize("text", ["raise QuestionError(", "trained beside others", "so long as"])
def test_forbidden_words_are_found(text):
    assert WORDS.search(text)
