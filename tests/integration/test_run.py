"""What one command asks of others, and that nothing of it is left when it has ended."""

from __future__ import annotations

import json
import signal
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import registry as registries
from tests.support.cache import needs_apt, with_packages
from tests.support.forwarding import Forwarder, forwarding
from tests.support.registry import PASSWORD, USER, needs_openssl
from tests.support.servers import TokenServer, token_server
from tests.support.site import Site, echo_site
from tests.support.slow import cases

pytestmark = needs_apt

_HELPER = """#!/bin/sh
echo asked >> "$HOME/helper.log"
echo '{{"Username": "{user}", "Secret": "{password}"}}'
"""


@dataclass(frozen=True)
class Guarded:
    """A registry that speaks TLS and wants tokens, and the site of a user whose account a credential helper knows."""

    site: Site
    tokens: TokenServer
    forwarder: Forwarder

    def publish(self) -> tuple[str, list[str], list[list[str]], int]:
        """Publish. Returns: the reference, each call of the helper, the scopes of each token, and the connections."""
        log = self.site.home / "helper.log"
        log.unlink(missing_ok=True)
        self.tokens.queries.clear()
        self.forwarder.connections = 0
        done = self.site.invoke("publish")
        assert done.returncode == 0, done.stderr
        scopes = [query.get("scope", []) for query in self.tokens.queries]
        return done.stdout, log.read_text("utf-8").split(), scopes, self.forwarder.connections


@pytest.fixture
def guarded(tmp_path: Path, cache: Path) -> Iterator[Guarded]:
    """A registry to publish to, as those of clouds are."""
    registries.make_certificate(tmp_path)
    with token_server(tmp_path) as tokens:
        running = registries.running(tmp_path / "registry", token=tokens.settings(tmp_path), tls=True)
        with running as registry, forwarding(registry.host) as forwarder:
            assert registry.certificate
            # The usual ones, too: what is built may have to be fetched.
            places = (ssl.get_default_verify_paths().cafile, "/etc/ssl/certs/ca-certificates.crt")
            usual = next((place for place in places if place and Path(place).is_file()), None)
            bundle = tmp_path / "bundle.pem"
            bundle.write_text(
                registry.certificate.read_text() + (Path(usual).read_text("utf-8", "replace") if usual else "")
            )
            helper = tmp_path / "bin" / "docker-credential-tests"
            helper.parent.mkdir()
            helper.write_text(_HELPER.format(user=USER, password=PASSWORD))
            helper.chmod(0o755)
            site = echo_site(
                tmp_path / "site", cache, REGISTRY=f"https://{forwarder.host}/team", SSL_CERT_FILE=str(bundle)
            )
            (site.home / ".docker").mkdir()
            (site.home / ".docker" / "config.json").write_text(json.dumps({"credsStore": "tests"}))
            path = {"PATH": f"{helper.parent}:{site.env['PATH']}"}
            yield Guarded(Site(site.folder, site.home, site.cache, {**site.settings, **path}), tokens, forwarder)


@needs_openssl
def test_a_registry_is_asked_once_for_what_lasts(guarded: Guarded) -> None:
    """One look for the account, one token for each scope; no more connections than are used at once."""
    scopes: list[list[str]] = [[], ["repository:team/echo:pull,push"]]
    reference, helper, asked, connections = guarded.publish()
    assert (helper, asked) == (["asked"], scopes)
    assert connections <= 4
    # Where nothing is to be sent, questions come one after the other.
    assert guarded.publish() == (reference, ["asked"], scopes, 1)


@pytest.fixture
def first(tmp_path: Path) -> Site:
    """A site whose base is yet to be made, which begins while the Bento is being built."""
    own = tmp_path / "cache" / "bentoship"
    own.mkdir(parents=True)
    with_packages(own)
    return echo_site(tmp_path / "site", tmp_path / "cache")


@pytest.mark.parametrize(
    "how", cases({how.name: how for how in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}, "SIGHUP")
)
def test_a_signal_leaves_nothing_in_the_background(first: Site, how: signal.Signals) -> None:
    """Neither the process that makes a base nor any that it has started; a terminal that is closed stops it, too."""
    running = first.start("containerize")
    end = time.monotonic() + 60
    while not all(
        any(part in command for command in processes_of(first)) for part in ("bases.background", "bento.child")
    ):
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(0.3)  # by now both are waited for
    running.send_signal(how)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out) == (128 + how, "")
    assert "Stopped" in err
    assert processes_of(first) == []


@pytest.mark.slow  # a signal ends it in the same way
def test_an_error_leaves_nothing_in_the_background(first: Site) -> None:
    """A Bento that cannot be built ends the command while its base is still being made."""
    (first.folder / "service.py").write_text("import nothing_like_this\n", "utf-8")
    done = first.invoke("containerize")
    assert done.returncode == 1
    assert "assembling a base" in done.stderr
    assert processes_of(first) == []


def processes_of(site: Site) -> list[str]:
    """The commands of all processes that have the site's home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"HOME={site.home}\0" in (folder / "environ").read_text("utf-8", "replace"):
                found.append((folder / "cmdline").read_text("utf-8", "replace").replace("\0", " "))
    return [command for command in found if command]  # zombies have none
