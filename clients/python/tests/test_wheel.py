"""The wheel in an environment that has nothing else."""

import os
import signal
import subprocess
import sys
import zipfile

import pytest

OPTIONAL = ["pyarrow", "pandas", "polars", "numpy"]


@pytest.fixture(scope="module")
def wheel():
    path = os.environ.get("AIRLANE_WHEEL")
    if not path:
        pytest.exit("set AIRLANE_WHEEL to the wheel (`cargo xtask test` does)", returncode=2)
    return path


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", wheel]
    subprocess.run([folder / "bin/python", *install], check=True)
    return folder / "bin"


def test_what_is_in_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.endswith(".whl") and "-cp311-abi3-" in wheel
    for name in ("airlane/py.typed", "airlane/_native.pyi", "airlane/_native.abi3.so", "airlane/_bin/airlane"):
        assert name in names


def _ended(process):
    try:
        return process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def test_the_command_line_is_the_server(fresh, tmp_path):
    version = subprocess.run([fresh / "airlane", "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("airlane ")
    assert subprocess.run([fresh / "python", "-m", "airlane", "--version"], capture_output=True, text=True).stdout == version
    command = [fresh / "airlane", "serve", "--port", "0", "--data-dir", tmp_path / "data"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            for line in process.stdout:
                if "listening" in line:
                    break
            else:
                pytest.fail("the server ended without listening")
            # The shell's command has become the server: there is no Python in between.
            assert os.path.basename(os.readlink(f"/proc/{process.pid}/exe")) == "airlane"
        finally:
            process.send_signal(signal.SIGTERM)
            # Only what failed above leaves it running.
            code = _ended(process)
        assert code == 0


def test_it_works_alone_and_says_what_it_needs(fresh):
    program = f"""
import sys, airlane
from pathlib import Path
with airlane.serve() as server, server.connect() as client:
    Path("in.csv").write_text("n,text\\n1,a\\n2,b\\n")
    client.upload_csv("in.csv", "t")
    client.put("again", client.get("t"))
    assert client.get("again").num_rows == 2 and "Int64" in client.get("t")._repr_html_()
    assert client.download_csv("again", "out.csv") == 2
    for method, module in (("to_arrow", "pyarrow"), ("to_pandas", "pandas"), ("to_polars", "polars"), ("to_numpy", "numpy")):
        try:
            getattr(client.get("t"), method)()
        except ImportError as error:
            assert f"pip install {{module}}" in str(error), error
        else:
            raise AssertionError(method)
print("alone")
"""
    done = subprocess.run([fresh / "python", "-c", program], capture_output=True, text=True, cwd=fresh.parent, timeout=120)
    assert (done.returncode, done.stdout) == (0, "alone\n"), done.stderr


def test_importing_it_imports_none_of_the_optional_libraries():
    program = f"import sys, airlane; print([m for m in {OPTIONAL!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
