"""A headless browser, driven over the WebDriver protocol without a client package."""

import base64
import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""Key under which the protocol (W3C WebDriver, section 12.2) names an element."""
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1400,1000",
)  # fmt: skip


def programs() -> tuple[str, str] | None:
    """Paths of Chromium and its driver; None if one is missing."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Chromium:
    """A browser with one page; a context manager."""

    def __init__(self, browser: str, driver: str) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._driver = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for line in self._driver.stdout:
            if match := re.search(r"started successfully on port (\d+)", line):
                break
        self._url = f"http://127.0.0.1:{match[1]}/session"
        options = {
            "binary": browser,
            "args": [*ARGUMENTS, f"--user-data-dir={self._profile.name}"],
        }
        capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._send("POST", "", {"capabilities": {"alwaysMatch": capabilities}})
        self._url += f"/{session['sessionId']}"

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._send("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(30)
            self._profile.cleanup()

    def open(self, page: Path) -> None:
        self._send("POST", "/url", {"url": page.resolve().as_uri()})

    def run(self, script: str):
        """Run the body of a script in the page; return its value."""
        return self._send("POST", "/execute/sync", {"script": script, "args": []})

    def wait(self, script: str, seconds: float = 60.0) -> None:
        """Wait until the body of a script returns a true value; none runs while a page loads."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(AssertionError):
                if self.run(script):
                    return
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds:g} s: {script}")

    def click(self, selector: str) -> None:
        """Click an element, which must be visible and not covered."""
        found = self._send("POST", "/element", {"using": "css selector", "value": selector})
        self._send("POST", f"/element/{found[ELEMENT]}/click", {})

    def type(self, selector: str, text: str) -> None:
        found = self._send("POST", "/element", {"using": "css selector", "value": selector})
        self._send("POST", f"/element/{found[ELEMENT]}/value", {"text": text})

    def prefer(self, scheme: str) -> None:
        """Emulate a preference of the system for `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._command("Emulation.setEmulatedMedia", {"features": features})

    def screenshot(self, path: Path) -> None:
        """Save a screenshot of the full page."""
        shot = self._command(
            "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True}
        )
        path.write_bytes(base64.b64decode(shot["data"]))

    def log(self) -> list[str]:
        """Console messages, including violations of the security policy, since the last call."""
        return [entry["message"] for entry in self._send("POST", "/se/log", {"type": "browser"})]

    def _command(self, name: str, params: dict):
        return self._send("POST", "/goog/cdp/execute", {"cmd": name, "params": params})

    def _send(self, method: str, path: str, body: dict | None = None):
        request = urllib.request.Request(
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=240) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None


@pytest.fixture(scope="module")
def browser():
    """Return a browser, shared by all tests."""
    paths = programs()
    if paths is None:
        pytest.skip("needs Chromium and its driver: apt install chromium chromium-driver")
    with Chromium(*paths) as browser:
        yield browser
