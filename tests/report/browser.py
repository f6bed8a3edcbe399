"""Drives a headless Chromium over its debugging pipe: no network, no package beyond Python's."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
# What it would ask its maker's servers for.
_QUIET = [
    *("--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-default-browser-check"),
]


class Browser:
    """One page; `requests` has the addresses that it asked for, `errors` what its console says."""

    def __init__(self):
        self._folder = tempfile.mkdtemp()
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        command = [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *_QUIET,
            *(f"--user-data-dir={self._folder}", "--remote-debugging-pipe", "about:blank"),
        ]
        # It reads from 3 and writes to 4.
        shell = f'exec "$@" 3<&{to_read} 4>&{to_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._number, self._buffer, self._session, self._target = 0, b"", None, None
        self.requests, self.errors = [], []

    def send(self, method, **parameters):
        """Returns the answer to a command; what comes before it are events."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._buffer:
                ready, _, _ = select.select([self._read], [], [], 60)
                read = os.read(self._read, 1 << 20) if ready else b""
                if not read:
                    raise RuntimeError(f"Chromium has not answered {method}.")
                self._buffer += read
            line, self._buffer = self._buffer.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _note(self, event):
        method, told = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(told["exceptionDetails"])[:2000])
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.errors.append(json.dumps(told["entry"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning"):
            texts = [str(argument.get("value")) for argument in told["args"]]
            # Bokeh says so of figures that are empty or not on the screen yet.
            if not any("could not set initial ranges" in text for text in texts):
                self.errors.append(" ".join(texts))

    def open(self, path, address="", ready="document.documentElement?.dataset.ready === 'true'"):
        """Opens a file in a new page, which is off line, and waits till its scripts have run."""
        self.requests.clear()
        self.errors.clear()
        former, self._session = self._target, None
        self._target = self.send("Target.createTarget", url="about:blank")["targetId"]
        if former is not None:
            self.send("Target.closeTarget", targetId=former)
        attached = self.send("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send(
            "Network.emulateNetworkConditions",
            offline=True,
            latency=0,
            downloadThroughput=0,
            uploadThroughput=0,
        )
        self.send("Page.navigate", url=f"{Path(path).resolve().as_uri()}{address}")
        self.wait(ready)

    def wait(self, condition, seconds=60):
        """Waits till an expression holds."""
        end = time.monotonic() + seconds
        while not self.run(condition):
            assert time.monotonic() < end, f"{condition} never came; {self.errors}"
            time.sleep(0.05)

    def run(self, expression):
        """Returns the value of an expression of JavaScript."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, json.dumps(answer["exceptionDetails"])
        return answer["result"].get("value")

    def press(self, key, code):
        """Presses a key where the focus is."""
        for kind in ("rawKeyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, code=key
            )

    def choose(self, **choice):
        """Sets the page's controls, as a reader would, and returns the numbers that it shows."""
        for name, value in choice.items():
            self.run(
                f"(() => {{ const control = document.getElementById('{name}'); "
                f"control.value = '{value}'; control.dispatchEvent(new Event('input')); }})()"
            )
        return json.loads(self.run("document.getElementById('shown').textContent"))

    def picture(self, path, *, width, height):
        """Writes what is on the screen."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        time.sleep(0.5)
        data = self.send("Page.captureScreenshot", format="png")["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        """Ends the browser that was started here."""
        os.close(self._write)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        shutil.rmtree(self._folder, ignore_errors=True)
