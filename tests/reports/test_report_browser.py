"""The report in headless Chromium: it works from the disk, without a network, with a mouse and with a keyboard."""

import shutil
import threading

import pytest
from report_runs import audit_of, make_run, pixels_of, results_of

import glad
from glad.reports.live import Server
from glad.runs.snapshots import write_snapshot
from glad.runs.storage import write_json

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH (Debian: apt install chromium)")
playwright = pytest.importorskip("playwright.sync_api", reason="no playwright (pip install playwright)")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        # The sandbox needs rights that containers lack; the pages are the tests' own.
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    runs = [make_run(folder / name, classes=("a", "b", "c", "d"), ipc=3) for name in ("one", "two")]
    for run in runs:
        write_json(run.path / "results.json", results_of(run.name, ipc=3))
    write_json(runs[0].path / "audit.json", audit_of(12))
    return glad.report(runs, folder / "page.html")


class ResolvedPrior:
    """A page and all that it complained of or asked for."""

    def __init__(self, browser, address, width=1280, **context):
        self.context = browser.new_context(viewport={"width": width, "height": 800}, **context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.complaints, self.asked = [], []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)

    def focused(self):
        return self.page.evaluate(
            "document.activeElement.closest('ul').id + ' ' + document.activeElement.dataset.number"
        )


@pytest.fixture
def open_page(browser):
    resolved = []

    def open_(address, **options):
        resolved.append(ResolvedPrior(browser, address, **options))
        return resolved[-1]

    yield open_
    for one in resolved:
        one.context.close()


def test_it_opens_from_the_disk_without_a_complaint_or_a_request(open_page, file):
    one = open_page(file.as_uri())
    for link in one.page.locator("nav a").all():
        link.click()
        target = one.page.locator(link.get_attribute("href"))
        top, bottom = one.page.evaluate("[scrollY, document.body.scrollHeight - innerHeight]")
        assert abs(target.bounding_box()["y"]) < 2 or abs(top - bottom) < 2  # there, or at the end of the page
    assert not one.complaints
    assert {url.partition(":")[0] for url in one.asked} <= {"file", "data"}
    assert [url for url in one.asked if url.startswith("file")] == [file.as_uri()]


def test_the_slider_and_the_buttons_show_the_run(open_page, file):
    page = open_page(file.as_uri()).page
    slider, image = page.locator("#run-1-film-slider"), page.locator("#run-1-film-middle img").nth(4)
    heading = page.locator("#run-1-film-middle-heading")
    first, last = (page.locator(f"#run-1-film-{place} img").nth(4) for place in ("first", "last"))
    assert heading.text_content() == "Best" and image.get_attribute("src") not in (None, first.get_attribute("src"))
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert image.get_attribute("src") == last.get_attribute("src") and heading.text_content() == "Iteration 40"
    assert slider.get_attribute("aria-valuetext").startswith("after 40 iterations, loss ")
    page.keyboard.press("Home")
    assert image.get_attribute("src") == first.get_attribute("src")
    assert image.get_attribute("alt") == "b, image 4, after 0 iterations"
    page.get_by_role("button", name="Best").first.click()
    assert heading.text_content() == "Best" and slider.input_value() == "1"
    assert page.locator("#run-2-film-slider").input_value() == "1"  # the other run has its own


def test_images_tell_what_they_are_to_the_mouse_and_the_keyboard(open_page, file):
    one = open_page(file.as_uri())
    page, tip = one.page, one.page.locator("#tip")
    page.locator("#run-1-film-last img").nth(5).hover()
    assert "image 5, label 1, last; nearest training image, in pixels: number 75" in tip.text_content()
    assert page.locator("#run-1-film-first img.twin").get_attribute("data-number") == "5"
    page.mouse.move(0, 0)
    assert tip.is_hidden() and page.locator(".twin").count() == 0
    page.locator("#run-1-film-slider").focus()
    page.keyboard.press("Tab")
    assert one.focused() == "run-1-film-first 0" and tip.is_visible()
    tops = page.evaluate("[...document.querySelectorAll('#run-1-film-first img')].map((img) => img.offsetTop)")
    columns = tops.count(tops[0])
    for key, number in (
        ("ArrowRight", 1),
        ("ArrowDown", 1 + columns),
        ("ArrowLeft", columns),
        ("End", 11),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        assert one.focused() == f"run-1-film-first {number}"
    page.keyboard.press("ArrowLeft")  # there is none
    assert one.focused() == "run-1-film-first 0"
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    page.keyboard.press("Tab")
    assert one.focused() == "run-1-film-middle 0"  # a grid is one stop


def test_light_dark_and_paper(open_page, file):
    def paper(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = (open_page(file.as_uri(), color_scheme=scheme).page for scheme in ("light", "dark"))
    assert paper(light) != paper(dark)
    switched = paper(dark)
    light.get_by_role("button", name="Dark", exact=True).click()
    assert paper(light) == switched and light.locator("#theme").text_content() == "Light"
    dark.emulate_media(media="print")
    assert paper(dark) == "rgb(255, 255, 255)" and dark.locator("nav").is_hidden()
    assert dark.locator("#run-1-film-last img").first.is_visible() and dark.locator(".controls").first.is_hidden()


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(open_page, file, width):
    one = open_page(file.as_uri(), width=width)
    assert one.page.evaluate("document.documentElement.scrollWidth") == width
    small = one.page.evaluate("Math.min(...[...document.querySelectorAll('button')].map((b) => b.offsetHeight))")
    assert small >= 36  # to hit with a thumb


def test_it_is_readable_without_scripts(open_page, file):
    page = open_page(file.as_uri(), java_script_enabled=False).page
    assert page.locator("#run-1-film-last img").first.is_visible()
    assert page.locator(".controls").first.is_hidden() and page.locator("#theme").is_hidden()


def test_what_others_named_does_not_run(open_page, tmp_path):
    hostile = "<script>alert('ran')</script><img src=x onerror=alert('ran')>"
    run = make_run(tmp_path / "toy", classes=(hostile, "b"), data=hostile)
    one = open_page(glad.report(run).as_uri())
    one.page.locator("#run-1-film-last img").first.hover()
    assert one.page.locator("#tip b").text_content() == hostile and not one.complaints


@pytest.fixture
def served(tmp_path):
    run = make_run(tmp_path / "toy", done=25, classes=("a", "b"))
    with Server([run]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield run, server
        server.shutdown()
        thread.join()


def test_a_live_page_follows_and_keeps_its_place(open_page, served):
    run, server = served
    one = open_page(server.url)
    page = one.page
    page.locator("#run-1-film-slider").fill("0")
    page.locator("#run-1-config summary").click()
    page.evaluate("scrollTo(0, 700)")
    page.locator("#run-1-film-slider").evaluate("(slider) => slider.focus({ preventScroll: true })")
    place = page.evaluate("scrollY")
    write_snapshot(run.path, 30, pixels_of(30, 4), run.read_set("initial")[1])
    for i in range(25, 31):
        run.add_metrics(i, {"loss": 1.0})
    page.get_by_text("Unfinished: 31 of 40 iterations").wait_for(timeout=20_000)
    page.locator("#run-1-film-last-note").get_by_text("after 30 iterations").wait_for(timeout=20_000)
    assert page.evaluate("scrollY") == place and page.evaluate("document.activeElement.id") == "run-1-film-slider"
    assert page.locator("#run-1-film-middle-note").text_content().startswith("after 0 iterations")
    assert page.locator("#run-1-config").get_attribute("open") is not None
    server.shutdown()
    server.server_close()
    page.get_by_text("No longer live").wait_for(timeout=20_000)
    assert all(url.startswith((server.url, "data:")) for url in one.asked)
    assert [said for said in one.complaints if "ERR_CONNECTION" not in said] == []
