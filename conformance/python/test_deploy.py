"""The files of `deploy/` for services and containers, by the tools that read such files, and by what the server makes of them."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from compose_spec import PyCompose

from server import Server
from services import ROOT

DOCKER = ROOT / "deploy/docker"
UNIT = ROOT / "deploy/systemd/airlane.service"
# Of systemd's judgement, where 10 is a service that may do anything. What is left is that it has a network.
EXPOSURE_MAX = 1.5
USER = "65532:65532"


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, **options)


def analyze(*arguments):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze: install the package `systemd`")
    return run("systemd-analyze", *arguments)


@pytest.fixture
def unit(tmp_path):
    """The unit with the server of the tests in place of the one that a package would install."""
    text = UNIT.read_text().replace("ExecStart=/usr/bin/airlane ", f"ExecStart={os.environ['AIRLANE_BIN']} ")
    path = tmp_path / UNIT.name
    path.write_text(text)
    return path


def test_systemd_reads_the_unit_and_has_nothing_to_say(unit):
    verified = analyze("verify", unit)
    assert verified.returncode == 0 and verified.stderr == "", verified
    # The tool says what is wrong, so that its silence means something.
    unit.write_text(unit.read_text().replace("ProtectSystem=", "ProtectSistem="))
    assert "ProtectSistem" in analyze("verify", unit).stderr


def test_systemd_finds_the_unit_closed(unit):
    judged = analyze("security", "--offline=true", f"--threshold={round(EXPOSURE_MAX * 10)}", "--no-pager", unit)
    assert judged.returncode == 0, judged.stdout
    unit.write_text(unit.read_text().replace("ProtectSystem=strict\n", "").replace("SystemCallFilter=@system-service\n", ""))
    judged = analyze("security", "--offline=true", f"--threshold={round(EXPOSURE_MAX * 10)}", "--no-pager", unit)
    assert judged.returncode != 0, judged.stdout


def test_what_the_unit_closes_leaves_shared_memory_open():
    text = UNIT.read_text()
    assert re.findall(r"^SystemCallFilter=(.*)$", text, re.MULTILINE) == ["@system-service"]
    assert "AF_UNIX" in re.search(r"^RestrictAddressFamilies=(.*)$", text, re.MULTILINE).group(1).split()
    allowed = calls_of("@system-service")
    # What a table is made, sealed, handed over and mapped by.
    needed = {"memfd_create", "ftruncate", "pwritev", "fcntl", "mmap", "munmap", "sendmsg", "recvmsg", "fallocate"}
    assert needed <= allowed, needed - allowed
    # Both sockets lie in the folder that systemd makes for the service, where nobody else can write.
    arguments = arguments_of_unit()
    for flag in ("--unix-socket", "--local-socket"):
        assert arguments[arguments.index(flag) + 1].startswith("/run/airlane/"), flag
    assert "\nRuntimeDirectory=airlane\n" in text and "\nUMask=0077\n" in text


def calls_of(group):
    """The system calls of a group, those of the groups in it too."""
    listed = analyze("syscall-filter", "--no-pager", group)
    assert listed.returncode == 0, listed.stderr
    words = [line.split("#")[0].strip() for line in listed.stdout.splitlines()[1:]]
    calls = set()
    for word in filter(None, words):
        calls |= calls_of(word) if word.startswith("@") else {word}
    return calls


def arguments_of_unit():
    line = re.search(r"^ExecStart=/usr/bin/airlane (.*)$", UNIT.read_text(), re.MULTILINE).group(1)
    return shlex.split(line)


def variables(path):
    """The settings of an environment file, those too that are there as comments to be taken out."""
    found = re.findall(r"^(# )?(AIRLANE_[A-Z_]+)=(.*)$", path.read_text(), re.MULTILINE)
    assert found, path
    return {name: value for _, name, value in found}


def printed(environment, arguments, folder):
    """The settings that the server would run with; an unknown one, or one with a wrong value, is an error."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AIRLANE_")}
    return run(os.environ["AIRLANE_BIN"], *arguments, "--print-config", env=clean | environment, cwd=folder)


def test_the_server_knows_every_setting_of_the_unit_and_the_environment_files(tmp_path):
    config = tmp_path / "airlane.toml"
    config.touch()
    # Systemd takes the file of settings from where the unit says; here it lies elsewhere.
    arguments = [str(config) if word.startswith("/etc/") else word for word in arguments_of_unit()]
    known = set(re.findall(r"variable `(AIRLANE_[A-Z_]+)`", (ROOT / "docs/reference/settings.md").read_text()))
    for path in (UNIT.parent / "airlane.env", DOCKER / "airlane.env"):
        given = variables(path)
        assert given.keys() <= known, given.keys() - known
        ran = printed(given, arguments, tmp_path)
        assert ran.returncode == 0, ran.stderr
        for name, value in given.items():
            line = next(line for line in ran.stdout.splitlines() if name in line)
            assert value.rstrip("iB").rstrip("GM") in line, (name, value, line)


def stages(dockerfile):
    """The instructions of a Dockerfile, those of each stage together."""
    lines = dockerfile.read_text().replace("\\\n", " ").splitlines()
    found = []
    for line in lines:
        words = line.split(maxsplit=1)
        if not words or line.startswith("#"):
            continue
        if words[0] == "FROM":
            found.append([])
        found[-1].append((words[0], " ".join(words[1].split())))
    return found


@pytest.mark.parametrize("name", ["Dockerfile", "example.Dockerfile"])
def test_a_linter_reads_the_dockerfile_and_has_nothing_to_say(name, tmp_path):
    linter = Path(sys.executable).parent / "hadolint"
    linted = run(linter, "--no-color", DOCKER / name)
    assert linted.returncode == 0 and linted.stdout == "", linted
    wrong = tmp_path / "Dockerfile"
    wrong.write_text((DOCKER / name).read_text() + "ENTRYPOINT a b\nRUN cd /tmp\n")
    assert run(linter, wrong).returncode != 0


@pytest.mark.parametrize("name", ["Dockerfile", "example.Dockerfile"])
def test_an_image_has_several_stages_runs_as_nobody_and_says_how_it_is(name):
    first, *_, last = stages(DOCKER / name)
    assert first is not last
    assert [value for word, value in last if word == "USER"] == [USER]
    order = [word for word, _ in last]
    # As that user from there on: nothing is run or copied after it.
    assert not {"RUN", "COPY", "ADD"} & set(order[order.index("USER") :])
    assert "HEALTHCHECK" in order and "ENTRYPOINT" in order
    # What is copied from the project is there.
    for word, value in first + last:
        if word == "COPY" and "--from" not in value:
            for source in value.split()[:-1]:
                assert source == "." or list(ROOT.glob(source)), source


def test_the_image_of_the_server_can_be_asked_by_its_own_binary(tmp_path):
    last = dict(stages(DOCKER / "Dockerfile")[-1])
    environment = dict(pair.split("=", 1) for pair in last["ENV"].split())
    command = json.loads(last["HEALTHCHECK"].split("CMD ", 1)[1])
    assert command[0] == json.loads(last["ENTRYPOINT"])[0] == "/usr/bin/airlane"
    socket = environment["AIRLANE_UNIX_SOCKET"]
    assert command[-1] == f"grpc+unix://{socket}"
    # The same with the paths of this test.
    here = tmp_path / "airlane.sock"
    asked = [os.environ["AIRLANE_BIN"], *command[1:-1], f"grpc+unix://{here}"]
    assert run(*asked).returncode == 1, "there is no server yet"
    with Server(tmp_path / "data", "--unix-socket", str(here)):
        asking = run(*asked)
        assert asking.returncode == 0, asking
    assert run(*asked).returncode == 1, "it has ended"
    ran = printed({**environment, "AIRLANE_INSECURE": "true"}, ["serve"], tmp_path)
    assert ran.returncode == 0 and socket in ran.stdout, ran


@pytest.fixture
def compose():
    # Merges (`<<`) are YAML's; the model has them applied.
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def test_the_compose_file_is_one_by_the_specification(compose):
    model = PyCompose.from_yaml(yaml.safe_dump(compose))
    model.validate()
    assert set(model.service_names()) == {"airlane", "uploads", "totals"}
    compose["services"]["airlane"]["networks"] = ["elsewhere"]
    with pytest.raises(ValueError):
        PyCompose.from_yaml(yaml.safe_dump(compose)).validate()
    compose["services"]["airlane"] = {"image": "airlane", "reed_only": True}
    with pytest.raises(ValueError):
        PyCompose.from_yaml(yaml.safe_dump(compose))


def test_every_container_is_closed_and_the_server_is_reached_by_its_neighbours_alone(compose):
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service and "privileged" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"] and service["pids_limit"], name
        folder = (DOCKER / service["build"]["context"]).resolve()
        assert folder == ROOT and (folder / service["build"]["dockerfile"]).is_file(), name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
    server = compose["services"]["airlane"]
    assert "ports" not in server and server["networks"] == ["inside"] and compose["networks"]["inside"]["internal"]
    assert server["env_file"] == ["airlane.env"] and (DOCKER / "airlane.env").is_file()
    # All that the server writes to can be written to, though the root cannot.
    written = dict(pair.split("=", 1) for pair in dict(stages(DOCKER / "Dockerfile")[-1])["ENV"].split())
    mounts = {volume.split(":")[1] for volume in server["volumes"]}
    assert {written["AIRLANE_DATA_DIR"], str(Path(written["AIRLANE_UNIX_SOCKET"]).parent)} <= mounts
    assert str(Path(written["AIRLANE_LOCAL_SOCKET"]).parent) in mounts
    for name in ("uploads", "totals"):
        assert compose["services"][name]["depends_on"]["airlane"]["condition"] == "service_healthy"
        assert compose["services"][name]["environment"]["AIRLANE_URL"] == "grpc://airlane:8815"
        assert (ROOT / "examples/fastapi" / f"{compose['services'][name]['command'][0].split(':')[0]}.py").is_file()
