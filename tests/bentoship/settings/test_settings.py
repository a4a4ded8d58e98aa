"""Settings."""

import os
import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from bentoship import settings
from bentoship.errors import SettingsError
from bentoship.settings.address import RegistryAddress
from tests.support.settings import load

EXAMPLE = Path(__file__).parents[3] / ".env.example"


def test_no_env_file_is_fine(tmp_path: Path) -> None:
    """Without any setting, images go to the local registry."""
    found = load(tmp_path)
    assert (found.registry, found.backend, found.platforms) == ("local", "direct", ("linux/amd64",))
    assert found.local_registry_port is None


def test_settings_are_not_changed(tmp_path: Path) -> None:
    """Others' programs get them, too, and replace them."""
    with pytest.raises(FrozenInstanceError):
        load(tmp_path).backend = "docker"  # type: ignore[misc]


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """What is set for one run is stronger than what is kept; an empty variable counts as unset."""
    (tmp_path / ".env").write_text('IMAGE_NAME="from-file"\nBASE_IMAGE=debian\n', "utf-8")
    found = load(tmp_path, IMAGE_NAME="from/environment", BASE_IMAGE="")
    assert (found.image_name, found.base_image) == ("from/environment", "debian")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Each with its name, what was found and what is allowed."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, BACKEND="magic", LOCAL_REGISTRY_PORT="70000", IMAGE_NAME="Upper", PLATFORMS="linux/vax")
    text = str(caught.value)
    for part in ("BACKEND is 'magic'", "direct", "'70000'", "1 to 65535", "'Upper'", "'linux/vax'", "linux/amd64"):
        assert part in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IMAGE_TAGS", "a b"),
        ("IMAGE_TAGS", ","),
        ("BASE_IMAGE", "Not An Image"),
        ("REGISTRY", "somewhere"),
        ("REGISTRY", "ghcr.io/UPPER"),
        ("LOCAL_REGISTRY_PORT", "five"),
        ("BENTOSHIP_DEBUG", "perhaps"),
        ("CACHE_LIMIT", "much"),
        ("SIGNING", "cosign.key"),
        ("SIGNING_ISSUER", "github"),
        ("SIGNING_IDENTITY", "ada"),
        ("SIGSTORE_TRUST_CONFIG", "missing.json"),
    ],
)
def test_a_wrong_value_names_its_setting(tmp_path: Path, name: str, value: str) -> None:
    """A value that cannot be meant is an error, never a default."""
    with pytest.raises(SettingsError, match=f"{name} is '{value}', but has to be"):
        load(tmp_path, **{name: value})


def test_the_cache_has_a_limit_unless_it_is_off(tmp_path: Path) -> None:
    """20 GB where nothing else is set, in the file as in the environment."""
    assert load(tmp_path).cache_limit == 20_000_000_000
    (tmp_path / ".env").write_text("CACHE_LIMIT=500 MB\n", "utf-8")
    assert load(tmp_path).cache_limit == 500_000_000
    assert load(tmp_path, CACHE_LIMIT="off").cache_limit is None


def test_several_platforms_need_the_direct_backend(tmp_path: Path) -> None:
    """Docker makes an image for one, which may be another machine's."""
    both = ("linux/arm64", "linux/amd64")
    assert load(tmp_path, PLATFORMS="linux/arm64, linux/amd64,linux/arm64").platforms == both
    with pytest.raises(SettingsError, match="PLATFORMS names several, but BACKEND=docker"):
        load(tmp_path, PLATFORMS=",".join(both), BACKEND="docker")
    assert load(tmp_path, PLATFORMS="linux/arm64", BACKEND="docker").platforms == ("linux/arm64",)


def test_a_misspelt_setting_is_a_warning(tmp_path: Path) -> None:
    """In `.env` as in the environment, since both belong to the user's app as well."""
    (tmp_path / ".env").write_text("IMAGE_TAG=latest\nAWS_PROFILE=mine\n", "utf-8")
    found = load(tmp_path, BASE_IMGE="debian", GCP_PROJECT="mine")
    assert found.warnings == (
        "Unknown setting BASE_IMGE; did you mean BASE_IMAGE?",
        "Unknown setting IMAGE_TAG; did you mean IMAGE_TAGS?",
    )


def test_an_app_with_settings_of_its_own_clashes_with_nothing(tmp_path: Path) -> None:
    """Once BENTOSHIP_BACKEND is set, its own BACKEND is ignored without a word."""
    names = ("DATABASE_URL", "SECRET_KEY", "PROJECT_ID", "API_ENDPOINT", "PLATFORM", "GCP_PROJECT", "BENTOML_HOST")
    lines = [*(f"{name}=mine" for name in names), "BACKEND=postgres", "BENTOSHIP_BACKEND=docker"]
    (tmp_path / ".env").write_text("\n".join(lines), "utf-8")
    found = load(tmp_path)
    assert (found.backend, found.warnings) == ("docker", ())


def test_a_wrong_value_of_an_apps_own_setting_names_the_way_out(tmp_path: Path) -> None:
    """Which is the name with the prefix; of a wrong value by that name there is none."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, BACKEND="postgres")
    assert caught.value.mistakes == [
        "BACKEND is 'postgres', but has to be direct or docker; if it belongs to your app, set BENTOSHIP_BACKEND"
    ]
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, BENTOSHIP_BACKEND="postgres", BACKEND="docker")
    assert caught.value.mistakes == ["BENTOSHIP_BACKEND is 'postgres', but has to be direct or docker"]


def test_an_apps_own_google_project_has_a_way_out(tmp_path: Path) -> None:
    """It makes Google the registry unless another one is set."""
    (tmp_path / ".env").write_text("GCP_PROJECT_ID=my-app-123456\n", "utf-8")
    with pytest.raises(SettingsError, match="set BENTOSHIP_REGISTRY: to local"):
        load(tmp_path)
    assert load(tmp_path, BENTOSHIP_REGISTRY="local").registry == "local"
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, REGISTRY="google")
    assert "your app" not in str(caught.value)


@pytest.mark.parametrize("name", settings.NAMES)
def test_every_setting_is_accepted_with_the_prefix(tmp_path: Path, name: str) -> None:
    """A wrong value is told by the name that it was given by."""
    accepts_all = {
        "VERIFY_REQUEST",
        "GCP_CONTAINER_REGISTRY_DESCRIPTION",
        "SECRETS_ALLOWED",
        "BUILD_ENV",
        "METRICS_LOWER",
    }
    named = {"REGISTRY": "google"} if name != "REGISTRY" else {}
    given = {"GCP_PROJECT_ID": "my-project", "GCP_CONTAINER_REGISTRY_NAME": "reg", **named}
    given["GCP_CONTAINER_REGISTRY_LOCATION"] = "europe-west6"
    if name not in accepts_all:
        with pytest.raises(SettingsError, match=f"BENTOSHIP_{name} is 'No! such value', but"):
            load(tmp_path, **{**given, f"BENTOSHIP_{name}": "No! such value"})
    else:
        found = load(tmp_path, **given, **{name: "theirs", f"BENTOSHIP_{name}": "ours"})
        texts = {str(found.verify_request), found.google.description}
        assert "ours" in {*texts, *found.secrets_allowed, *found.build_env, *found.metrics_lower}


def test_what_a_backend_does_not_honour_is_told(tmp_path: Path) -> None:
    """BentoML builds on the base that the Bento names."""
    found = load(tmp_path, BACKEND="docker", BASE_IMAGE="python:3.11-slim", LOAD_IMAGE="1")
    assert (found.backend, found.load_image) == ("docker", True)
    assert found.warnings == ("BASE_IMAGE has no effect with BACKEND=docker: set the base image of the Bento",)


def test_a_project_is_named_beside_its_root(tmp_path: Path) -> None:
    """By a path that starts at `.env`; what is no folder is refused. Without the setting it is the root itself."""
    (tmp_path / "src").mkdir()
    environ = {"HOME": str(tmp_path)}
    assert settings.project_folder(tmp_path, environ) == tmp_path
    (tmp_path / ".env").write_text("BENTO_PROJECT=src\n", "utf-8")
    assert settings.project_folder(tmp_path, environ) == tmp_path / "src"
    with pytest.raises(SettingsError, match="BENTO_PROJECT is 'sources', but has to be a folder that exists"):
        settings.project_folder(tmp_path, {**environ, "BENTO_PROJECT": "sources"})


def test_a_google_project_makes_google_the_registry(tmp_path: Path) -> None:
    """Its address is put together as the chapter does by hand."""
    named = {"GCP_CONTAINER_REGISTRY_NAME": "reg", "GCP_CONTAINER_REGISTRY_LOCATION": "europe-west6"}
    found = load(tmp_path, GCP_PROJECT_ID="my-project", **named)
    assert (found.registry, str(found.google.address)) == ("google", "europe-west6-docker.pkg.dev/my-project/reg")
    with pytest.raises(SettingsError, match="GCP_CONTAINER_REGISTRY_NAME is missing"):
        load(tmp_path, GCP_PROJECT_ID="my-project")


def test_another_registry_is_an_address(tmp_path: Path) -> None:
    """Understood once, here: host, path, and whether it speaks TLS."""
    found = load(tmp_path, REGISTRY="http://registry.lan:5000/acme/")
    assert found.registry == RegistryAddress("registry.lan:5000", "acme", plain_http=True)


def test_loading_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the file reaches the environment by another step only."""
    (tmp_path / ".env").write_text("DOCKER_HOST=tcp://file\nIMAGE_NAME=from/file\n", "utf-8")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("IMAGE_NAME", raising=False)
    before = dict(os.environ)
    assert settings.load(tmp_path).image_name == "from/file"
    assert dict(os.environ) == before


def test_the_example_names_every_setting(tmp_path: Path) -> None:
    """.env.example and the program know the same settings, and the example loads as it is."""
    text = EXAMPLE.read_text("utf-8")
    named = set(re.findall(r"^# ([A-Z_]+)=", text, re.MULTILINE))
    assert named == {*settings.NAMES, "BENTOSHIP_DEBUG"}
    (tmp_path / ".env").write_text(re.sub(r"(?m)^# (?=[A-Z_]+=)", "", text), "utf-8")
    assert load(tmp_path) == load(tmp_path / "nowhere", HOME=str(tmp_path))


@pytest.mark.parametrize("text", ["garbage line\nIMAGE_NAME=x\n", 'IMAGE_NAME="open\n'])
def test_a_line_that_cannot_be_read_is_a_mistake(tmp_path: Path, text: str) -> None:
    """Rather than a default in its place."""
    (tmp_path / ".env").write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=r"NAME=value: line 1"):
        load(tmp_path)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    """Neither of a line that cannot be read, nor of an address, nor of an unknown name."""
    (tmp_path / ".env").write_text("SECRET_KEY 'hunter2\n", "utf-8")
    with pytest.raises(SettingsError) as unreadable:
        load(tmp_path)
    (tmp_path / ".env").write_text("IMAGE_TAG=hunter2\nREGISTRY=postgres://me:hunter2/@db/x\n", "utf-8")
    with pytest.raises(SettingsError) as wrong:
        load(tmp_path)
    assert "hunter2" not in f"{unreadable.value} {wrong.value}"
    assert "REGISTRY is 'postgres://…@db/x'" in str(wrong.value)
    assert "hunter2" not in str(load(tmp_path, REGISTRY="local").warnings)


def test_the_nearest_file_is_read_as_a_whole(tmp_path: Path) -> None:
    """Of a project in a repository: its own, else a parent's; nothing of the one that is farther away."""
    project = tmp_path / "services" / "echo"
    project.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".env").write_text("IMAGE_NAME=root\nBASE_IMAGE=debian\nBENTOML_HOME=stores\n", "utf-8")
    found = load(project)
    assert (found.image_name, found.bentoml_home) == ("root", tmp_path / "stores")
    (project / ".env").write_text("IMAGE_NAME=own\n", "utf-8")
    found = load(project)
    assert (found.image_name, found.base_image, found.bentoml_home) == ("own", "", Path.home() / "bentoml")


def test_a_mistake_names_the_file(tmp_path: Path) -> None:
    """From the project's folder, so that one in a parent is found."""
    project = tmp_path / "echo"
    project.mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".env").write_text("BACKEND=magic\n", "utf-8")
    with pytest.raises(SettingsError, match=r"Read the settings from \.\./\.env and the environment"):
        load(project)
    (tmp_path / ".env").write_text("no setting\n", "utf-8")
    with pytest.raises(SettingsError, match=r"Read \.\./\.env"):
        load(project)


def test_other_systems_files_are_read(tmp_path: Path) -> None:
    """With a byte order mark, line ends of Windows, quotes, comments and export."""
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfexport IMAGE_NAME='a/b' # why\r\nBASE_IMAGE = debian\r\n")
    found = load(tmp_path)
    assert (found.image_name, found.base_image) == ("a/b", "debian")


def test_a_relative_cache_folder_does_not_count(tmp_path: Path) -> None:
    """As the XDG specification has it."""
    assert load(tmp_path, XDG_CACHE_HOME="here").cache == load(tmp_path).cache


def test_without_a_home_it_is_said_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as any user; with both folders set, no home is needed."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")  # as pathlib's, where /etc/passwd has no entry

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(SettingsError, match=r"HOME is not set.*\n.*XDG_CACHE_HOME and BENTOML_HOME"):
        load(tmp_path)
    found = load(tmp_path, XDG_CACHE_HOME="/caches", BENTOML_HOME="/bentoml")
    assert (found.cache, found.bentoml_home) == (Path("/caches/bentoship"), Path("/bentoml"))


def test_files_that_the_file_names_start_there(tmp_path: Path) -> None:
    """Constraints, certificates and caches that other programs read, wherever a task is called."""
    (tmp_path / ".env").write_text("UV_CONSTRAINT=limits.txt\nSSL_CERT_FILE=ca.pem\nUV_INDEX=https://h/simple\n")
    read = settings.environment.read(tmp_path)
    assert read["UV_CONSTRAINT"] == f"{tmp_path}/limits.txt"
    assert read["SSL_CERT_FILE"] == f"{tmp_path}/ca.pem"
    assert read["UV_INDEX"] == "https://h/simple"


OPTIONS = "BENTOSHIP_OPTIONS"


@pytest.mark.parametrize(
    "value", ["foo", "a:b:c", ":X", "x:", "a b:C", "./nothing.py:X", "nothing:X", ".", "nothing.py"]
)
def test_a_service_that_cannot_be_is_refused_by_its_option(tmp_path: Path, value: str) -> None:
    """By its form and by its module, before anything is imported; by its setting where that is what names it."""
    (tmp_path / "service.py").touch()
    option = {"BENTOSHIP_BENTO_SERVICE": value, OPTIONS: "BENTO_SERVICE=--service"}
    with pytest.raises(SettingsError, match=f"and the command line: --service is '{re.escape(value)}', but has to be"):
        load(tmp_path, **option)
    with pytest.raises(SettingsError, match=r"the environment: BENTO_SERVICE is .* set BENTOSHIP_BENTO_SERVICE"):
        load(tmp_path, BENTO_SERVICE=value)


@pytest.mark.parametrize(
    "value", ["service:X", "service", "service.py", "./service.py:X", "inner:X", "package.below:X", "json:X"]
)
def test_a_service_is_a_module_of_the_project(tmp_path: Path, value: str) -> None:
    """As BentoML finds it: by name or by path, in src/ as well, or installed."""
    for name in ("service.py", "src/inner.py", "package/below.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert load(tmp_path, BENTO_SERVICE=value).service == value


@pytest.mark.parametrize("setting", ["BENTOFILE", "BENTO_SERVICE", "BENTO_ARGS", "BENTO"])
def test_an_option_without_a_value_is_refused(tmp_path: Path, setting: str) -> None:
    """A script's variable that is unset would publish something else."""
    with pytest.raises(SettingsError, match="--option has no value"):
        load(tmp_path, **{f"BENTOSHIP_{setting}": "", OPTIONS: f"{setting}=--option"})


@pytest.mark.parametrize("value", ["1X", "=", "a b", "A,1X", "A-B", ",", "Ä"])
def test_names_of_variables_are_names(tmp_path: Path, value: str) -> None:
    """Nothing else can be set in an environment by its name."""
    with pytest.raises(SettingsError, match=f"BUILD_ENV is '{value}', but has to be"):
        load(tmp_path, BUILD_ENV=value)
    assert load(tmp_path, BUILD_ENV="A, b_2,A").build_env == ("A", "b_2")


def test_what_builds_a_bento_contradicts_one_that_is_built(tmp_path: Path) -> None:
    """Where both are set in the same place: on the command line, in the environment or in `.env`, exported or not."""
    options = {"BENTOSHIP_BENTO": "a:1", "BENTOSHIP_BENTO_ARGS": "b=1", OPTIONS: "BENTO=--bento,BENTO_ARGS=--arg"}
    with pytest.raises(SettingsError, match="--bento names a Bento that is built already, for which --arg can have no"):
        load(tmp_path, **options)
    with pytest.raises(SettingsError, match=r"BENTO names a Bento .* BENTO_SERVICE, BENTO_ARGS can have no effect"):
        load(tmp_path, BENTO="a:1", BENTO_SERVICE="json:X", BENTO_ARGS="b=1")
    (tmp_path / ".env").write_text("BENTO=a:1\nBENTO_ARGS=b=1\n", "utf-8")
    for exported in ({}, {"BENTO": "a:1", "BENTO_ARGS": "b=1"}):
        with pytest.raises(SettingsError, match="BENTO_ARGS can have no effect"):
            load(tmp_path, **exported)


@pytest.mark.parametrize("exported", [{}, {"BENTO": "a:1"}])
def test_the_stronger_place_says_where_the_bento_comes_from(tmp_path: Path, exported: dict[str, str]) -> None:
    """An option wins over a variable, that over `.env`: a Bento that is built, or what builds one."""
    (tmp_path / ".env").write_text("BENTO=a:1\n", "utf-8")
    found = load(tmp_path, BENTO_ARGS="b=1", **exported)
    assert (found.bento, found.arguments) == ("", (("b", "1"),))
    option = {"BENTOSHIP_BENTO_SERVICE": "json:X", OPTIONS: "BENTO_SERVICE=--service"}
    assert load(tmp_path, **option, **exported).bento == ""
    (tmp_path / ".env").write_text("BENTO_ARGS=b=1\nBENTOFILE=nowhere\n", "utf-8")
    found = load(tmp_path, BENTO="a:1")
    assert (found.bento, found.arguments, found.bentofile) == ("a:1", (), None)
    option = {"BENTOSHIP_BENTO": "a:2", OPTIONS: "BENTO=--bento"}
    assert load(tmp_path, BENTO_SERVICE="json:X", **option).bento == "a:2"
