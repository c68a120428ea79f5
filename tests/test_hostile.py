"""Input that means harm, or is broken: one clear error or a safe result, and nothing is touched elsewhere."""

import hashlib

import pytest

from bidsapp import participant
from bidsapp.cli.main import main
from bidsapp.status import VisitStatus

SHELL = (
    "../../outside",
    "01;touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "01\n02",
    "sub-../x",
    "<b>01</b>",
    "",
)


def snapshot(folder, *apart):
    """Return what there is in a folder, but not in those folders that a run may write to."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if any(path.is_relative_to(other) for other in apart) or path in apart:
            continue
        status = path.lstat()
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file() and status.st_size < 1e6:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            content = status.st_size
        found[str(path)] = (content, status.st_mode, status.st_mtime_ns if path.is_file() else 0)
    return found


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A parent folder with a dataset, somebody's files, and the output folder; the current folder is inside it."""
    anat = tmp_path / "raw/sub-01/anat"
    anat.mkdir(parents=True)
    for contrast in ("T1w", "FLAIR"):
        (anat / f"sub-01_{contrast}.nii.gz").write_bytes(b"no image")
    (tmp_path / "raw/dataset_description.json").write_text('{"Name": "test", "BIDSVersion": "1.10.0"}')
    (tmp_path / "elsewhere/anat").mkdir(parents=True)
    (tmp_path / "elsewhere/precious.txt").write_text("precious")
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


@pytest.fixture
def run(place, monkeypatch, capsys):
    """Return a function that runs selection (images are not opened), and checks that nothing else was touched."""

    def run(*words, level="participant"):
        before = snapshot(place, place / "out")
        code = main([str(place / "raw"), str(place / "out"), level, *map(str, words)])
        assert snapshot(place, place / "out") == before
        error = capsys.readouterr().err
        assert "Traceback" not in error
        assert error.rstrip().endswith(f"[exit {code}]")
        return code, error

    done = lambda _, selection, *__: tuple(VisitStatus(v.label, "done") for v in selection.visits)  # noqa: E731
    monkeypatch.setattr(participant, "run", done)
    return run


@pytest.mark.parametrize("option", ["--participant-label", "--session-label"])
@pytest.mark.parametrize("label", SHELL)
def test_labels(run, place, option, label):
    code, error = run(option, label)
    assert code == 64
    assert len(error.splitlines()) == 1
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b'{"T1w": {"subject": "../../outside"}}', 66, "no T1w"),
        (b'{"T1w": {"acquisition": {"$regex": ".*"}}}', 64, "is no filter"),
        (b'{"T1w": {"acquisition": [["a"]]}}', 64, "is no filter"),
        (b'{"T1w": {"path": "/etc"}}', 64, "unknown entity path"),
        (b'{"../T1w": {}}', 64, "unknown contrast"),
        (b"[" * 100_000, 64, "nested too deeply"),
        (b'{"T1w": {"acquisition": "Jos\xe9"}}', 64, "save it as UTF-8"),
        (b"\x00\x01", 64, "cannot be read"),
        (b'\xef\xbb\xbf{"T1w":\r\n{"extension": ".nii.gz"}}', 0, "1 done"),
        ('{"T1w": {"extension": ".nii.gz"}}'.encode("utf-16"), 0, "1 done"),
    ],
)
def test_filter_files(run, place, content, code, said):
    (place / "filters.json").write_bytes(content)
    returned, error = run("--bids-filter-file", place / "filters.json")
    assert returned == code
    assert said in error


def test_json_of_a_gigabyte(run, place):
    with (place / "big.json").open("wb") as file:
        file.truncate(1_000_000_000)
    code, error = run("--bids-filter-file", place / "big.json")
    assert code == 64
    assert error.splitlines()[-1] == (
        f"synthprep: stopped: {place}/big.json: cannot be read: it is larger than 64 MB "
        "(give --bids-filter-file a JSON file) [exit 64]"
    )
    (place / "big.json").replace(place / "raw/dataset_description.json")
    code, error = run()
    assert (code, "larger than 64 MB" in error, len(error.splitlines())) == (16, True, 1)


@pytest.mark.parametrize(
    "name",
    [
        "sub-01/anat/sub-01_acq-$(touch pwned)_T1w.nii.gz",
        "sub-01/anat/sub-01_acq-a;touch pwned_T1w.nii.gz",
        "sub-01/anat/sub-01_acq-a\nb_T1w.nii.gz",
        "sub-01/anat/sub-01_run-<script>_T1w.nii.gz",
        "sub-$(touch pwned)/anat/sub-$(touch pwned)_T1w.nii.gz",
        "sub-a\nb/anat/sub-a\nb_T1w.nii.gz",
        "sub-../anat/sub-.._T1w.nii.gz",
        "sub-01/ses-../anat/sub-01_ses-.._T1w.nii.gz",
    ],
)
def test_file_names_of_a_dataset(run, place, name):
    image = place / "raw" / name
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_bytes(b"no image")
    code, error = run()
    assert code == 0
    assert "1 done" in error
    assert all("touch" not in path.name for path in (place / "out").rglob("*"))


@pytest.mark.parametrize("link", ["sub-01", "sub-01/anat", "sub-01/figures", "logs", "models"])
@pytest.mark.parametrize("to", ["elsewhere", "raw", "nowhere"])
def test_folders_that_lead_out_of_the_output(place, capsys, link, to):
    path = place / "out" / link
    path.parent.mkdir(parents=True)
    path.symlink_to(place / to)
    before = snapshot(place, place / "out")
    code = main([str(place / "raw"), str(place / "out"), "participant"])
    assert snapshot(place, place / "out") == before
    assert code == 73
    assert f"{path}: a link out of the output folder" in capsys.readouterr().err


def test_files_that_lead_out_are_replaced_and_not_written_through(run, place):
    (place / "out").mkdir()
    names = ("README.md", "scans.json", "descriptions.tsv", ".bidsignore")
    for name in names:
        (place / "out" / name).symlink_to(place / "elsewhere/precious.txt")
    (place / "out/participants.tsv").symlink_to(place / "elsewhere/new.txt")
    assert run()[0] == 0
    assert not any((place / "out" / name).is_symlink() for name in ("scans.json", ".bidsignore"))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'\xef\xbb\xbf{"Name": "<script>x</script>", "BIDSVersion": "1.10.0"}\r\n', 0),
        ('{"Name": "Zürich", "BIDSVersion": "1.10.0"}'.encode("utf-16"), 0),
        ('{"Name": "Zürich", "BIDSVersion": "1.10.0"}'.encode("latin-1"), 16),
        (b'["Name", "BIDSVersion"]', 16),
    ],
)
def test_descriptions_in_any_encoding(run, place, content, code, monkeypatch):
    monkeypatch.setattr("bidsapp.bids.validate.find_program", lambda: None)  # which wants plain UTF-8
    (place / "raw/dataset_description.json").write_bytes(content)
    assert run()[0] == code


@pytest.mark.parametrize("content", [b"age\xff", b"\x00" * 10, b'a\n"' + b"x" * 200_000])
def test_a_table_that_cannot_be_read(run, place, content):
    (place / "raw/participants.tsv").write_bytes(content)
    code, error = run("--stratify", "age")
    assert code in {64, 65}
    assert "participants.tsv" in error


def test_html_in_metadata_is_escaped(tmp_path):
    from bidsapp.reports.records import VisitReport
    from bidsapp.reports.synthesized import Synthesized, write_visit_synthesized
    from bidsapp.reports.visit import write_visit_report

    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    report = VisitReport(
        visit=evil,
        version="1",
        rows=[{"contrast": evil, "filename": evil, "flags": evil, evil: evil}],
        decisions={evil: [evil]},
        flags=[evil],
        figures=[],
        methods=evil,
        outputs=[evil],
        sloppy=True,
    )
    page = write_visit_report(report, tmp_path / "a.html")
    write_visit_synthesized(page, Synthesized(evil, evil, made_by=evil, label="reject", reasons=[evil]))
    text = page.read_text()
    assert "<script" not in text
    assert "<img src=x" not in text
    assert text.count("&lt;script&gt;alert(1)") >= 8
