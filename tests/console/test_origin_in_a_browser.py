"""An object opened by a logged-in administrator in a real browser: what its scripts and forms can do to the console.

Each object tries to read a page of the console, to create an API key, to frame the console, and to read, set and
overwrite its cookies. It logs each success on the browser's console. Afterwards the test checks the cookies and the
keys.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..browser import chromium
from ..packaging.test_django_project import SERVERS, Project
from ..servers import Server

USER, PASSWORD = "console", "only for tests, and long"
MAKE_ADMIN = f"""
from django.contrib.auth import get_user_model
users = get_user_model().objects
users.filter(username={USER!r}).exists() or users.create_superuser({USER!r}, password={PASSWORD!r})
"""

ATTACK = """
const add = CONSOLE + "post3/apikey/add/";
const say = what => console.log("WORKED: " + what);
const wait = ms => new Promise(done => setTimeout(done, ms));
(async () => {
  say("run a script");
  try { if (/post3_|sessionid|csrf/.test(document.cookie)) say("read a cookie"); } catch (refused) {}
  try {
    const page = await (await fetch(add, {credentials: "include"})).text();
    if (page.includes("csrfmiddlewaretoken")) say("read a page");
    const token = /csrfmiddlewaretoken" value="(\\w+)"/.exec(page)[1];
    const user = /<option value="(\\d+)"[^>]*>console</.exec(page)[1];
    const form = new URLSearchParams({csrfmiddlewaretoken: token, user: user, name: "stolen"});
    const made = await (await fetch(add, {method: "POST", body: form, credentials: "include"})).text();
    if (/AWS_SECRET_ACCESS_KEY=\\w/.test(made)) say("made a key and read its secret");
  } catch (refused) {}
  try {
    const known = "a".repeat(32);
    for (const path of ["/", "/_/", "/_/admin/", "/s3/_/admin/"])
      for (const name of ["post3_csrf", "csrftoken", "post3_session", "sessionid"])
        document.cookie = name + "=" + known + "; path=" + path;
    if (document.cookie.includes(known)) say("set a cookie");
    for (const user of [1, 2, 3]) {
      const form = new URLSearchParams({csrfmiddlewaretoken: known, user: user, name: "stolen"});
      await fetch(add, {method: "POST", mode: "no-cors", body: form, credentials: "include"});
    }
  } catch (refused) {}
  try {
    const frame = document.createElementNS("http://www.w3.org/1999/xhtml", "iframe");
    frame.src = CONSOLE;
    (document.body || document.documentElement).append(frame);
    await wait(1000);
    if (frame.contentDocument.body.textContent.includes("Log out")) say("read a frame");
  } catch (refused) {}
  try {
    const opened = window.open(CONSOLE);
    await wait(1000);
    if (opened.document.body.textContent.includes("Log out")) say("read a window");
  } catch (refused) {}
})();
"""
FORM = """<form method="post" action="{console}post3/apikey/add/" target="_blank"><input name="user" value="1"/>\
<input name="csrfmiddlewaretoken" value="{known}"/><input name="name" value="stolen"/><input id="s" type="submit"/></form>"""
HTML = '<!doctype html><meta charset="utf-8"><title>A report</title><body>{form}<script>{script}</script></body>'
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100"><rect width="100" height="100" fill="red"/>\
<script><![CDATA[{script}]]></script></svg>"""
OBJECTS = {"html": (HTML, "text/html"), "svg": (SVG, "image/svg+xml")}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def site(make_server: Callable[..., Server]) -> Server:
    """Start the site as `serve` and gunicorn do, with the console on another port of the same host."""
    server = make_server("sqlite-files")
    server.manage("shell", "-v", "0", "-c", MAKE_ADMIN)
    return server


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Yield a project that mounts S3 and the console on one origin."""
    project = Project(tmp_path_factory.mktemp("mounted"), SERVERS["uvicorn on SQLite and files"], "")
    project.manage("shell", "-v", "0", "-c", MAKE_ADMIN)
    yield project
    project.process.terminate()
    project.process.wait(30)


def log_in(context: Any, console: str) -> Any:
    page = context.new_page()
    page.goto(console)
    page.fill("#id_username", USER)
    page.fill("#id_password", PASSWORD)
    page.click("[type=submit]")
    assert page.locator("text=API keys").count(), page.content()
    return page


def attack(context: Any, s3: Any, console: str, kind: str) -> list[str]:
    """Open an object that attacks the console. Return the successes it logged."""
    template, content_type = OBJECTS[kind]
    script = f"const CONSOLE = {console!r};{ATTACK}"
    body = template.replace("{form}", FORM.format(console=console, known="a" * 32)).replace("{script}", script)
    s3.create_bucket(Bucket=f"evil-{kind}")
    s3.put_object(Bucket=f"evil-{kind}", Key="report", Body=body.encode(), ContentType=content_type)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": f"evil-{kind}", "Key": "report"})
    page, said = context.new_page(), []
    context.on("console", lambda message: said.append(message.text))
    answer = page.goto(url)
    assert answer.status == 200 and answer.headers["content-type"] == content_type
    page.wait_for_timeout(4000)
    if kind == "html":
        page.click("#s")
        page.wait_for_timeout(1000)
    return [text.removeprefix("WORKED: ") for text in said if text.startswith("WORKED: ")]


def check_nothing_happened(context: Any, manage: Callable[..., str], console: str, before: list[dict[str, Any]]) -> None:
    assert context.cookies() == before
    assert "stolen" not in manage("list_api_keys")
    page = context.new_page()
    page.goto(f"{console}post3/apikey/")
    assert "/login/" not in page.url and page.locator("text=Log out").count(), page.url


@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_does_nothing_to_the_console_on_another_port(browser: Any, site: Server, kind: str) -> None:
    console = f"{site.console_url}/_/admin/"
    context = browser.new_context()
    log_in(context, console)
    before = context.cookies()
    assert attack(context, site.client(signature_version="s3v4"), console, kind) == []
    check_nothing_happened(context, site.manage, console, before)
    context.close()


@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_does_nothing_to_a_console_mounted_on_its_own_origin(browser: Any, mounted: Project, kind: str) -> None:
    console = f"{mounted.url}/s3/_/admin/"
    context = browser.new_context()
    log_in(context, console)
    before = context.cookies()
    assert attack(context, mounted.client(), console, kind) == []
    check_nothing_happened(context, mounted.manage, console, before)
    context.close()
