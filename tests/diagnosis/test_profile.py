"""Profile: its numbers, its files, its refusals."""

from __future__ import annotations

import dataclasses
import json
import zipfile

import numpy as np
import pytest

from conflictopt import Profile
from conflictopt.diagnosis.profile import ProfileError


@pytest.fixture
def profile(profile_of_rows):
    """Three losses, the last without gradient, values that no short decimal represents."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((7, 3, 5)) * np.array([1e-9, 1e9, 0.0])[:, None]
    return profile_of_rows(rows, rng.random((7, 3)) / 3)


def test_norms_and_cosines_by_hand(profile_of_rows):
    p = profile_of_rows([[[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]]])
    assert p.norms.tolist() == [[5.0, 2.0, 0.0]]
    assert p.cosines[0, 0].tolist() == pytest.approx([1.0, 0.8, np.nan], nan_ok=True)
    assert np.isnan(p.cosines[0, 2]).all()


def test_cosines_stay_within_one_and_norms_are_real():
    gram = np.array([[[1.0, -1.0000001], [-1.0000001, 1.0]], [[-1e-30, 0.0], [0.0, 4.0]]])
    p = Profile(("a", "b"), np.array([0, 1]), np.ones((2, 2)), gram)
    assert p.cosines[0, 0, 1] == -1.0
    assert p.norms[1].tolist() == [0.0, 2.0]


# -- files -------------------------------------------------------------------------------------


@pytest.fixture
def layered(profile):
    """The same with Gramians of two layers, whose names no encoding may change."""
    part = profile.gramians / 3
    both = np.stack([part, profile.gramians - part], axis=1)
    blocks = ("network/0", "décodeur/1")
    updates = np.linspace(-0.5, 0.5, len(profile.steps))
    updates[1] = np.nan  # of a step that was not looked at
    return dataclasses.replace(profile, blocks=blocks, block_gramians=both, updates=updates)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_round_trip_with_layers_is_exact(suffix, layered, tmp_path):
    loaded = Profile.load(layered.save(tmp_path / f"profile{suffix}"))
    assert loaded.blocks == layered.blocks
    assert loaded.block_gramians.dtype == np.float64
    assert np.array_equal(loaded.block_gramians, layered.block_gramians)
    assert np.array_equal(loaded.updates, layered.updates, equal_nan=True)
    assert set(layered.to_json()) == {f.name for f in dataclasses.fields(Profile)}


def test_a_layer_is_a_profile_of_its_own(layered, profile):
    first = layered.of_block("network/0")
    assert (first.names, first.blocks) == (profile.names, ())
    assert np.array_equal(first.gramians, layered.block_gramians[:, 0])
    with pytest.raises(ProfileError, match=r"one of the blocks \('network/0', .*found 'trunk'"):
        layered.of_block("trunk")
    with pytest.raises(ProfileError, match=r"one of the blocks \(\), found 'network/0'"):
        profile.of_block("network/0")


def test_layers_and_their_gramians_come_together(layered):
    for change in ({"blocks": ()}, {"block_gramians": None}, {"blocks": ("a", "b", "c")}):
        with pytest.raises(ProfileError, match="or neither of both"):
            dataclasses.replace(layered, **change)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_round_trip_is_exact(suffix, profile, tmp_path):
    path = profile.save(tmp_path / f"profile{suffix}")
    loaded = Profile.load(str(path))
    assert loaded.names == profile.names
    for field in ("steps", "losses", "gramians"):
        found, expected = getattr(loaded, field), getattr(profile, field)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)


def test_names_of_any_script_survive(profile, tmp_path):
    names = ("pde/u_t", "Randwert ü", "初期")
    renamed = Profile(names, profile.steps, profile.losses, profile.gramians)
    for suffix in (".npz", ".json"):
        assert Profile.load(renamed.save(tmp_path / f"p{suffix}")).names == names


def test_json_is_plain_and_complete(profile, tmp_path):
    text = profile.save(tmp_path / "p.json").read_text(encoding="utf-8")
    assert set(json.loads(text)) == {"names", "steps", "losses", "gramians"}
    assert json.loads(text) == profile.to_json()


def test_neither_format_uses_pickle(profile, tmp_path):
    with np.load(profile.save(tmp_path / "p.npz"), allow_pickle=False) as data:
        assert all(data[key].dtype != object for key in data.files)
    pickled = tmp_path / "evil.npz"
    np.savez(pickled, names=np.array(["a"]), steps=np.array([0]), losses=np.array([[{}]]))
    with pytest.raises(ProfileError, match=r"evil\.npz' is not a profile: .*pickle"):
        Profile.load(pickled)


# -- refusals ----------------------------------------------------------------------------------


def test_refused_paths(profile, tmp_path):
    with pytest.raises(ProfileError, match=r"ending in \.npz or \.json, found .*p\.pt'"):
        profile.save(tmp_path / "p.pt")
    with pytest.raises(ProfileError, match=r"no profile at '.*absent\.npz'"):
        Profile.load(tmp_path / "absent.npz")
    with pytest.raises(ProfileError, match="no profile at"):
        Profile.load(tmp_path)


def truncated_zip(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("names.npy", b"0" * 500)
    path.write_bytes(path.read_bytes()[:200])


def damaged_member(path):
    np.savez_compressed(path, names=np.array(["a"]), steps=np.arange(1000))
    content = bytearray(path.read_bytes())
    content[60:100] = b"\xff" * 40
    path.write_bytes(bytes(content))


def writes(content):
    return lambda path: path.write_bytes(content)


def holds(**content):
    return writes(json.dumps(content).encode())


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("empty.npz", writes(b"")),
        ("text.npz", writes(b"not an archive")),
        ("truncated.npz", truncated_zip),
        ("damaged.npz", damaged_member),
        ("array.npz", lambda path: np.save(path.open("wb"), np.zeros(3))),
        ("other.npz", lambda path: np.savez(path, something=np.zeros(3))),
        ("empty.json", writes(b"")),
        ("binary.json", writes(b"\xff\xfe\x00")),
        ("list.json", writes(b"[1, 2]")),
        ("null.json", writes(b"null")),
        ("partial.json", holds(names=["a"], steps=[0])),
        ("ragged.json", holds(names=["a"], steps=[0, 1], losses=[[1], []], gramians=[[[1]]])),
        ("shapes.json", holds(names=["a"], steps=[0], losses=[[1, 2]], gramians=[[[1]]])),
        ("none.json", holds(names=[], steps=[], losses=[], gramians=[])),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_that_are_not_profiles(name, write, tmp_path):
    path = tmp_path / name
    write(path)
    with pytest.raises(ProfileError, match=f"{name}' is not a profile: "):
        Profile.load(path)


def test_refused_shapes():
    with pytest.raises(ProfileError, match="at least one sample of one loss, found T=0, K=1"):
        Profile(("a",), np.zeros(0, dtype=np.int64), np.zeros((0, 1)), np.zeros((0, 1, 1)))
    with pytest.raises(ProfileError, match=r"expected losses \[1, 2\] and gramians \[1, 2, 2\], "):
        Profile(("a", "b"), np.zeros(1, dtype=np.int64), np.zeros((1, 2)), np.zeros((1, 2, 1)))
