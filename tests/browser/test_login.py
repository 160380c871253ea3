"""A browser logs in and out by clicking; what it changes carries the word of its page."""

from __future__ import annotations

from fastapi.responses import RedirectResponse, Response

from flowstone import Pipeline
from flowstone.server import ServerOptions
from flowstone.server.access.guard import Operator
from tests.browser.test_overview import shop

CLOSED = ServerOptions(open_on_loopback=False)


async def test_logging_in_leads_to_the_page_that_was_asked_for(site):
    """And out again; a wrong token is said to be one."""
    async with site(shop(), options=CLOSED) as visited:
        token = await visited.runtime.create_token("ada", "operate")
        page = await visited.open("/?theme=dark")
        await page.get_by_label("Token").fill("wrong")
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_role("alert").get_by_text("no token").wait_for()
        visited.problems.clear()  # The console has the status of that answer.
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_text("Nothing has been made yet.").wait_for()
        assert page.url == f"{visited.url}/?theme=dark"
        await page.get_by_role("button", name="Log out").click()
        await page.get_by_label("Token").wait_for()
        await page.goto(f"{visited.url}/")
        await page.get_by_label("Token").wait_for()


async def test_a_phone_has_the_rest_behind_the_last_tab(site):
    """The other pages and the way out; it closes by escape."""
    async with site(shop(), options=CLOSED) as visited:
        token = await visited.runtime.create_token("ada", "read")
        page = await visited.open("/", width=390, height=844)
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Log in").click()
        more = page.locator(".tabbar summary")
        await more.click()
        await page.locator(".tabbar").get_by_role("link", name="Automation").click()
        await page.wait_for_url("**/automation")
        await more.click()
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Log out").wait_for(state="hidden")
        await more.click()
        await page.get_by_role("button", name="Log out").click()
        await page.get_by_label("Token").wait_for()


async def test_whoever_is_logged_out_meanwhile_is_led_to_the_login(site):
    """By the page that is open, when its stream ends."""
    async with site(shop(), options=CLOSED) as visited:
        token = await visited.runtime.create_token("ada", "read")
        page = await visited.open("/")
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_text("Nothing has been made yet.").wait_for()
        await visited.runtime.revoke_token("ada")
        await page.get_by_label("Token").wait_for()
        visited.problems.clear()


async def test_what_a_page_changes_carries_its_word(site):
    """By a form and by htmx, at this machine as well."""
    async with site(Pipeline("empty")) as visited:
        done = []

        @visited.app.post("/change")
        async def change(_: Operator, how: str) -> Response:
            done.append(how)
            return RedirectResponse("/", 303) if how == "form" else Response(how, media_type="text/html")

        page = await visited.open("/")
        await page.evaluate(
            """() => {
            const button = document.createElement("button");
            button.setAttribute("hx-post", "/change?how=htmx");
            button.setAttribute("hx-target", "#say");
            document.querySelector("main").append(button);
            htmx.process(button);
            button.click();
        }"""
        )
        await page.locator("#say", has_text="htmx").wait_for(state="attached")
        async with page.expect_navigation():
            await page.evaluate(
                """() => {
                const form = document.createElement("form");
                form.method = "post";
                form.action = "/change?how=form";
                form.append(document.createElement("button"));
                document.querySelector("main").append(form);
                form.querySelector("button").click();
            }"""
            )
        assert done == ["htmx", "form"]
