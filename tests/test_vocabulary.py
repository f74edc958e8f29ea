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
    losses sharing_seconds nothing-lost
""".split()
"""Identifiers of an earlier version."""
OLD_PHRASES = (
    r"the price of sharing", r"known start", r"\brooms?\b", r"\bneighbours?\b",
    r"\bhand(s|ed|ing)? (it |them )?on\b", r"\btak(e|es|en|ing) (it |them )?up\b",
    r"\btells? (what|how|which|that|whether)\b", r"\b(told|heard) of\b", r"\bbeside\b",
    r"\bbehind the last\b", r"\bwhat (becomes|became) of\b", r"\bthe like of\b",
    r"\bso (many|long|often)\b", r"\bof (one's|its|their|his) own\b", r"\bput through\b",
    r"\bwhole again\b", r"\bgo(es)? on from\b", r"\bin turns\b", r"\bsaid so\b",
    r"\bon the way\b", r"\bwithout a word\b", r"\btake note\b", r"\blets? Ray speak\b",
    r"\bthe folder is the truth\b", r"\banew\b",
)  # fmt: skip
"""Archaic or private wording; see "Language" in CONTRIBUTING.md."""
EXCEPTIONS = {
    "losses": ("benchmarks/precision_losses.py", "tests/tune_ode/training/test_schedules.py"),
}
"""Old name → files in which the word means something else."""
WORDS = re.compile(
    "|".join([rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in OLD_NAMES] + list(OLD_PHRASES))
)


def tracked(*suffixes: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", *(f"*{suffix}" for suffix in suffixes)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    own = Path(__file__).relative_to(ROOT).as_posix()
    return [name for name in listed.stdout.split() if name != own and (ROOT / name).exists()]


@pytest.mark.parametrize("name", tracked(".py", ".md", ".ipynb", ".j2", ".js", ".yaml", ".sh"))
def test_a_file_uses_current_names_and_plain_english(name):
    found = [
        f"{name}:{number}: {match[0]}"
        for number, line in enumerate((ROOT / name).read_text().splitlines(), start=1)
        for match in WORDS.finditer(line)
        if name not in EXCEPTIONS.get(match[0], ())
    ]
    assert not found
