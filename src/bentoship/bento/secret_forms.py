"""What secrets look like that detect-secrets does not know: in texts, under telling names, and in binary files."""

from __future__ import annotations

import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from pathspec import PathSpec

_WORD = r"(?:passw(?:or)?d|pwd|passphrase|secret|token|api_?key|access_?key|private_?key|credentials?)"
_REFERENCE = r"['\"]?(?!\{\{|<|\$\{|\$\(|\*\*)"
"""The beginning of a value that does not stand for another one."""
_REST = r"(?P<value>(?!#)[^\s'\"][^\r\n]{2,}|'(?!')[^\r\n]+|\"(?!\")[^\r\n]+)"
"""What is assigned in the rest of a line."""

# What detect-secrets 1.5 lacks: the kind, what matches, and the names of the files in which it does. The group "value"
# may be a placeholder, and "at" is where the secret stands in a longer match.
RULES = (
    ("Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}", ""),
    ("Google API key", r"\bAIza[0-9A-Za-z_-]{35}", ""),
    ("Google refresh token", r'"refresh_token"\s*:\s*"[^"]{16,}"', ""),
    ("GitHub Token", r"\bgithub_pat_[A-Za-z0-9_]{50,}", ""),
    ("Anthropic API key", r"\bsk-ant-[A-Za-z0-9_-]{20,}", ""),
    ("OpenAI Token", r"\bsk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,}", ""),
    ("Vault token", r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}", ""),
    ("AWS Access Key", r"(?i)\baws_secret_access_key\s*[=:]\s*['\"]?[0-9a-z/+]{40}(?![0-9a-z/+])", ""),
    ("Private Key", r"BEGIN ENCRYPTED (?:[A-Z0-9]+ )?PRIVATE KEY|BEGIN PRIVATE KEY BLOCK", ""),
    ("age secret key", r"\bAGE-SECRET-KEY-1[0-9A-Z]{50,}", ""),
    (
        "signed URL",
        # The signature of a SAS is an HMAC-SHA256 in base64.
        r"\bsig=(?:[A-Za-z0-9+/]|%2[BbFf]){43}(?:=|%3[Dd])"
        r"|\bX-(?:Amz|Goog)-Signature=[0-9a-f]{64}",
        "",
    ),
    (
        "token in a URL",
        r"://[^\s'\"`<>?#]+[?#](?:[^\s'\"`<>#]*&)?(?:\w+[_-])?(?:token|password|secret|sig|signature|api_?key)="
        r"(?P<value>(?=[^\s&]*\d)[\w.~%+/=-]{12,})",
        "",
    ),
    (
        "Kubernetes credentials",
        r"(?m)(?:^users:[ \t]*\r?\n(?:[ \t-].*\n){0,200}?[ \t]+(?:- )?|^[ \t]*(?:- )?(?=client-key-data))"
        rf"(?P<at>client-key-data|token|password):[ \t]*{_REFERENCE}\S{{8,}}",
        "",
    ),
    *(
        (
            "Kubernetes Secret",
            rf"(?m)^{before}(?:stringData|data):[ \t]*\r?\n(?:[ \t].*\n){{0,200}}?[ \t]+(?P<at>[\w.'\"-]+):[ \t]*"
            rf"(?:[|>]-?[ \t]*\r?\n[ \t]+)?{_REFERENCE}[^\s'\"|>]{{4,}}{after}",
            "*.yaml *.yml",
        )
        for before, after in (
            (r"kind:[ \t]*['\"]?Secret['\"]?[ \t]*\r?\n(?:(?!---).*\n){0,200}?", ""),
            ("", r".*\n(?:(?!---).*\n){0,200}?kind:[ \t]*['\"]?Secret['\"]?[ \t]*\r?$"),
        )
    ),
    (
        "Docker login",
        r'"auths"\s*:\s*\{(?:\s*"[^"]*"\s*:\s*\{[^{}]*\}\s*,)*?\s*"[^"]*"\s*:\s*\{[^{}]*?'
        r'"(?P<at>auth|identitytoken|password)"\s*:\s*"(?!\{\{|<|\$)[^"\s]{8,}"',
        "* !*.py",
    ),
    (
        "Django's secret key",
        r"(?m)^[ \t]*SECRET_KEY[ \t]*(?::[ \t]*\w+[ \t]*)?=[ \t]*[rb]?(?P<quote>['\"])(?=[^'\"\n]*\d)"
        r"(?=[^'\"\n]*[A-Za-z])(?P<value>[^'\"\n]{20,})(?P=quote)",
        "*.py",
    ),
    (
        "password",
        r"(?im)^[ \t]*['\"]?[\w.-]*?(?<![A-Za-z0-9])(?:passw(?:or)?d|pwd|client_secret|secret_key)['\"]?"
        rf"[ \t]*=[ \t]*{_REST}",
        "*.cnf *.properties *.ini *.conf *.cfg *.toml *.tfvars",
    ),
    ("npm credentials", r"(?m)^(?:.*:)?_(?:authToken|auth|password)[ \t]*=[ \t]*(?!\$\{)\S{8,}", ".npmrc"),
    ("password hash", r"(?m)^[^:\s]+:(?:\$[0-9a-z]+\$|\{[A-Z0-9]+\})\S+", "*htpasswd*"),
    ("Docker login", r'"(?:auth|identitytoken)"\s*:\s*"[^"]{8,}"', ".dockercfg *docker*.json config.json"),
    ("Vault token", r"\A\s*\S{20,}\s*\Z", ".vault-token"),
    ("PostgreSQL password", r"(?m)^[^#\s:][^:]*:[^:]*:[^:]*:[^:]*:\S+", ".pgpass"),
    (
        "secret variable",
        rf"(?im)^[ \t]*(?:export\s+)?(?:\w*{_WORD}(?:_\w+)?|\w+_pass)[ \t]*=[ \t]*{_REST}",
        "*.env .envrc",
    ),
    (
        "Terraform secret",
        r'(?i)"\w*(?:password|secret|token|private_?key|access_?key)\w*"\s*:\s*"[^"]{4,}"',
        "*.tfstate *.tfstate.* *.tfvars.json",
    ),
)  # fmt: skip

KEY_STORES = ("*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk")
"""The names of files that hold private keys in a binary form."""

# Weights are random bytes without end, in which a short form may stand by chance.
MODELS = PathSpec.from_lines(
    "gitwildmatch",
    (
        "*.bentomodel", "*.bin", "*.ckpt", "*.gguf", "*.h5", "*.joblib", "*.keras", "*.npy", "*.npz", "*.onnx", "*.pb",
        "*.pickle", "*.pkl", "*.pt", "*.pth", "*.safetensors", "*.tflite",
    ),
)  # fmt: skip
"""The names of files with weights of models, which are not searched where they are binary."""

FIXED = frozenset(
    {
        "AWS Access Key", "Anthropic API key", "GitHub Token", "GitLab Token", "Google API key", "Hugging Face token",
        "OpenAI Token", "PyPI Token", "Slack Token", "Stripe Access Key", "age secret key",
    }
)  # fmt: skip
"""The kinds that are searched for in binary files: those with a form that does not stand in one by chance."""

PEM_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\r?\n[A-Za-z0-9+/=:,\r\n -]{60}")
"""A private key in a binary file; the line alone stands in each library that can read one."""

_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
_MOST_UNPACKED = 1 << 30
"""Bytes of a tar that are unpacked in search of names; the size that a member claims to have counts, too."""

_IN_ARCHIVES = re.compile(
    r"(?:.*/)?(?:\.env(?:\.(?!example|sample|template|dist)[^/]*)?|[^/]+\.env|id_(?:rsa|dsa|ecdsa|ed25519)|\.netrc"
    r"|\.npmrc|\.pgpass|\.git-credentials|\.pypirc|[^/]+\.(?:p12|pfx|jks|keystore|kdbx|ppk))"
)
_SECRET_NAME = re.compile(
    r"(?i)(?:^|[_.-])(?:passw(?:or)?d|passphrase|secret|token|api_?key|access_?key|private_?key|credentials)(?:[_.-]|$)"
    r"|(?:passw(?:or)?d|passphrase|secret|token|apikey|[_.-]pass|[_.-]pwd|^pass)$"
)
_KEY_NAME = re.compile(r"(?i)(?:^|[_.-])key$")
_KEY_VALUE = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])(?=\S*[A-Za-z0-9]{16})(?![./])[A-Za-z0-9_+/=-]{20,}")
_PLACEHOLDER = re.compile(
    r"(?i)(?:\$[a-z_]\w*|\$?\{[^{}]*\}|\{\{.*\}\}|\$\(.*\)|<[^<>]*>|%\w+%|%\([^()]*\)s|%[srd]|\[[^\[\]]*\])+|\\?\*+|x+|\.+"
    r"|pass|passwd|password|secret|token|pw|pwd|your\S*|changeme|true|false|none|null"
)

# PKCS #1, PKCS #8 and SEC 1: a sequence, then the version, and what follows it: a modulus of at least 64 bytes, an
# algorithm (RSA, EC, Ed25519 and its like, DSA), or the bytes of a point.
_DER_KEY = re.compile(
    rb"\A0(?:\x82..|\x81.|[\x20-\x7f])(?:\x02\x01\x00(?:\x02(?:\x82..|\x81.|[\x40-\x7f])"
    rb"|0[\x05-\x40]\x06(?:\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01|\x07\x2a\x86\x48\xce\x3d\x02\x01|\x03\x2b\x65[\x6e-\x71]"
    rb"|\x07\x2a\x86\x48\xce\x38\x04\x01))|\x02\x01\x01\x04[\x14-\x42])",
    re.DOTALL,
)
_DER_ENCRYPTED = re.compile(rb"\A0(?:\x82..|\x81.)0.{1,2}\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d", re.DOTALL)


def is_placeholder(value: str) -> bool:
    """Return whether a value as a whole stands for another: `$NAME`, `${NAME}`, `<…>`, `{{…}}`, `***`, "changeme"."""
    return bool(_PLACEHOLDER.fullmatch(value))


def is_secret(name: str, value: str) -> bool:
    """Return whether a variable's name says that its value is a secret; that of a "key" must look like one, too."""
    return bool(_SECRET_NAME.search(name) or (_KEY_NAME.search(name) and _KEY_VALUE.fullmatch(value)))


def is_der_key(content: bytes) -> bool:
    """Return whether a file is a private key in DER (RFC 8017, A.1.2; RFC 5958; RFC 5915)."""
    return bool(_DER_KEY.match(content) or _DER_ENCRYPTED.match(content))


def secrets_in_archive(content: bytes) -> Iterator[str]:
    """Yield the names of an archive's members that usually hold secrets; nothing where it is none that can be read."""
    stream = io.BytesIO(content)
    names: list[str] = []
    try:
        if content.startswith(b"PK"):
            with zipfile.ZipFile(stream) as packed:
                names = packed.namelist()
        elif content.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")) or content[257:262] == b"ustar":
            with tarfile.open(fileobj=stream) as tar:
                for member in tar:
                    names += [member.name] if member.isfile() else []
                    if tar.offset > _MOST_UNPACKED:
                        break
    except (OSError, EOFError, ValueError, NotImplementedError, *_DAMAGE):
        pass  # those before the damage count
    yield from (name for name in names if _IN_ARCHIVES.fullmatch(name))
