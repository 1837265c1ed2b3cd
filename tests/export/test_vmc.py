"""VMC bundles, read back by python-osc's own server."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.export.people import waving
from visavis.channels import BLENDSHAPES
from visavis.errors import InputError
from visavis.export import send, vmc_messages


def test_an_osc_server_gets_every_shape_and_the_head() -> None:
    dispatcher = pytest.importorskip("pythonosc.dispatcher")
    servers = pytest.importorskip("pythonosc.osc_server")
    heard: list[tuple[str, tuple[Any, ...]]] = []
    table = dispatcher.Dispatcher()
    table.set_default_handler(lambda address, *values: heard.append((address, values)))
    person, done = waving(5), threading.Event()
    with servers.BlockingOSCUDPServer(("127.0.0.1", 0), table) as server:

        def serve() -> None:
            for _ in range(5):
                server.handle_request()
            done.set()

        threading.Thread(target=serve, daemon=True).start()
        send(vmc_messages(person), rate=100, port=server.server_address[1])
        assert done.wait(5)
    shapes = [v for a, v in heard if a == "/VMC/Ext/Blend/Val"]
    assert [n for n, _ in shapes] == list(BLENDSHAPES) * 5
    values = np.array([x for _, x in shapes]).reshape(5, 52)
    np.testing.assert_allclose(values, person["blendshapes"], atol=1e-6)
    order = [a.rsplit("/", 1)[-1] for a, _ in heard][52:56]
    assert order == ["Apply", "Pos", "T", "OK"]
    heads = [v for a, v in heard if a == "/VMC/Ext/Bone/Pos"]
    for t, (name, *rest) in enumerate(heads):
        assert name == "Head" and rest[:3] == [0, 0, 0]
        pitch, yaw, roll = person["rotation"][t].tolist()
        turn = Rotation.from_euler("YXZ", [yaw, pitch, roll]).as_matrix()
        flip = np.diag([-1.0, 1.0, 1.0])  # the receiver's X points the other way
        wanted = flip @ turn @ flip
        np.testing.assert_allclose(Rotation.from_quat(rest[3:]).as_matrix(), wanted, atol=1e-6)


def test_a_bone_that_vmc_does_not_move_is_refused() -> None:
    with pytest.raises(InputError, match="Neck"):
        next(vmc_messages(waving(2), bone="LeftFoot"))
