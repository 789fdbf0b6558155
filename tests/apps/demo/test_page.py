"""The page as a visitor meets it: served by its command, driven in headless Chromium, with the shipped weights.

Skipped where Gradio, Selenium, Chromium or its driver is not installed.
"""

import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason='needs Gradio: pip install -e ".[test]"')
webdriver = pytest.importorskip("selenium.webdriver", reason='needs Selenium: pip install -e ".[test]"')
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not CHROMIUM or not DRIVER, reason="needs a browser and its driver: apt-get install chromium chromium-driver"
)

ROOT = Path(__file__).parents[3]
ANNA, BEN = ROOT / "examples" / "anna.jpg", ROOT / "examples" / "ben.jpg"
PHONE = (390, 844)
PATIENCE = 240  # seconds; the work takes a few where nothing else runs


# What Python runs at its start, here in the server: it notes whom the process calls, and whose name it looks up.
LISTENER = """
import sys
def hear(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        address = arguments[1] if event == "socket.connect" else arguments[0]
        host = address[0] if isinstance(address, tuple) else address
        print("calls", host, file=sys.stderr, flush=True)
sys.addaudithook(hear)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of ``python -m apps.demo``, which calls nobody, and of which a kill leaves nothing behind."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "sitecustomize.py").write_text(LISTENER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "apps.demo", "--no-browser", "--port", str(port), "--device", "cpu"]
    environment = os.environ | {"TMPDIR": str(folder), "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    with open(folder.parent / "page.log", "w+") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + PATIENCE
            while " is at " not in (said := Path(log.name).read_text()):
                assert process.poll() is None and time.monotonic() < deadline, said
                time.sleep(0.2)
            assert list(folder.glob("bodymap-page-*"))
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(90)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        said = Path(log.name).read_text()
    assert code == 0 and "Traceback" not in said, said
    assert not list(folder.glob("bodymap-page-*"))
    called = {line.split()[1] for line in said.splitlines() if line.startswith("calls ")}
    assert called <= {"127.0.0.1", "localhost", "None"} and "127.0.0.1" in called


class Visitor:
    """A browser of a phone's size on the page, and what the tests ask of it."""

    def __init__(self, address: str, profile: Path):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (
            "headless=new",
            "no-sandbox",
            "disable-gpu",
            "disable-dev-shm-usage",
            "disable-quic",
            "no-first-run",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            f"user-data-dir={profile}",
        ):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        self.browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        width, height = PHONE
        screen = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.address = address

    def open(self) -> None:
        self.browser.get(self.address)
        self.wait(lambda: self.ask("return !!document.querySelector('#swap-run')"))

    def ask(self, script: str, *arguments):
        return self.browser.execute_script(script, *arguments)

    def wait(self, condition, patience: float = PATIENCE):
        deadline = time.monotonic() + patience
        while not (answer := condition()):
            assert time.monotonic() < deadline, (
                f"nothing came; the page says: {self.ask('return document.body.innerText')}"
            )
            time.sleep(0.1)
        return answer

    def text(self, selector: str) -> str:
        return self.ask("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def says(self, selector: str, *words: str) -> str:
        """Waits until a place of the page says one of these."""
        return self.wait(lambda: next((said for w in words if w in (said := self.text(selector))), None))

    def shown(self, selector: str) -> bool:
        return self.ask("return !!document.querySelector(arguments[0])?.getClientRects().length", selector)

    def click(self, selector: str) -> None:
        self.wait(lambda: self.shown(selector))
        self.ask("document.querySelector(arguments[0]).click()", selector)

    def tab(self, name: str) -> None:
        script = "[...document.querySelectorAll('button[role=tab]')].find(b => b.innerText == arguments[0]).click()"
        self.ask(script, name)

    def upload(self, number: int, path: Path) -> None:
        selector = f"#photo{number} input[type=file]"
        self.wait(lambda: self.ask("return !!document.querySelector(arguments[0])", selector))
        self.browser.find_element("css selector", selector).send_keys(str(path))

    def fits(self) -> None:
        """Nothing lies beside the screen."""
        wide, inner = self.ask("return [document.scrollingElement.scrollWidth, innerWidth]")
        assert wide <= inner == PHONE[0]

    def picture(self, selector: str) -> np.ndarray:
        """An image of the page, as the browser decoded it."""
        script = """const image = document.querySelector(arguments[0]); const canvas = document.createElement('canvas');
        canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
        canvas.getContext('2d').drawImage(image, 0, 0); return canvas.toDataURL('image/png').split(',')[1]"""
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(self.ask(script, selector)))).convert("RGB"))

    def hosts(self) -> set[str]:
        """Whom the page asked for anything since the last time."""
        events = (json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance"))
        urls = (
            event["params"].get("request", event["params"])["url"]
            for event in events
            if event["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated")
        )
        return {part.hostname for url in urls if (part := urlsplit(url)).scheme in ("http", "https", "ws", "wss")}


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    visitor = Visitor(server, tmp_path_factory.mktemp("profile"))
    yield visitor
    visitor.browser.quit()


@pytest.fixture
def visitor(browser):
    """On a fresh page; whatever a test does, the page asks this machine alone."""
    browser.open()
    yield browser
    assert browser.hosts() == {"127.0.0.1"}


def test_from_upload_to_result_on_a_phone(visitor):
    visitor.fits()
    # before anything was done there is an example to play with
    assert "example" in visitor.text("#swap-notice") and visitor.shown("#there img")
    visitor.upload(1, ANNA)
    visitor.upload(2, BEN)
    for number in (1, 2):
        visitor.says(f"#found{number}", "Person found")
    visitor.fits()
    visitor.click("#both input")
    visitor.click("#swap-run")
    visitor.says("#swap-notice", "of photo 2 replaced")
    visitor.wait(lambda: visitor.shown("#back img") and visitor.shown("#swap-run") and not visitor.shown("#swap-stop"))
    visitor.fits()

    # Ben's photo before and after: the same outside him, other clothes on him
    visitor.wait(lambda: visitor.ask("return [...document.querySelectorAll('#there img')].every(i => i.naturalWidth)"))
    sources = visitor.ask("return [...document.querySelectorAll('#there img')].map(i => i.src)")
    assert len(set(sources)) == 2
    before, after = (visitor.picture(f"#there img[src='{source}']") for source in sources)
    assert np.array_equal(before, np.asarray(Image.open(BEN))) and before.shape == after.shape
    changed = (before != after).any(-1)
    assert 0.1 < changed.mean() < 0.3 and not changed[:60].any()

    # the map is there already
    visitor.tab("Map")
    visitor.click("#map-run")
    visitor.says("#map-notice", "Largest person")
    assert visitor.wait(lambda: visitor.ask("return document.querySelectorAll('#map-pictures img').length")) == 5
    visitor.fits()


def test_wrong_files_are_refused_in_one_sentence_and_the_page_goes_on(visitor, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    visitor.upload(1, tmp_path / "notes.txt")
    visitor.says(".toast-wrap", "Invalid file type: notes.txt")
    # under a picture's name it goes further, up to our own reading
    (tmp_path / "notes.jpg").write_text("hello")
    visitor.upload(2, tmp_path / "notes.jpg")
    said = visitor.says("#found2 .problem", "notes.jpg is not an image")
    assert "/" not in said and "Traceback" not in said
    (tmp_path / "half.jpg").write_bytes(ANNA.read_bytes()[:9000])
    visitor.upload(2, tmp_path / "half.jpg")
    visitor.says("#found2 .problem", "half.jpg is damaged")
    Image.new("RGB", (8, 300)).save(tmp_path / "tiny.png")
    visitor.upload(2, tmp_path / "tiny.png")
    visitor.says("#found2 .problem", "tiny.png is 8 x 300 pixels: too small")
    (tmp_path / "large.jpg").write_bytes(bytes(26 << 20))
    visitor.upload(2, tmp_path / "large.jpg")
    visitor.says(".toast-wrap", "maximum allowed size of 25")
    Image.new("RGB", (300, 400), (70, 120, 190)).save(tmp_path / "sea.png")
    visitor.upload(2, tmp_path / "sea.png")
    visitor.says("#found2 .problem", "No person was found in sea.png")
    visitor.click("#swap-run")
    visitor.says("#swap-notice .problem", "Box 1 is empty")
    visitor.fits()

    visitor.click("#try")
    visitor.says("#swap-notice", "of photo 2 replaced")


def test_cancel_stops_the_work_and_the_page_goes_on(visitor):
    visitor.upload(1, ANNA)
    visitor.says("#found1", "Person found")
    visitor.tab("Turn")
    for place, value in (("frames", 72), ("size", 640)):
        script = """const box = document.querySelector(arguments[0]); box.value = arguments[1];
        box.dispatchEvent(new Event('input', {bubbles: true}))"""
        visitor.ask(script, f"#{place} input[type=number]", value)
    visitor.click("#turn-run")
    # in the middle of the film, not before it
    visitor.says("#film", "Picture ")
    visitor.click("#turn-stop")
    begin = time.monotonic()
    visitor.says("#turn-notice", "Stopped.")
    assert time.monotonic() - begin < 20
    visitor.wait(lambda: visitor.shown("#turn-run"))
    assert not visitor.shown("#turn-stop") and not visitor.shown("#film video")

    for place, value in (("frames", 12), ("size", 240)):
        visitor.ask(script, f"#{place} input[type=number]", value)
    visitor.click("#turn-run")
    visitor.says("#turn-notice", "12 pictures")
    visitor.wait(lambda: visitor.ask("return document.querySelector('#film video')?.videoHeight") == 240)
    visitor.fits()
