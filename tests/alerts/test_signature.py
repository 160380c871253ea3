"""Signatures: made and checked as the standard has it."""

from __future__ import annotations

import base64

import pytest

from flowstone.alerts import SignatureError, sign, verify_signature

BODY = b'{"kind": "run.failed"}'
NOW = 1_700_000_000


def signed(secret="hush", *, id="evt_1", at=NOW, body=BODY):  # noqa: A002 - the standard's word
    """Headers of a request."""
    return {
        "Webhook-Id": id,
        "webhook-timestamp": str(at),
        "WEBHOOK-SIGNATURE": sign(secret, id, at, body),
    }


def test_the_example_of_the_standard():
    """As published with the Standard Webhooks specification's libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_was_signed_is_accepted():
    """And gives the id, by which a repetition is known; whatever the case of the headers."""
    assert verify_signature("hush", signed(), BODY, now=NOW + 5) == "evt_1"
    assert verify_signature(b"hush", signed(), BODY, now=NOW) == "evt_1"


def test_a_secret_may_be_replaced():
    """While it is, there are several signatures, of which one is enough."""
    headers = signed()
    headers["WEBHOOK-SIGNATURE"] = f"v1,bm90aGluZw== v2,x {headers['WEBHOOK-SIGNATURE']}"
    assert verify_signature("hush", headers, BODY, now=NOW) == "evt_1"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda headers: headers.pop("Webhook-Id"), "no header webhook-id"),
        (lambda headers: headers.update({"webhook-timestamp": "x"}), "no number"),
        (lambda headers: headers.update({"webhook-timestamp": str(NOW + 1)}), "not signed"),
        (lambda headers: headers.update({"Webhook-Id": "evt_2"}), "not signed"),
        (lambda headers: headers.update({"WEBHOOK-SIGNATURE": ""}), "not signed"),
        (lambda headers: headers.update({"WEBHOOK-SIGNATURE": "v1,ä"}), "not signed"),
    ],
)
def test_what_was_changed_is_refused(change, complaint):
    """Whatever it is."""
    headers = signed()
    change(headers)
    with pytest.raises(SignatureError, match=complaint):
        verify_signature("hush", headers, BODY, now=NOW)


def test_another_body_secret_or_time_is_refused():
    """What somebody has recorded cannot be sent again later."""
    with pytest.raises(SignatureError, match="not signed"):
        verify_signature("hush", signed(), BODY + b" ", now=NOW)
    with pytest.raises(SignatureError, match="not signed"):
        verify_signature("other", signed(), BODY, now=NOW)
    with pytest.raises(SignatureError, match="301 s ago"):
        verify_signature("hush", signed(), BODY, now=NOW + 301)
    with pytest.raises(SignatureError, match="repetition"):
        verify_signature("hush", signed(), BODY, now=NOW - 301)
    assert verify_signature("hush", signed(), BODY, now=NOW + 900, tolerance=1000)


@pytest.mark.parametrize("secret", ["", b"", "whsec_", "whsec_$$$", b"whsec_", b"whsec_$$$", "whsec_é"])
def test_what_is_no_secret_is_refused(secret):
    """Nothing is signed with nothing."""
    with pytest.raises(ValueError, match="secret"):
        sign(secret, "id", NOW, BODY)


def test_a_secret_may_be_given_as_base64():
    """As the standard has it."""
    encoded = "whsec_" + base64.b64encode(b"hush").decode()
    assert sign(encoded, "id", NOW, BODY) == sign(b"hush", "id", NOW, BODY)
    assert sign(encoded.encode(), "id", NOW, BODY) == sign(b"hush", "id", NOW, BODY)
