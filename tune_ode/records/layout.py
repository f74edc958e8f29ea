"""Names of the files and directories of a run.

A run directory holds

    run.json              the manifest (`RunManifest`)
    study.log             the Optuna journal, unless the study is in a database
    stop                  present while trials are asked to save their state and end
    trials/<id>/          config.json   configuration and searched values (`TrialSpec`)
                          reports.jsonl one line per measurement (`Report`)
                          outcome.json  how the trial ended (`TrialResult`)
                          last.pt       checkpoint to resume from
                          best.pt       checkpoint with the best validation accuracy
                          stack.txt     Python stack of a trial that hung
    report/               index.html, plots, ranking.csv, ranking.json, confirmed.json
    confirm/              the best trials trained again: a run directory whose trials also hold
                          confirmation.json (`Confirmation`)

All files are JSON except the journal, checkpoints, stacks and plots. Seconds are floats, points in
time are Unix seconds, accuracies are fractions in [0, 1]. A value that is not finite or was not
measured is null.
"""

MANIFEST = "run.json"
STUDY = "study.log"
STOP_FILE = "stop"
TRIALS = "trials"
REPORT = "report"
CONFIRM = "confirm"
CONFIG = "config.json"
REPORTS = "reports.jsonl"
OUTCOME = "outcome.json"
CONFIRMATION = "confirmation.json"
STACK = "stack.txt"
LAST_CHECKPOINT = "last.pt"
BEST_CHECKPOINT = "best.pt"

COMPARE = "compare"
"""`options["command"]` of a comparison."""

DEFAULT = "default"
"""`TrialSpec.confirms` of the space's default configuration, if no trial of the run had it."""
