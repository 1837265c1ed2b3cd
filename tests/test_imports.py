"""Imports point one way (DESIGN), nothing heavy is loaded early, and some things stay out."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "visavis"
FILES = sorted(SOURCE.rglob("*.py"))

BASE = {"behaviour", "channels", "dyad", "noise", "errors", "files"}
EVERYTHING = {"*"}
MAY_IMPORT: dict[str, set[str]] = {
    "lazy": set(),
    "errors": set(),
    "jit": {"errors"},
    "noise": set(),
    "files": {"errors"},
    "channels": {"errors"},
    "behaviour": {"channels", "errors", "files"},
    "appropriate": {"errors", "files", "metrics"},
    "dyad": {"behaviour", "channels", "errors", "files"},
    "media": BASE,
    "features": BASE | {"media"},
    "corpora": BASE | {"media", "features", "appropriate"},
    "nn": {"noise", "errors"},
    "recipes": {"errors", "models", "pretrained"},  # a wrapper's recipe names weights
    "models": BASE | {"features", "nn"},
    "pretrained": BASE | {"recipes", "models"},
    "training": BASE | {"models", "nn", "recipes"},
    "streaming": BASE | {"models", "nn"},
    "metrics": BASE | {"jit", "appropriate"},
    "render": BASE | {"jit", "media", "features"},
    "demo": BASE | {"media", "features", "render"},
    "bench": EVERYTHING,
    "export": BASE | {"media", "render", "metrics", "appropriate"},
    "cli": EVERYTHING,
    "__main__": {"cli"},
    "__init__": EVERYTHING,
}
"""Part of visavis -> the other parts it may import; "visavis" itself gives only its version."""


def part_of(path: Path) -> str:
    return home(path.relative_to(SOURCE).parts[0].removesuffix(".py"))


def home(name: str) -> str:
    """The part that a module belongs to: `_behaviour_files` is a piece of `behaviour`."""
    return name.split("_")[1] if name.startswith("_") and not name.startswith("__") else name


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules (or of their members) that a file imports, lazily or not."""
    package = ("visavis", *path.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def test_every_part_is_in_the_table_above() -> None:
    assert {part_of(p) for p in FILES} <= set(MAY_IMPORT)


@pytest.mark.parametrize("part", sorted(MAY_IMPORT))
def test_imports_point_one_way(part: str) -> None:
    allowed = MAY_IMPORT[part]
    wrong = []
    for path in (p for p in FILES if part_of(p) == part):
        for name in imported(path):
            if not name.startswith("visavis") or allowed is EVERYTHING:
                continue
            other = home(name.split(".")[1]) if "." in name else "__init__"
            if other not in allowed | {part, "__version__", "lazy"}:
                wrong.append(f"{path.relative_to(SOURCE)} imports {name}")
    assert not wrong


def test_the_maths_knows_only_torch() -> None:
    heads = {n.split(".")[0] for p in FILES if part_of(p) == "nn" for n in imported(p)}
    outside = heads - set(sys.stdlib_module_names) - {"visavis"}
    assert outside <= {"torch"}


def test_the_maths_does_not_speak_of_people() -> None:
    words = ("speaker", "listener", "face ", "facial")
    found = [
        f"{p.name}: {w}"
        for p in FILES
        if part_of(p) == "nn"
        for w in words
        if w in p.read_text("utf-8").lower()
    ]
    assert not [f for f in found if not f.startswith("__init__")]


FILE_CALLS = {
    *("open", "fdopen", "read_text", "read_bytes", "write_text", "write_bytes", "fromfile"),
    *(
        "tofile",
        "load",
        "save",
        "safe_open",
        "load_file",
        "save_file",
        "memmap",
        "savez",
        "loadtxt",
    ),
}
DEVICES = re.compile(r"(cpu|cuda|mps|xpu)(:\d+)?")


def files_and_devices(text: str) -> list[str]:
    """Calls that could open a file, and devices by name."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in FILE_CALLS or name in ("cuda", "mps"):
                found.append(name)
        elif isinstance(node, ast.Constant) and DEVICES.fullmatch(str(node.value)):
            found.append(str(node.value))
    return found


def test_models_open_no_files_and_name_no_device() -> None:
    for path in (p for p in FILES if part_of(p) in ("models", "nn", "streaming")):
        assert not files_and_devices(path.read_text("utf-8")), path


@pytest.mark.parametrize(
    "line",
    [
        "open('a')",
        "path.open()",
        "Path('a').read_text()",
        "path.read_bytes()",
        "torch.load(path)",
        "x.cuda()",
        "x.to('cuda:1')",
        "torch.device('cpu')",
        "device = 'mps'",
    ],
)
def test_a_file_or_a_device_is_found_however_it_is_named(line: str) -> None:
    assert len(files_and_devices(line)) == 1


@pytest.mark.parametrize("banned", ["torchvision", "torchaudio", "pickle", "dill", "joblib"])
def test_some_packages_stay_out(banned: str) -> None:
    users = [p.name for p in FILES if banned in {n.split(".")[0] for n in imported(p)}]
    assert not users


def called(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


@pytest.mark.parametrize("banned", ["print", "torch.load", "torch.save", "np.load", "eval", "exec"])
def test_some_calls_stay_out(banned: str) -> None:
    users = [str(p.relative_to(SOURCE)) for p in FILES if banned in called(p)]
    assert not users


# ---------------------------------------------------------------------- what is loaded when


def loaded_by(code: str) -> set[str]:
    """Top-level packages that are loaded after `code` ran in a fresh interpreter."""
    report = "\nimport sys; sys.stderr.write('LOADED ' + ' '.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in run.stderr.rpartition("LOADED ")[2].split()}


HEAVY = {"torch", "numba", "av", "mediapipe", "cv2", "scipy", "pandas", "skimage", "librosa"}


def test_importing_visavis_loads_neither_torch_nor_numpy() -> None:
    loaded = loaded_by("import visavis; visavis.__version__; dir(visavis)")
    assert "visavis" in loaded
    assert not loaded & (HEAVY | {"numpy", "pydantic", "typer"})


def test_the_help_loads_no_torch() -> None:
    code = (
        "import sys; from visavis.cli import main\n"
        "sys.argv = ['visavis', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )
    loaded = loaded_by(code)
    assert "typer" in loaded
    assert not loaded & (HEAVY | {"numpy"})


@pytest.mark.parametrize("module", ["behaviour", "recipes", "pretrained", "models.trans_vae"])
def test_what_one_needs_brings_no_media_or_tracker(module: str) -> None:
    assert not loaded_by(f"import visavis.{module}") & {"av", "mediapipe", "cv2", "numba"}


def test_every_public_name_is_there() -> None:
    import visavis

    for name in visavis.__all__:
        assert getattr(visavis, name) is not None
    assert set(visavis._HOME) | {"__version__"} == set(visavis.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        visavis.lod  # noqa: B018
