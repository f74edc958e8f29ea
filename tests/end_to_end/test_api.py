"""The API in a script without `if __name__ == "__main__"`, on real Ray and with real processes."""

import signal
import subprocess
import sys
import threading

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from tests.end_to_end.conftest import RunReader, wait_until

pytestmark = pytest.mark.long

HEAD = """
import tune_ode as to

print("the script starts", flush=True)
SMALL = dict(
    fix={"solver.method": "euler", "model.width": 8, "training.epochs": 3}, train_images=500,
    trial_seconds=2, calibrate=False,
)
"""
TWO_SEARCHES = """
import logging, os, signal, threading
import optuna, ray

def state():
    return (
        [signal.getsignal(number) for number in signal.valid_signals()], dict(os.environ),
        optuna.logging.get_verbosity(), logging.getLogger("ray.tune").level, os.getcwd(),
    )

before = state()
run = to.search(trials=2, name="first", start_from="fast", on_report=print, **SMALL)
assert not ray.is_initialized()
assert state() == before
confirmed = run.confirm(top=1, seeds=2)
assert len(confirmed.table) == 2, confirmed.table
print(confirmed)
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
before = state()
thread = threading.Thread(target=lambda: to.search(trials=2, name="second", **SMALL))
thread.start()
thread.join()
assert state() == before
assert ray.is_initialized()
assert ray.get(ray.remote(lambda: 7).remote()) == 7
assert to.load_run("second").state == "finished"
print("the script ends")
"""
INTERRUPTED = """
to.search(trials=50, name="run", sampler="random", **SMALL)
"""


def start(folder, script):
    file = folder / "script.py"
    file.write_text(HEAD + script)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, str(file)], cwd=folder, text=True, **pipes)


def test_searches_and_a_confirmation_at_the_top_level_of_a_script(tmp_path):
    process = start(tmp_path, TWO_SEARCHES)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, out + err
    assert out.count("the script starts") == 1, "no other process runs it"
    assert out.count("epoch 3 ") >= 1, "reports are passed on"
    assert out.endswith("the script ends\n")


def test_an_interrupt_of_a_script_leaves_a_run_that_resumes(tmp_path):
    process, run = start(tmp_path, INTERRUPTED), RunReader(tmp_path / "runs" / "run")
    wait_until(run.results, process=process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.splitlines()[-1].endswith("interrupted; to continue: tune-ode resume runs/run")
    assert run.manifest()["state"] == "interrupted"


def test_the_interrupt_button_of_a_notebook_leaves_a_run_that_resumes(tmp_path):
    run = RunReader(tmp_path / "runs" / "run")
    cells = [HEAD + INTERRUPTED, 'to.resume("latest", trials=1, progress=False).state']
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    resources = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=120, allow_errors=True, resources=resources)

    def press():
        wait_until(run.results)
        client.kc.control_channel.send(client.kc.session.msg("interrupt_request"))

    threading.Thread(target=press).start()
    client.execute()
    nbformat.validate(notebook)
    error, state = (cell.outputs[-1] for cell in notebook.cells)
    assert error.ename == "Interrupted"
    assert "tune-ode resume runs/run" in error.evalue
    assert state.data["text/plain"] == "'finished'"
