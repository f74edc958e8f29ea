"""The file format of runs: the interface between a search and its analysis."""

from tune_ode.records.evaluation import Confirmation as Confirmation
from tune_ode.records.evaluation import Latency as Latency
from tune_ode.records.evaluation import Solve as Solve
from tune_ode.records.files import Readable as Readable
from tune_ode.records.files import dedupe_by_epoch as dedupe_by_epoch
from tune_ode.records.files import dumps as dumps
from tune_ode.records.files import encode as encode
from tune_ode.records.files import is_intact_archive as is_intact_archive
from tune_ode.records.files import read_json as read_json
from tune_ode.records.files import read_reports as read_reports
from tune_ode.records.files import read_rows as read_rows
from tune_ode.records.files import write_atomic as write_atomic
from tune_ode.records.layout import *  # noqa: F403  # names of files and directories
from tune_ode.records.manifest import read_manifest as read_manifest
from tune_ode.records.schema import SCHEMA_VERSION as SCHEMA_VERSION
from tune_ode.records.schema import SEARCH_ENDED as SEARCH_ENDED
from tune_ode.records.schema import Contention as Contention
from tune_ode.records.schema import Outcome as Outcome
from tune_ode.records.schema import Report as Report
from tune_ode.records.schema import RunManifest as RunManifest
from tune_ode.records.schema import TrialResult as TrialResult
from tune_ode.records.schema import TrialSpec as TrialSpec
from tune_ode.records.starvation import MOST_WAITING as MOST_WAITING
from tune_ode.records.starvation import starvation as starvation
