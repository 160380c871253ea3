"""Tokens are made, listed and revoked on the command line, and open the pages of `flowstone serve`."""

from __future__ import annotations

import http.client
import json
import re
import signal
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from tests.cli.programs import finished, read_until, started

STORE = ("--store", "file://runs")

pytestmark = pytest.mark.usefixtures("shop")


def test_a_token_is_shown_once(cli, tmp_path):
    """On stdout alone, so that it can be piped; nothing later shows it, and the store does not have it."""
    made = cli("token", "create", "--role", "operate", "--name", "ada", *STORE)
    assert re.fullmatch(r"fst_[\w-]{43}\n", made.stdout)
    assert "shown this once" in made.stderr
    assert "start and stop what there is as ada" in made.stderr
    listed = cli("token", "list", *STORE)
    secret = made.stdout.strip()[4:]
    assert [line.split()[:2] for line in listed.stdout.splitlines()] == [["name", "role"], ["ada", "operate"]]
    assert secret not in listed.stdout + listed.stderr + made.stderr
    assert secret not in (tmp_path / "runs" / "journal.jsonl").read_text()


def test_what_cannot_be_made_is_said_as_it_was_written(cli):
    """An empty name is none, and an end that has been is named by its option."""
    for command in ("create", "revoke"):
        role = ("--role", "read") if command == "create" else ()
        refused = cli("token", command, *role, "--name", "", *STORE)
        assert refused.status != 0
        assert "None" not in refused.stderr
    over = cli("token", "create", "--role", "read", "--name", "ada", "--expires", "2020-01-01", *STORE)
    assert (over.status, "expires=" in over.stderr) == (2, False)
    assert "--expires 2020-01-01 is over already" in over.stderr
    assert "No tokens" in cli("token", "list", *STORE).stderr


def test_for_programs(cli):
    """Documents, with instants."""
    made = cli("token", "create", "ada", "--role", "read", "--expires", "90d", *STORE, "--json").document
    assert re.fullmatch(r"fst_[\w-]{43}", made.pop("token"))
    (known,) = cli("token", "list", *STORE, "--json").document["tokens"]
    assert known == made
    assert (known["name"], known["role"], known["used_at"], known["revoked_at"]) == (
        "ada",
        "read",
        None,
        None,
    )
    left = datetime.fromisoformat(known["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < left <= timedelta(days=90)
    revoked = cli("token", "revoke", "ada", *STORE, "--json").document
    assert revoked["revoked_at"] is not None
    assert "revoked just now" in cli("token", "list", *STORE).stdout


def test_a_name_is_free_again_when_its_token_is_revoked(cli):
    """So that a token can be replaced by another one."""
    make = ("token", "create", "--role", "read", "--name", "ci", *STORE)
    cli(*make)
    taken = cli(*make)
    assert (taken.status != 0, "There is a token ci already" in taken.stderr) == (True, True)
    assert cli("token", "revoke", "ci", *STORE).stdout.startswith("ci is worth nothing from now on")
    assert cli(*make).status == 0
    assert "There is no token cj" in cli("token", "revoke", "cj", *STORE).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create",), "takes a role and a name"),
        (("create", "--name", "a"), "takes a role and a name"),
        (("create", "a", "--name", "b", "--role", "read"), "takes a role and a name"),
        (("create", "--name", "a", "--role", "root"), "A role is read, operate, admin, not root"),
        (("create", "--name", "local", "--role", "read"), "is not 'local'"),
        (("create", "--name", "a b", "--role", "read"), "The name of a token"),
        (("create", "--name", "a", "--role", "read", "--expires", "soon"), "--expires soon is no time"),
        (("create", "--name", "a", "--role", "read", "--expires", "2001-01-01"), "is over already"),
        (("list", "a"), "takes nothing else"),
        (("revoke",), "takes the name of a token"),
    ],
)
def test_what_makes_no_sense_is_refused(cli, arguments, said):
    """And nothing has changed."""
    refused = cli("token", *arguments, *STORE)
    assert refused.status == 2
    assert said in refused.stderr
    assert "No tokens in file://runs" in cli("token", "list", *STORE).stderr


def test_tokens_of_a_database(cli, database):
    """Made, listed and revoked by any process, whatever nodes do meanwhile."""
    at = ("--store", database)
    assert cli("token", "create", "--role", "admin", "--name", "ada", *at).stdout.startswith("fst_")
    assert "ada" in cli("token", "list", *at).stdout
    assert cli("token", "revoke", "ada", *at).status == 0


def ask(url, method, path, *, host=None, token=None, body=None):
    """A request as it is, and the answer's status and document."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
    headers = {"Host": host or place.netloc, "Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
    answer = connection.getresponse()
    document = json.loads(answer.read())
    connection.close()
    return answer.status, document


def test_a_server_asks_for_tokens(tmp_path, cli):
    """It says how to make one; while it holds a file, it makes them itself."""
    options = ("--host", "0.0.0.0", "--allow-host", "flow.example.com", "--store", "file://runs")
    with started(tmp_path, "serve", "shop.py", *options, FLOWSTONE_LISTEN_PORT="0") as process:
        url = process.stdout.readline().strip()
        said = read_until(process, "Nobody can look from elsewhere yet")
        assert "flowstone token create --role operate --name NAME --store file://runs" in said
        read_until(process, "works for")
        held = cli("token", "create", "--role", "read", "--name", "ada", *STORE)
        assert (held.status, "share. Ask the `flowstone serve` that holds it" in held.stderr) == (1, True)
        local = f"127.0.0.1:{urlsplit(url).port}"
        status, made = ask(url, "POST", "/api/v1/tokens", host=local, body={"name": "ada", "role": "read"})
        assert status == 201
        status, refused = ask(url, "GET", "/api/v1/assets", host="flow.example.com")
        assert (status, "This needs a token" in refused["detail"]) == (401, True)
        status, refused = ask(url, "GET", "/api/v1/assets", host="flow.example.com", token="fst_wrong")
        assert (status, "This token is worth nothing" in refused["detail"]) == (401, True)
        assert ask(url, "GET", "/api/v1/assets", host="flow.example.com", token=made["token"])[0] == 200
        assert ask(url, "GET", "/api/v1/tokens", host=local, token=made["token"])[0] == 403
        assert ask(url, "GET", "/api/v1/assets", host="evil.example", token=made["token"])[0] == 400
        assert "ada" in cli("token", "list", *STORE).stdout
        assert ask(url, "DELETE", "/api/v1/tokens/ada", host=local)[0] == 200
        assert ask(url, "GET", "/api/v1/assets", host="flow.example.com", token=made["token"])[0] == 401
        process.send_signal(signal.SIGTERM)
        assert finished(process)[0] == 0


def test_a_server_behind_a_proxy_knows_nobody(tmp_path):
    """Not at this machine either, with `--no-open-on-loopback`."""
    options = ("--no-open-on-loopback", "--store", "file://runs")
    with started(tmp_path, "serve", "shop.py", *options, FLOWSTONE_LISTEN_PORT="0") as process:
        url = process.stdout.readline().strip()
        read_until(process, "works for")
        assert ask(url, "GET", "/api/v1/assets")[0] == 401
        assert ask(url, "GET", "/healthz") == (200, {"status": "ok"})
