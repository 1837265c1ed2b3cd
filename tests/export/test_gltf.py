""".glb files: valid by Khronos' own validator, and played by three in a real browser."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.export.people import waving
from visavis.behaviour import Behaviour
from visavis.channels import BLENDSHAPES
from visavis.errors import InputError
from visavis.export import write_glb
from visavis.export.gltf import plain

gltf = pytest.importorskip("pygltflib")

TOOLS = Path(__file__).parent.parent / "browser"
CHROMIUM = Path("/usr/bin/chromium")
SOFTWARE_GL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


def tool(name: str) -> Path:
    found = TOOLS / "node_modules" / name
    if not found.exists():
        pytest.skip(f"{name} is not installed: npm install --prefix tests/browser")
    return found


def avatar(path: Path, names: list[str], *, turned: bool = False) -> Path:
    """A triangle with named targets, under a node called Armature and a bone called Head."""
    from visavis.export._gltf_buffer import VERTICES, Buffer

    buffer, document = Buffer(), gltf.GLTF2()
    corners = np.eye(3, dtype=np.float32)
    targets = [
        gltf.Attributes(POSITION=buffer.add(0.1 * corners, "VEC3", bounds=True, of=VERTICES))
        for _ in names
    ]
    primitive = gltf.Primitive(
        attributes=gltf.Attributes(POSITION=buffer.add(corners, "VEC3", bounds=True, of=VERTICES)),
        targets=targets or None,
    )
    extras = {"targetNames": names} if names else {}
    document.meshes.append(gltf.Mesh(primitives=[primitive], extras=extras))
    quarter = [0.7071068, 0.0, 0.0, 0.7071068]
    document.nodes += [
        gltf.Node(name="Armature", children=[1], rotation=quarter if turned else None),
        gltf.Node(name="mixamorig:Head", children=[2], rotation=[0.0, 0.0, 0.38268, 0.92388]),
        gltf.Node(name="Face", mesh=0),
    ]
    document.scenes.append(gltf.Scene(nodes=[0]))
    document.scene = 0
    buffer.into(document)
    path.write_bytes(b"".join(document.save_to_bytes()))
    return path


def validated(path: Path) -> dict[str, Any]:
    tool("gltf-validator")
    node = shutil.which("node") or pytest.skip("node is not installed")
    script = (
        "const v=require('gltf-validator'),fs=require('fs');"
        "v.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])))"
        ".then(r=>console.log(JSON.stringify(r)))"
    )
    done = subprocess.run(
        [node, "-e", script, str(path)], cwd=TOOLS, capture_output=True, text=True, check=True
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_khronos_validator_finds_no_error(tmp_path: Path) -> None:
    report = validated(write_glb(waving(), tmp_path / "a.glb"))
    issues = report["issues"]
    assert issues["numErrors"] == 0 and issues["numWarnings"] == 0, issues["messages"]
    assert report["info"]["animationCount"] == 1
    assert report["info"]["hasMorphTargets"]


def test_a_users_avatar_stays_valid(tmp_path: Path) -> None:
    me = avatar(tmp_path / "me.glb", ["jawOpen", "mouthSmile_L"])
    out = write_glb(waving(), tmp_path / "out.glb", avatar=me)
    issues = validated(out)["issues"]
    assert issues["numErrors"] == 0, issues["messages"]


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[str, Path]]:
    """A local server of tests/browser with a folder for files under it."""
    tool("three")
    folder = TOOLS / "node_modules" / ".played"
    folder.mkdir(exist_ok=True)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...

    handler = functools.partial(Quiet, directory=str(TOOLS))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", folder
        server.shutdown()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def page(site: tuple[str, Path]) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with playwright.sync_playwright() as run:
        browser = run.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", *SOFTWARE_GL]
        )
        yield browser
        browser.close()


def opened(browser: Any, site: tuple[str, Path], path: Path) -> Any:
    shutil.copy(path, site[1] / path.name)
    page = browser.new_page(viewport={"width": 300, "height": 300})
    page.goto(f"{site[0]}/player.html")
    page.wait_for_function("window.ready")
    page.evaluate(f"load('/node_modules/.played/{path.name}')")
    return page


@pytest.mark.browser
def test_three_plays_our_head(page: Any, site: tuple[str, Path], tmp_path: Path) -> None:
    person = waving()
    view = opened(page, site, write_glb(person, tmp_path / "ours.glb"))
    pictures = []
    for frame in (0, 12, 37):
        shown = view.evaluate(f"show({frame / 25})")
        weights = np.zeros(52)
        for name, place in shown["targets"].items():
            weights[BLENDSHAPES.index(name)] = shown["weights"][place]
        np.testing.assert_allclose(weights, person["blendshapes"][frame], atol=1e-3)
        pitch, yaw, roll = person["rotation"][frame].tolist()
        wanted = Rotation.from_euler("YXZ", [yaw, pitch, roll]).as_matrix()
        turn = Rotation.from_quat(shown["head"]["turn"]).as_matrix()
        np.testing.assert_allclose(turn, wanted, atol=1e-3)
        shift = person["translation"][frame].numpy()
        np.testing.assert_allclose(shown["body"]["position"], 0.7 * shift, atol=1e-4)
        pictures.append(view.screenshot(path=str(tmp_path / f"{frame}.png")))
    assert len(set(pictures)) == 3


@pytest.mark.browser
def test_three_turns_an_avatars_head_about_the_worlds_axes(
    page: Any, site: tuple[str, Path], tmp_path: Path
) -> None:
    me = avatar(tmp_path / "me.glb", ["Face.mouthSmile_L", "JAWOPEN", "hairSwing"], turned=True)
    person = waving()
    view = opened(page, site, write_glb(person, tmp_path / "out.glb", avatar=me))
    rest = Rotation.from_euler("x", 90, degrees=True) * Rotation.from_quat([0, 0, 0.38268, 0.92388])
    for frame in (0, 12, 37):
        shown = view.evaluate(f"show({frame / 25})")
        smile, jaw, hair = shown["weights"]
        smiling = person["blendshapes"][frame, BLENDSHAPES.index("mouthSmileLeft")]
        assert smile == pytest.approx(float(smiling), abs=1e-3)
        open_ = person["blendshapes"][frame, BLENDSHAPES.index("jawOpen")]
        assert jaw == pytest.approx(float(open_), abs=1e-3)
        assert hair == 0
        turn = view.evaluate("bone('mixamorigHead')")
        pitch, yaw, roll = person["rotation"][frame].tolist()
        wanted = Rotation.from_euler("YXZ", [yaw, pitch, roll]) * rest
        np.testing.assert_allclose(
            Rotation.from_quat(turn).as_matrix(), wanted.as_matrix(), atol=1e-3
        )


def test_names_of_targets_are_known_whatever_their_dress() -> None:
    for name in ("jawOpen", "JawOpen", "Face.M_JAWOPEN", "blendShape1.jawOpen", "jaw_open"):
        assert plain(name) == "jawopen"
    assert plain("mouthSmile_L") == "mouthsmileleft"
    assert plain("eyeLookOut_R") == "eyelookoutright"
    assert plain("hairSwing") not in {n.lower() for n in BLENDSHAPES}


def test_an_avatar_that_cannot_be_moved_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out.glb"
    bare = avatar(tmp_path / "bare.glb", [])
    with pytest.raises(InputError, match="no named morph targets"):
        write_glb(waving(), out, avatar=bare)
    other = avatar(tmp_path / "other.glb", ["Fcl_ALL_Joy"])
    with pytest.raises(InputError, match="Fcl_ALL_Joy"):
        write_glb(waving(), out, avatar=other)
    me = avatar(tmp_path / "me.glb", ["jawOpen"])
    with pytest.raises(InputError, match=r"no node 'Kopf'.*Armature"):
        write_glb(waving(), out, avatar=me, head="Kopf")
    (tmp_path / "text.glb").write_text("not a model")
    with pytest.raises(InputError, match=r"no \.glb"):
        write_glb(waving(), out, avatar=tmp_path / "text.glb")
    (tmp_path / "cut.glb").write_bytes(me.read_bytes()[:40])
    with pytest.raises(InputError, match="cannot be read"):
        write_glb(waving(), out, avatar=tmp_path / "cut.glb")
    with pytest.raises(InputError, match="input itself"):
        write_glb(waving(), me, avatar=me)
    assert not out.exists()


def test_a_resting_person_without_pose_is_exported_too(tmp_path: Path) -> None:
    still = Behaviour.of({"blendshapes": torch.zeros(1, 52)})
    path = write_glb(still, tmp_path / "still.glb")
    assert len(gltf.GLTF2.load_from_bytes(path.read_bytes()).animations) == 1
