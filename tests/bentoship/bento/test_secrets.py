"""Which contents of a Bento count as secrets, and which do not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bentoship.bento.building import build
from bentoship.bento.packing import SECRETS_IGNORED
from bentoship.bento.secrets import Finding, Scanner
from bentoship.bento.values import BuildContext, Env
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
        ("cosign.key", PEM.format("ENCRYPTED SIGSTORE ", "ENCRYPTED SIGSTORE "), 1),
        ("old.key", PEM.format("ENCRYPTED COSIGN ", "ENCRYPTED COSIGN "), 1),
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
        ("data.py", "URL = 'https://a.example/b?version=1&access_token=0correct-horse'", 1),
        ("db.py", "URL = 'postgres://ann:correct-horse@db.example.com/shop'", 1),
        ("store.p12", "\0\1\2", 0),
        ("any.yaml", "apiVersion: v1\nusers:\n- name: ann\n  user:\n    token: " + LETTERS, 5),
        ("any.yaml", "users:\n- user:\n    client-key-data: LS0tLS1CRUdJTg==\n", 3),
        ("any.json", json.dumps({"auths": {"a.example": {}, "b.example": {"auth": "YW5uOmNvcnJlY3Q="}}}), 1),
        ("shop.yaml", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\ndata:\n  key: Y29ycmVjdA==\n", 6),
        ("shop.yml", "data:\n  key: Y29ycmVjdA==\nkind: Secret\n", 2),
        ("my.cnf", "[client]\nuser = ann\npassword = correct-horse\n", 3),
        ("app.properties", "# of the shop\nspring.datasource.password=$correct-horse\n", 2),
        ("app.toml", "[db]\npassword = 'correct-horse'  # of the shop\n", 2),
        ("settings.py", "DEBUG = True\nSECRET_KEY = 'django-insecure-" + LETTERS + "'\n", 2),
        ("notes.txt", "\nAGE-SECRET-KEY-1" + LETTERS.upper() + "QPZRY9X8GF2TVDW0S3", 2),
        ("blob.py", "URL = 'https://a.example/b?sv=2022-11-02&sp=r&sig=" + LETTERS + "xy%2F%3D'", 1),
        ("blob.py", "URL = 'https://a.example/b?X-Amz-Date=1&X-Amz-Signature=" + "0af1" * 16 + "'", 1),
        ("db.py", "URL = 'postgres://ann:%40correct-horse@db.example.com/shop'", 1),
        ("prod.env", "DB_PASS=$correct-horse\n", 1),
        ("model.dat", f"\0\1{KEY}\0", 0),
        ("program", "\0" + PEM.format("", "").replace("MIIEvQ", LETTERS * 2), 0),
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
        ("get.py", "a = f'https://h/?token={token}'\nb = 'https://h/?token=YOUR_TOKEN_OF_2026&sig=%s&token=next-1'\n"),
        (".npmrc", "//npm.example.com/:_authToken=${NPM_TOKEN}\n"),
        ("ca.pem", "-----BEGIN CERTIFICATE-----\nMIIEvQ\n-----END CERTIFICATE-----\n"),
        ("random.txt", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 dGhpcyBpcyByYW5kb20gdGV4dA=="),
        ("model.onnx", f"\0{KEY}"),
        ("config.yaml", "envs:\n- name: HF_TOKEN\nsecret_name: shop-db\n"),
        ("any.yaml", "users:\n- name: ann\n  password: {{ password }}\ntoken: correct-horse\n"),
        ("shop.yaml", "kind: Secret\nstringData:\n  key: ${KEY}\n---\nkind: ConfigMap\ndata:\n  key: correct-horse\n"),
        ("my.cnf", "password = ${DB_PASSWORD}\npassword =\npasswords = correct-horse\n# password = correct-horse\n"),
        ("settings.py", "SECRET_KEY = os.environ['SECRET_KEY']\nSECRET_KEY = '${A_SECRET_KEY_OF_2_SHOPS}'\n"),
        (
            "prod.env",
            "DB_PASSWORD=%DB_PASSWORD%\nAPI_TOKEN=$API_TOKEN\nUSE_TOKEN=true\nDB_PASS='<password of the db>'\n",
        ),
        ("program", "\0" + PEM.format("", "").replace("\n", "\0")),
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


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_text_in_utf_16_needs_no_mark(context: BuildContext, encoding: str) -> None:
    """Its zeros say what it is."""
    assert Scanner(context).search("keys.txt", f"one\n{KEY}".encode(encoding)) == [
        Finding("keys.txt", 2, "AWS Access Key")
    ]


@pytest.mark.parametrize("algorithm", ["rsa", "ec", "ed25519"])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_private_key_in_der_is_found(context: BuildContext, algorithm: str, form: PrivateFormat) -> None:
    """By its form, in files with the names of keys; a public key is none."""
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    if algorithm == "rsa":
        key = rsa.generate_private_key(65537, 1024)  # fast
    elif algorithm == "ec":
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key, form = ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8
    private = key.private_bytes(Encoding.DER, form, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert Scanner(context).search("tls/server.key", private) == [Finding("tls/server.key", 0, "Private Key")]
    assert Scanner(context).search("server.der", private)
    assert not Scanner(context).search("server.der", public)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "tar"])
def test_the_names_in_an_archive_are_read(context: BuildContext, tmp_path: Path, kind: str) -> None:
    """What usually holds secrets is named; a damaged archive and a template are let pass."""
    name = f"app.{kind}"
    for member in (".env", ".env.example"):
        folder = tmp_path / f"of{member}"
        (folder / "app").mkdir(parents=True)
        (folder / "app" / member).write_text("A=1\n", "utf-8")
        form = {"zip": "zip", "tar": "tar", "tar.gz": "gztar", "tar.xz": "xztar"}[kind]
        packed = Path(shutil.make_archive(str(folder), form, folder)).read_bytes()
        found = Scanner(context).search(name, packed)
        assert [one.kind.endswith("app/.env") for one in found] == ([True] if member == ".env" else [])
        Scanner(context).search(name, packed[: len(packed) // 2])


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


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("PGPASSWORD", "correct-horse", True),
        ("MYSQL_PWD", "correct-horse", True),
        ("DB_PASS", "correct-horse", True),
        ("api_token", "correct-horse", True),
        ("deploy_password", "correct-horse", True),
        ("DB_PASSWORD", "$correct-horse", True),
        ("DB_PASSWORD", "%correct", True),
        ("DB_PASSWORD", "<correct", True),
        ("OPENAI_KEY", LETTERS, True),
        ("DB_PASSWORD", "$PASSWORD", False),
        ("DB_PASSWORD", "${PASSWORD}", False),
        ("DB_PASSWORD", "%PASSWORD%", False),
        ("DB_PASSWORD", "<your password>", False),
        ("DB_PASSWORD", "{{ password }}", False),
        ("DB_PASSWORD", "***", False),
        ("PRIMARY_KEY", "customer_number_2", False),
        ("CACHE_KEY", "resnet50-imagenet-v2-preprocessing", False),
        ("PWD", "/srv/app", False),
        ("BYPASS", "correct-horse", False),
        ("MODEL_KEY", "/models/0123456789abcdefghij", False),
    ],
)
def test_names_and_values_of_secrets_are_known(context: BuildContext, name: str, value: str, found: bool) -> None:
    """In variables, labels and arguments alike, unless the value as a whole stands for another."""
    info = "name: echo\nversion: ''\n"
    bento = context.folder / "bento"
    bento.mkdir(parents=True)
    (bento / "bento.yaml").write_text(info, "utf-8")
    scanner = Scanner(context)
    others: list[tuple[str, list[Env], dict[str, dict[str, str]]]] = [
        (what, [], {what: {name: value}}) for what in ("label", "argument")
    ]
    for what, envs, named in (("variable", [Env(name, value, "all")], {}), *others):
        if found:
            with pytest.raises(BentoError, match=f"the {what} {name}: a value under the name of a secret"):
                scanner.refuse(bento, envs, named)
        else:
            scanner.refuse(bento, envs, named)
