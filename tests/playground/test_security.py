"""Only a page that the server sent, opened by whoever has the token, is answered."""

import pytest
from websockets.exceptions import InvalidStatus

from kerasinit._src.playground import page_files
from kerasinit._src.playground.security import ServedAddress
from tests.playground.conftest import TOKEN, hear, tell

PATHS = ("/", "/options", "/static/page.css", "/nowhere", "/favicon.ico")


def test_the_page_comes_with_its_token(served):
    status, headers, body = served.ask(f"/?token={TOKEN}")

    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert body.decode() == page_files.page()
    # Opened by a link or typed, there is no origin.
    assert served.ask(f"/?token={TOKEN}", Origin=None)[0] == 200


@pytest.mark.parametrize("query", ["", "?token=", "?token=x", "?token=ä", "?token=a-token&token=x"])
def test_without_the_token_only_files_of_the_page_are_sent(served, query):
    for path in ("/", "/options", "/nowhere"):
        status, _, body = served.ask(f"{path}{query.replace('ä', '%C3%A4')}")
        assert status == 403
        assert "Open the address that `kerasinit playground` printed" in body.decode()
    assert served.ask(f"/upload{query.replace('ä', '%C3%A4')}", "POST", b"1,2,a")[0] == 403
    assert served.ask("/static/page.css")[0] == 200
    assert served.ask("/static/security.py")[0] == 404
    assert served.ask("/static/..%2fsecurity.py")[0] == 404
    with pytest.raises(InvalidStatus) as refused:
        served.connect(token="x")
    assert refused.value.response.status_code == 403
    assert b"token in the address is missing or wrong" in refused.value.response.body


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "x@127.0.0.1:{port}"],
)
def test_a_foreign_host_is_refused(served, host):
    host = host.format(port=served.address.port)

    for path in PATHS:
        status, _, body = served.ask(f"{path}?token={TOKEN}", Host=host, Origin=f"http://{host}")
        assert status == 421
        assert host in body.decode()
        assert "--host" in body.decode()
    if "@" not in host:
        with pytest.raises(InvalidStatus) as refused:
            served.connect(host=host, origin=f"http://{host}")
        assert refused.value.response.status_code == 421


def test_a_foreign_origin_is_refused(served):
    same_but_name = f"http://localhost:{served.address.port}"
    for origin in ("http://evil.example", "null", f"https://{served.host}", same_but_name):
        for path, method in (("/", "GET"), ("/options", "GET"), ("/upload", "POST")):
            status, headers, body = served.ask(
                f"{path}?token={TOKEN}", method, b"" if method == "POST" else None, Origin=origin
            )
            assert status == 403
            assert f"comes from {origin}" in body.decode()
            assert "Access-Control-Allow-Origin" not in headers
        with pytest.raises(InvalidStatus) as refused:
            served.connect(origin=origin)
        assert refused.value.response.status_code == 403


def test_what_changes_something_needs_an_origin(served):
    assert served.ask(f"/upload?token={TOKEN}", "POST", b"", Origin=None)[0] == 403
    assert served.ask(f"/?token={TOKEN}", "DELETE", Origin=None)[0] == 403
    with pytest.raises(InvalidStatus) as refused:
        served.connect(origin=None)
    assert b"no page" in refused.value.response.body


def test_the_names_of_this_machine_are_served(served):
    for name in ("localhost", "127.0.0.1", "LOCALHOST", "[::1]"):
        host = f"{name}:{served.address.port}"
        assert served.ask(f"/?token={TOKEN}", Host=host, Origin=f"http://{host}")[0] == 200
    host = f"localhost:{served.address.port}"
    with served.connect(host=host, origin=f"http://{host}") as page:
        tell(page, do="pause")
        assert hear(page)["is"] == "echo"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        *((f"{path}?token={TOKEN}", {}) for path in PATHS),
        ("/", {}),
        (f"/?token={TOKEN}", {"Host": "evil.example"}),
        (f"/upload?token={TOKEN}", {}),
    ],
)
def test_every_response_has_the_headers(served, path, headers):
    _, found, _ = served.ask(path, **headers)

    policy = found["Content-Security-Policy"]
    assert policy == page_files.policy()
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert found["X-Content-Type-Options"] == "nosniff"
    assert found["Referrer-Policy"] == "no-referrer"
    assert found["Cross-Origin-Opener-Policy"] == "same-origin"
    assert found["Cross-Origin-Resource-Policy"] == "same-origin"
    assert found["Cache-Control"] == "no-store"
    assert "Server" not in found


@pytest.mark.parametrize(
    ("host", "port", "served", "refused"),
    [
        ("127.0.0.1", 80, ["127.0.0.1", "localhost:80"], ["127.0.0.1:8", "evil.example"]),
        ("::1", 8, ["[::1]:8", "localhost:8"], ["::1:8", "[::1]", "[::2]:8"]),
        ("Box.lan", 8, ["box.lan:8", "BOX.LAN:8"], ["box.lan", "box.lan.evil.example:8"]),
        ("0.0.0.0", 8, ["192.168.1.5:8", "[fe80::1]:8", "localhost:8"], ["evil.example:8", ":8"]),
        (
            "::",
            8,
            ["192.168.1.5:8", "[2001:db8::1]:8"],
            ["evil.example:8", "fe80::1:8", "[1.2.3.4]:8"],
        ),
        ("192.168.1.5", 8, ["192.168.1.5:8"], ["192.168.1.6:8", "evil.example:8", ""]),
    ],
)
def test_the_hosts_that_an_address_serves(host, port, served, refused):
    address = ServedAddress(host, port, TOKEN)

    assert [name for name in served if not address.serves(name)] == []
    assert [name for name in refused if address.serves(name)] == []


@pytest.mark.parametrize(
    ("host", "url", "is_loopback"),
    [
        ("127.0.0.1", "http://127.0.0.1:8/?token=a-token", True),
        ("localhost", "http://localhost:8/?token=a-token", True),
        ("::1", "http://[::1]:8/?token=a-token", True),
        ("127.5.5.5", "http://127.5.5.5:8/?token=a-token", True),
        ("0.0.0.0", "http://127.0.0.1:8/?token=a-token", False),
        ("::", "http://127.0.0.1:8/?token=a-token", False),
        ("box.lan", "http://box.lan:8/?token=a-token", False),
    ],
)
def test_the_address_to_open(host, url, is_loopback):
    address = ServedAddress(host, 8, TOKEN)

    assert address.url == url
    assert address.is_loopback == is_loopback
    assert address.serves(url.split("/")[2])
