"""The command ``synthprep-models``."""

import json
import subprocess
import sys

import pytest

from bidsapp.cli.models import main
from bidsapp.cli.parser import settings_from
from bidsapp.errors import NoInputError, UsageError
from bidsapp.records import Scan, Visit
from bidsapp.synthesis import library

from ..bundles import SPLITS, reseal, small_bundle
from ..derived import write_visit
from .test_main import HEAVY

ROW = "T1w → FLAIR  seed-resnet  2 × 2 × 2 mm  robust  0.9"


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "FOLDER", tmp_path / "packaged")
    return small_bundle(tmp_path / "out/models/b")


def test_list(bundle, tmp_path, capsys):
    assert main(["list"]) == 0
    assert capsys.readouterr().out.startswith("no bundle comes with the software")
    small_bundle(tmp_path / "packaged/small")
    broken = small_bundle(tmp_path / "out/models/broken").path / "bundle.json"
    broken.write_text(broken.read_text().replace("0.9", "1.0"))
    assert main(["list", str(tmp_path / "out")]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.split(maxsplit=1)[0] == "small"
    assert " ".join(second.split()) == f"{bundle.path} {' '.join(ROW.split())}"
    assert third.endswith("refused: bundle.json: was changed after it was written")
    assert main(["list", str(tmp_path / "nowhere")]) == 66


def test_show(bundle, capsys):
    assert main(["show", str(bundle.path)]) == 0
    assert capsys.readouterr().out == (bundle.path / "README.md").read_text()
    (bundle.path / "README.md").write_text("It is certified for diagnosis.")
    assert main(["show", str(bundle.path)]) == 65
    assert "certified" not in capsys.readouterr().out


def test_a_card_does_not_command_the_terminal(bundle, capsys):
    (bundle.path / "README.md").write_text("\x1b[2JHeld\u202e out\n")
    reseal(bundle.path)
    assert main(["show", str(bundle.path)]) == 0
    assert capsys.readouterr().out == "[2JHeld out\n"


@pytest.mark.parametrize("words", ["list .", "show b", "--help"])
def test_quick_answers_import_nothing_heavy(bundle, words):
    script = (
        "import sys; from bidsapp.cli.models import main\n"
        "try: code = main(sys.argv[1:])\n"
        "except SystemExit as stop: code = stop.code\n"
        f"print('loaded', [name for name in {HEAVY!r} if name in sys.modules], code)"
    )
    command = [sys.executable, "-c", script, *words.split()]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=bundle.path.parent)
    assert result.stdout.splitlines()[-1] == "loaded [] 0"


def test_verify(bundle, capsys):
    assert main(["verify", str(bundle.path)]) == 0
    assert capsys.readouterr().out == f"{bundle.path}: is what it says, 2 networks, SHA-256 {bundle.sha256}\n"
    assert main(["verify", str(bundle.path), "--sha256", bundle.sha256]) == 0
    assert main(["verify", str(bundle.path), "--sha256", "0" * 64]) == 65
    assert "is another bundle" in capsys.readouterr().err
    (bundle.path / "fold-0.safetensors").write_bytes(b"x")
    assert main(["verify", str(bundle.path)]) == 65
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"synthprep-models: stopped: {bundle.path}/fold-0.safetensors: no safetensors file")
    assert line.endswith("[exit 65]")
    assert main(["verify", "no-such"]) == 66
    assert main(["refuse"]) == 64


def test_who_was_seen(bundle, tmp_path, capsys):
    out = tmp_path / "elsewhere"
    for subject, session, sha256 in (
        ("7", "A", SPLITS[2].fingerprint),
        ("7", "B", "e" * 64),
        ("8", "A", "f" * 64),
        ("9", "A", SPLITS[0].fingerprint),
        ("9", "B", SPLITS[2].fingerprint),
    ):
        write_visit(out, Visit(subject, session, (Scan(out / "t1", "T1w"),)), sha256=sha256)
    (out / "sub-7/ses-A/sub-7_ses-A_scans.tsv").unlink()  # they are known all the same
    assert main(["seen", str(bundle.path), str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "sub-7_ses-A\ttrue\t1",
        "sub-7_ses-B\ttrue\t1",
        "sub-8_ses-A\tfalse\tn/a",
        "sub-9_ses-A\ttrue\tnone",  # what one fold held out, the other learned from
        "sub-9_ses-B\ttrue\tnone",
    ]
    assert main(["seen", str(bundle.path), str(tmp_path / "nowhere")]) == 66


def test_share(bundle, tmp_path, capsys):
    notes = tmp_path / "notes.md"
    notes.write_text("Scored well.")
    words = ["share", str(bundle.path), str(tmp_path / "copy"), "--license", "MIT", "--notes", str(notes)]
    assert main(words) == 0
    assert bundle.sha256 in capsys.readouterr().out
    assert "Scored well." in (tmp_path / "copy/README.md").read_text()
    assert main(words) == 73
    assert main([*words[:-1], "nowhere.md"]) == 64
    assert main(["share", str(bundle.path), str(bundle.path / "copy")]) == 64
    assert main(["export", str(bundle.path), str(bundle.path / "a/b"), "--format", "torchscript"]) == 64
    assert main(["verify", str(bundle.path), "--sha256", bundle.sha256.upper()]) == 0


def test_export(bundle, tmp_path, monkeypatch, capsys):
    words = ["export", str(bundle.path), str(tmp_path / "export"), "--format"]
    assert main([*words, "torchscript"]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/export/model.pt\n"
    assert json.loads((tmp_path / "export/model.json").read_text())["Format"] == "torchscript"
    monkeypatch.setattr("bidsapp.cli.bundles.find_spec", lambda name: None)
    assert main([*words, "onnx"]) == 64
    assert "pip install 'synthprep[onnx]'" in capsys.readouterr().err
    with pytest.raises(UsageError, match="not installed"):
        settings_from(["/data", "/out", "group", "--export", "onnx"])


@pytest.mark.parametrize("option", ["--model", "--init-from"])
def test_the_command_knows_packaged_bundles_by_name(bundle, tmp_path, option):
    packaged = small_bundle(tmp_path / "packaged/small").path
    settings = settings_from(["/data", "/out", "group", option, "small"])
    assert packaged in {settings.model, settings.init_from}
    with pytest.raises(NoInputError, match="no such bundle") as raised:
        settings_from(["/data", "/out", "group", option, "smaller"])
    assert raised.value.hint.endswith("or the name of one that comes with the software: small")
