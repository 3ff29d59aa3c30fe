"""The page at `/`, in a real browser: at desktop and phone width, in light and dark colours, and without any."""

import json
import re
import shutil
import urllib.request

import pytest

from browser import DESKTOP, PHONE, Browser
from servers.tools import wait_until
from tenants import PATIENT, tenant_maker, tenants  # noqa: F401
from watched import acknowledge, add_consumer

# Every text that shows: its colour against what lies behind it, by WCAG's formula; those that are too faint for their size.
_FAINT = """(() => {
  const parts = (text) => text.match(/[0-9.]+/g).map(Number);
  const light = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const found = parts(getComputedStyle(element).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const faint = [];
  let count = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.getClientRects().length || element.closest("noscript")) continue;
    count += 1;
    const style = getComputedStyle(element);
    const [a, b] = [light(parts(style.color)), light(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const isLarge = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) faint.push(node.data + ": " + ratio.toFixed(2));
  }
  return { faint, count };
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chromium")
    with Browser(folder) as browser:
        yield browser
    shutil.rmtree(folder, ignore_errors=True)


def _open(browser, streamer, size=DESKTOP, is_dark: bool = False):
    """The page of a streamer, as soon as it shows something."""
    page = browser.page(f"http://{streamer.http}/", *size, is_dark=is_dark, is_phone=size == PHONE)
    page.wait_for("document.getElementById('state-word')?.textContent !== 'Loading' && document.readyState === 'complete'", "the page shows something")
    return page


def _started(tenant):
    streamer = tenant.streamer
    # Ten samples a second; else one in ten seconds.
    streamer.keep_other_times(watch=200, progress=600)
    streamer.start()
    return streamer


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_shows_what_the_streamer_says(one_pair, tenants, browser, size, is_dark):
    tenant = tenants(one_pair, overrides=PATIENT)
    add_consumer(tenant.nats, tenant.name, "email-handler")
    streamer = _started(tenant)
    tenant.commit_each(1, 180)
    tenant.wait_stored(180)
    acknowledge(tenant.nats, tenant.name, "email-handler", 180)
    # For a while nothing is stored.
    tenant.nats.pause()
    tenant.commit_each(181, 200)
    wait_until(lambda: max(seconds or 0 for seconds in json.loads(streamer.get("/recent"))["lag_seconds"]) > 1.5, 30, "it lags")
    tenant.nats.resume()
    tenant.wait_stored(200)
    tenant.wait_confirmed()
    acknowledge(tenant.nats, tenant.name, "email-handler", 20)
    page = _open(browser, streamer, size, is_dark)
    page.wait_for("document.getElementById('consumers').innerText.includes('has read all')", "the consumers are there")
    page.wait_for("document.querySelector('#rate-chart .curve')?.getAttribute('d').length > 100", "there are samples")
    page.wait_for("document.getElementById('stream').textContent.startsWith('200 ')", "the stream was looked at")

    assert page.text("state").split("\n")[0].strip() == "● Streaming"
    said = streamer.status()
    assert page.text("route") == f"{tenant.name}, slot {tenant.name} → stream {tenant.name}"
    positions = page.text("positions")
    assert said["source"]["stored_lsn"] in positions and "sequences 1 to 200" in positions
    consumer = re.sub(r"\s+", " ", page.text("consumers"))
    assert "fraiseql_observer_worker" in consumer and "has never read" in consumer and "email-handler" in consumer
    events = page.text("events")
    assert "Item" in events and "INSERT" in events and tenant.events()[-1].json["id"] in events
    for chart in ("lag-chart", "rate-chart"):
        assert re.search(r"now .+, highest .+ at [0-9:]{8}", page.text(chart)), "in words too"
    highest = re.search(r"highest ([0-9.]+) s at", page.text("lag-chart"))
    assert float(highest[1]) >= 1.5, page.text("lag-chart")
    assert page.text("errors").strip() == "none since the start"

    assert page.complaints() == []
    assert {(method, url.removeprefix(f"http://{streamer.http}/")) for method, url in page.requests()} == {
        ("GET", ""), ("GET", "page.css"), ("GET", "page.js"), ("GET", "status"), ("GET", "recent")}
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
    contrast = page.evaluate(_FAINT)
    assert contrast["count"] > 60 and contrast["faint"] == [], contrast
    # The colours are those that were asked for.
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == is_dark, background


def test_every_state_has_words_and_a_mark_of_its_own(one_pair, tenants, browser):
    tenant = tenants(one_pair)
    streamer, standby = _started(tenant), tenant.another()
    standby.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    assert _open(browser, standby).text("state").strip() == "◆ Standing by another streamer holds the slot"
    assert standby.terminate() == 0
    page = _open(browser, streamer)
    tenant.nats.kill()
    page.wait_for("document.getElementById('state-word').textContent === 'Not ready'", "it says that it is not ready")
    assert "▲ Not ready" in page.text("state") and "not connected to NATS" in page.text("reasons")
    page.wait_for("document.getElementById('errors').innerText.includes('disconnected from NATS')", "the error is there")
    streamer.kill()
    page.wait_for("document.getElementById('state-word').textContent === 'No answer'", "it says that nobody answers")
    assert "■ No answer since" in page.text("state")


def test_a_person_who_uses_no_colours_or_no_mouse_reads_it_too(one_pair, tenants, browser):
    tenant = tenants(one_pair)
    streamer = _started(tenant)
    tenant.commit_each(1, 3)
    tenant.wait_confirmed()
    page = _open(browser, streamer, PHONE)
    page.wait_for("document.querySelectorAll('table').length >= 2", "the tables are there")
    nodes = [node for node in page.call("Accessibility.getFullAXTree")["nodes"] if not node.get("ignored")]
    roles = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes]
    # Cards on a narrow screen are a table all the same.
    tables = [name for role, name in roles if role == "table"]
    assert {"Consumers", "Latest events"} <= set(tables)
    assert {role for role, _ in roles} >= {"banner", "main", "contentinfo", "status", "columnheader", "cell", "row"}
    assert [name for role, name in roles if role in ("link", "heading", "table", "columnheader") and not name] == []
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((heading) => heading.tagName)")
    assert levels[0] == "H1" and set(levels[1:]) == {"H2"}
    assert page.evaluate("document.documentElement.lang") == "en" and tenant.name in page.evaluate("document.title")
    # What a word says is not left to its colour.
    assert page.evaluate("[...document.querySelectorAll('.word, .mark')].every((word) => word.textContent.trim())")


def test_names_of_others_are_text_and_nothing_else(one_pair, tenants, browser):
    tenant = tenants(one_pair)
    tenant.run('CREATE TABLE "tb_<img src=x onerror=alert(1)>" (n BIGINT PRIMARY KEY)')
    tenant.run(f'ALTER PUBLICATION {tenant.name} ADD TABLE "tb_<img src=x onerror=alert(1)>"')
    streamer = _started(tenant)
    tenant.run('INSERT INTO "tb_<img src=x onerror=alert(1)>" VALUES (1)')
    tenant.wait_stored(1)
    page = _open(browser, streamer)
    page.wait_for("document.getElementById('events').innerText.includes('<img src=x onerror=alert(1)>')", "it is shown as it is")
    assert page.evaluate("document.images.length") == 0 and page.complaints() == []
    # What somebody else would put into the page does not run.
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.isHurt = true\">')")
    wait_until(lambda: any("Content Security Policy" in said for said in page.complaints()), 20, "the browser refuses it")
    assert not page.evaluate("window.isHurt === true")


def test_the_page_is_strict_about_what_it_takes(one_pair, tenants):
    tenant = tenants(one_pair)
    streamer = _started(tenant)
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        with urllib.request.urlopen(f"http://{streamer.http}{path}", timeout=10) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert answer.headers["Content-Type"].startswith(kind) and answer.headers["X-Content-Type-Options"] == "nosniff"
            assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "*" not in policy
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", answer.read().decode()), "nothing from elsewhere"
