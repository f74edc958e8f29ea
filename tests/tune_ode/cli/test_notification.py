"""A summary is sent however a search ends; a notification that fails changes nothing."""

import base64
import http.server
import json
import shlex
import sys
import threading
import time

import pytest

from tune_ode.cli import notification as module
from tune_ode.cli.notification import check_target, notification
from tune_ode.errors import Interrupted, RunFailed, StorageFull, UsageError


@pytest.fixture
def finished(make_search, drive):
    """Return the directory of a finished search of three trials."""
    search = make_search(trials=3)
    drive(search)
    search.close()
    return search.folder.path


@pytest.fixture
def saving(tmp_path):
    """Return a command that saves its input to a file, and a function that reads the file."""
    file = tmp_path / "sent.json"
    code = f"import sys; open({str(file)!r}, 'w').write(sys.stdin.read())"
    return command(code), lambda: json.loads(file.read_text())


@pytest.fixture
def server():
    """Return the URL of a server, the requests that it got, and how it answers the next one."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = self.headers["Content-Type"], self.headers["Authorization"]
            requests.append((self.path, *headers, json.loads(body)))
            time.sleep(answer["delay"])
            self.send_response(answer["status"])
            self.send_header("Location", "/other")
            self.end_headers()

        def log_message(self, *_):
            pass

    requests, answer = [], {"status": 200, "delay": 0.0}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/secret/path?token=secret", requests, answer
    server.shutdown()
    server.server_close()


def command(code):
    return shlex.join([sys.executable, "-c", code])


def end(run, target, error=None):
    """Run a block with notifications, and check that its error, or success, is unchanged."""
    if error is None:
        with notification(check_target(target), run):
            pass
        return
    with pytest.raises(type(error)) as raised, notification(check_target(target), run):
        raise error
    assert raised.value is error


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, "finished"),
        (Interrupted("interrupted; to continue: tune-ode resume x"), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
        (RunFailed("the search ended: no\nmore"), "failed"),
        (StorageFull("the disk is full"), "failed"),
        (ZeroDivisionError(), "failed"),
    ],
)
def test_a_command_gets_the_summary_however_the_search_ended(
    finished, saving, capsys, error, state
):
    end(finished, saving[0], error)
    sent = saving[1]()
    assert (sent["state"], sent["run"], sent["trials"]) == (state, str(finished), 3)
    assert sent["reason"] == (str(error).split("\n")[0] or type(error).__name__ if error else None)
    assert sum(sent["outcomes"].values()) == 3
    assert 0 < sent["best"]["val_accuracy"] < 1
    assert sent["best"]["params"]["solver.gradient"] in ("backprop", "adjoint")
    assert sent["text"].startswith(f"tune-ode: run {state}")
    assert f". Best by accuracy per second: trial {sent['best']['trial_id']}, " in sent["text"]
    assert capsys.readouterr() == ("", "")


def test_a_url_gets_the_same_as_a_post_request(finished, saving, server, capsys):
    url, requests, _ = server
    end(finished, url)
    end(finished, url.replace("//", "//me:pass%20word@", 1))
    end(finished, saving[0])
    login = "Basic " + base64.b64encode(b"me:pass word").decode()
    path, kind, sent = "/secret/path?token=secret", "application/json", saving[1]()
    assert requests == [(path, kind, None, sent), (path, kind, login, sent)]
    assert capsys.readouterr() == ("", "")


def test_a_summary_is_sent_if_the_run_cannot_be_read(tmp_path, saving):
    end(tmp_path / "gone", saving[0], StorageFull("the disk is full"))
    sent = saving[1]()
    assert (sent["state"], sent["reason"]) == ("failed", "the disk is full")
    assert "gone" in sent["unreadable"]


def test_nothing_is_sent_if_the_usage_was_wrong(finished, tmp_path, saving):
    end(finished, saving[0], UsageError("is finished"))
    assert not (tmp_path / "sent.json").exists()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; sys.exit('first\\nlast of all')", "exited with status 1: last of all"),
        ("import os; os.kill(os.getpid(), 9)", "the command exited with status -9"),
        ("import time; time.sleep(60)", "the command took more than 0.2 s"),
        ("print('x' * 10**6); raise ValueError", "exited with status 1: ValueError"),
        ("import sys; sys.exit('x' * 10**6)", f"exited with status 1: {'x' * 999}"),
    ],
)
def test_a_command_that_fails_is_one_line(finished, monkeypatch, capsys, code, reason):
    monkeypatch.setattr(module, "COMMAND_SECONDS", 0.2 if "sleep" in code else 60.0)
    end(finished, command(code))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tune-ode: the notification was not sent: ")
    assert err.endswith(f"{reason}\n")
    assert err.count("\n") == 1


def test_a_process_that_a_command_leaves_behind_is_not_waited_for(finished, capsys):
    began = time.monotonic()
    end(finished, "sh -c 'sleep 20 & exit 0'")
    assert time.monotonic() - began < 10
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("status", "delay", "reason"),
    [
        (500, 0.0, "127.0.0.1 answered 500 Internal Server Error"),
        (302, 0.0, "127.0.0.1 answered 302 Found"),
        (307, 0.0, "127.0.0.1 answered 307 Temporary Redirect"),
        (200, 0.5, "127.0.0.1"),
        (None, 0.0, "127.0.0.1: [Errno 111] Connection refused"),
    ],
)
def test_a_url_that_fails_is_one_line_without_its_secrets(
    finished, server, monkeypatch, capsys, status, delay, reason
):
    monkeypatch.setattr(module, "URL_SECONDS", 0.2 if delay else 10.0)
    url, _, answer = server
    answer |= {"status": status, "delay": delay}
    end(finished, url if status else "http://user:secret@127.0.0.1:9/secret", RunFailed("no"))
    err = capsys.readouterr().err
    assert err.startswith(f"tune-ode: the notification was not sent: {reason}")
    assert "secret" not in err
    assert err.count("\n") == 1


def test_invalid_targets_are_errors_before_anything_starts(usage_error):
    for target, message in [
        ("", "there is no program ''"),
        ("no-such-program --flag", "there is no program 'no-such-program'; for a pipe"),
        ("cat 'open", "No closing quotation"),
        ("ftp://host/x", "found the scheme ftp://"),
        ("https://", "a URL that is not valid"),
        ("http://[bad", "a URL that is not valid"),
        ("http://host/a b", "a URL that is not valid"),
    ]:
        error = usage_error("search", "--notify", target)
        assert "--notify must be a command or an http(s) URL" in error
        assert message in error


def test_a_job_is_not_given_a_target_that_others_could_read(usage_error, tune_ode, monkeypatch):
    error = usage_error("submit", "--check", "--output", "s3://runs", "--notify", "https://h/x")
    assert "set TUNE_ODE_NOTIFY where the cluster is started" in error
    monkeypatch.setenv("TUNE_ODE_NOTIFY", "https://host/secret")
    status, out, _ = tune_ode("submit", "--check", "--output", "s3://runs")
    assert status == 0
    assert "secret" not in out
