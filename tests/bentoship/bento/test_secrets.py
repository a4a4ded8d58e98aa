"""Which contents of a Bento count as secrets, and which do not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bentoship.bento.build import build
from bentoship.bento.packing import SECRETS_IGNORED
from bentoship.bento.secrets import Finding, Scanner
from bentoship.bento.values import BuildContext
from bentoship.errors import BentoError
from bentoship.system import records
from tests.support.bento import append, make_project
from tests.support.shapes import SHAPES

KEY = "AKIA" + "Q3EGRIZ7N5WVTB2D"
PEM = "-----BEGIN {}PRIVATE KEY-----\nMIIEvQ\n-----END {}PRIVATE KEY-----\n"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789ABCD"


@pytest.fixture
def context(tmp_path: Path) -> BuildContext:
    """A project without files, and where its builds are recorded."""
    (tmp_path / "project").mkdir()
    return BuildContext(tmp_path / "project", tmp_path / "records", tmp_path / "home")


def test_rules_of_another_shape_are_made_again(context: BuildContext) -> None:
    """Without rules nothing would be found."""
    Scanner(context)
    (file,) = (context.records / "rules").iterdir()
    for value in SHAPES:
        records.keep(file, value)
        assert Scanner(context).search("aws.py", f"KEY = '{KEY}'".encode())


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("id_rsa.bak", PEM.format("OPENSSH ", "OPENSSH "), 1),
        ("deploy_key", "\n" + PEM.format("", ""), 2),
        ("certs/server.pem", PEM.format("ENCRYPTED ", "ENCRYPTED "), 1),
        ("credentials.json", '{"type": "service_account", "private_key": "' + PEM.format("RSA ", "RSA ") + '"}', 1),
        ("adc.json", '{"type": "authorized_user",\n "refresh_token": "1//' + LETTERS + '"}', 2),
        ("kubeconfig.yaml", "users:\n- user:\n    client-key-data: LS0tLS1CRUdJTg==\n", 3),
        ("kubeconfig", "users:\n- user:\n    token: " + LETTERS, 3),
        (".npmrc", "registry=https://npm.example.com/\n//npm.example.com/:_authToken=" + LETTERS, 2),
        (".htpasswd", "ann:$apr1$salt$hash\n", 1),
        ("nginx/htpasswd", "ann:{SHA}hash=\n", 1),
        ("prod.env", "DEBUG=1\nDB_PASSWORD=correct-horse\n", 2),
        (".envrc", "export API_TOKEN='correct-horse'\n", 1),
        ("terraform.tfstate", '{"resources": [\n{"master_password": "correct-horse"}]}', 2),
        ("pip.conf", "[global]\nindex-url = https://ann:correct-horse@pypi.example.com/simple\n", 2),
        (".dockercfg", '{"registry.example.com": {"auth": "YW5uOmNvcnJlY3Q="}}', 1),
        (".vault-token", "s." + LETTERS[:24], 1),
        (".pgpass", "db.example.com:5432:shop:ann:correct-horse\n", 1),
        ("aws.py", f"import boto3\nKEY = '{KEY}'\n", 2),
        ("aws.py", f"aws_secret_access_key = '{LETTERS}'\n", 1),
        ("hub.py", "login('hf_" + LETTERS + "')", 1),
        ("git.py", "TOKEN = 'ghp_" + LETTERS[:36] + "'", 1),
        ("git.py", "TOKEN = 'github_pat_" + LETTERS * 2 + "'", 1),
        ("maps.js", "key=AIza" + LETTERS[:35], 1),
        ("db.py", "URL = 'postgres://ann:correct-horse@db.example.com/shop'", 1),
        ("store.p12", "\0\1\2", 0),
    ],
)
def test_a_secret_is_found_by_what_is_in_a_file(context: BuildContext, name: str, text: str, line: int) -> None:
    """Whatever the file is called, with the line but without the secret; a key store by its name."""
    found = Scanner(context).search(name, text.encode())
    assert [one.line for one in found] == [line] * len(found)
    assert found
    assert all(word not in str(found) for word in ("correct-horse", KEY, LETTERS[:20], "MIIEvQ"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("service.py", "token = tokenizer.decode(ids)\npassword = request.headers['password']\nkey = 'sk-learn'\n"),
        ("tokenizer.json", '{"bos_token": "<s>", "unk_token": "[UNK]", "pad_token": "correct-horse"}'),
        ("README.md", "Set `postgres://user:password@localhost` or https://<user>:<token>@host, or ${A}://${B}:${C}@d"),
        ("prod.env", "DEBUG=1\nDB_PASSWORD=\nAPI_TOKEN=${TOKEN}\nTOKENIZERS=fast\n"),
        (".npmrc", "//npm.example.com/:_authToken=${NPM_TOKEN}\n"),
        ("ca.pem", "-----BEGIN CERTIFICATE-----\nMIIEvQ\n-----END CERTIFICATE-----\n"),
        ("random.txt", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 dGhpcyBpcyByYW5kb20gdGV4dA=="),
        ("model.onnx", f"\0{KEY}"),
        ("config.yaml", "envs:\n- name: HF_TOKEN\nsecret_name: shop-db\n"),
    ],
)
def test_what_is_no_secret_is_let_pass(context: BuildContext, name: str, text: str) -> None:
    """Placeholders, names without values, certificates, random text, and binary files."""
    assert Scanner(context).search(name, text.encode()) == []


def test_text_in_utf_16_is_searched(context: BuildContext) -> None:
    """As editors on Windows write it."""
    assert Scanner(context).search("keys.txt", f"one\n{KEY}".encode("utf-16")) == [
        Finding("keys.txt", 2, "AWS Access Key")
    ]


def test_long_lines_are_searched_as_a_whole(context: BuildContext) -> None:
    """Wherever a secret stands in them."""
    for before in (0, 3590, 3990, 7195):
        text = f"first\n{'-' * before}{KEY}{'-' * 9000}"
        assert Scanner(context).search("app.js", text.encode()) == [Finding("app.js", 2, "AWS Access Key")]


def test_a_file_is_allowed_by_a_setting_a_file_or_a_comment(context: BuildContext) -> None:
    """In the syntax of .gitignore, or as detect-secrets has it."""
    content = f"KEY = '{KEY}'\n".encode()
    assert Scanner(context).search("tests/data/aws.py", content)
    assert not Scanner(replace(context, secrets_allowed=("tests/",))).search("tests/data/aws.py", content)
    assert not Scanner(context).search("aws.py", content.replace(b"\n", b"  # pragma: allowlist secret\n"))
    (context.folder / SECRETS_IGNORED).write_text("# of the tests\n/tests/data/\n", "utf-8")
    assert not Scanner(context).search("tests/data/aws.py", content)
    assert Scanner(context).search("aws.py", content)


def test_a_secret_is_refused_before_the_bento_is_stored(tmp_path: Path) -> None:
    """By file, line and kind; also where only the body of a function changed since the last build."""
    project = make_project(tmp_path / "echo")
    service = project.folder / "service.py"
    first = build(project)
    text = service.read_text("utf-8")
    service.write_text(text.replace("return text", f"return text or '{KEY}'"), "utf-8")
    line = next(number for number, one in enumerate(service.read_text("utf-8").splitlines(), 1) if KEY in one)
    with pytest.raises(BentoError, match=f"service.py, line {line}: AWS Access Key") as caught:
        build(project)
    assert KEY not in str(caught.value)
    assert "SECRETS_ALLOWED" in caught.value.hint
    assert [path.name for path in first.path.parent.iterdir() if path.is_dir()] == [first.version]
    allowed = replace(project, secrets_allowed=("service.py",))
    assert build(allowed).version != first.version
    with pytest.raises(BentoError, match="AWS Access Key"):
        build(project)


@pytest.mark.parametrize(
    ("variable", "found"),
    [
        ({"name": "HF_TOKEN", "value": "correct-horse"}, "the variable HF_TOKEN"),
        ({"name": "DSN", "value": "postgres://ann:correct-horse@db/shop"}, "the variable DSN"),
        ({"name": "HF_TOKEN", "value": ""}, ""),
        ({"name": "TOKENIZERS_PARALLELISM", "value": "false"}, ""),
    ],
)
def test_a_variable_with_a_secret_is_refused(tmp_path: Path, variable: dict[str, str], found: str) -> None:
    """By its name or its value, which the image's configuration would show."""
    project = make_project(tmp_path / "echo")
    append(project.folder / "bentofile.yaml", json.dumps({"envs": [variable]})[1:-1])
    if not found:
        assert build(project)
        return
    with pytest.raises(BentoError, match=found) as caught:
        build(project)
    assert "correct-horse" not in str(caught.value)
