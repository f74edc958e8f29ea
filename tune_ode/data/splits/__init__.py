"""Which images are used for training, validation and test."""

from tune_ode.data.splits.groups import group_ids as group_ids
from tune_ode.data.splits.overlap import overlaps as overlaps
from tune_ode.data.splits.split import SMALLEST_CLASS_TO_SPLIT as SMALLEST_CLASS_TO_SPLIT
from tune_ode.data.splits.split import Split as Split
from tune_ode.data.splits.split import chance_accuracy as chance_accuracy
from tune_ode.data.splits.split import hold_out_test as hold_out_test
from tune_ode.data.splits.split import split as split
