"""The key file and the epoch rule."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.errors import ConfigError, StoreError
from deid.store import Identity, Mark, next_epoch

# RFC 8032, section 7.1, test 1: seed and public key.
SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
NOW_S, BITS = 1_700_000_000, 0xABCD


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity.load_or_create(tmp_path / "key")


def test_a_key_file_gives_the_public_key_of_the_standard(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(SEED + "\n")
    path.chmod(0o600)

    identity = Identity.load_or_create(path)

    assert identity.seed.hex() == SEED
    assert identity.public.hex() == PUBLIC


def test_a_new_key_is_stored_for_its_owner_alone_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "key"
    first = Identity.load_or_create(path)
    again = Identity.load_or_create(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == first.seed.hex() + "\n"
    assert again.public == first.public
    assert Identity.load_or_create(tmp_path / "other").public != first.public
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "other"]


def test_the_private_seed_is_in_no_repr(identity: Identity) -> None:
    assert identity.seed.hex()[:8] not in repr(identity)
    assert repr(identity.seed)[2:8] not in repr(identity)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o666, 0o601])
def test_a_key_file_open_to_others_is_refused_with_what_to_do(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    Identity.load_or_create(path)
    path.chmod(mode)

    with pytest.raises(ConfigError, match=rf"got 0{mode:o}[\s\S]*chmod 600 "):
        Identity.load_or_create(path)


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o640])
def test_a_key_that_only_owner_and_group_read_is_taken(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    public = Identity.load_or_create(path).public
    path.chmod(mode)

    assert Identity.load_or_create(path).public == public


@pytest.mark.parametrize(
    "text", ["", "\n", SEED[:-1], SEED + "0", SEED.upper(), "z" * 64, SEED + "\n\n", "\x00" * 64]
)
def test_a_malformed_key_is_a_configuration_error_and_stays_as_it_is(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)

    with pytest.raises(ConfigError, match="expected 64 hex digits"):
        Identity.load_or_create(path)
    assert path.read_text() == text


def test_a_key_file_without_a_directory_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot create"):
        Identity.load_or_create(tmp_path / "missing" / "key")


def test_a_malformed_mark_is_a_configuration_error(tmp_path: Path, identity: Identity) -> None:
    (tmp_path / "key.epoch").write_bytes(b"deid-epoch 1 12 3\n")

    with pytest.raises(ConfigError, match=r"key\.epoch: expected 'deid-epoch 1 EPOCH SEQ'"):
        identity.mark()


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**53 - 1))
def test_a_mark_reads_back_as_written(epoch: int, seq: int) -> None:
    assert Mark.of_bytes(Mark(epoch, seq).to_bytes()) == Mark(epoch, seq)


@given(st.integers(0, 2**40), st.integers(0, 2**64 - 1))
def test_an_epoch_is_wall_seconds_then_64_random_bits(now_s: int, bits: int) -> None:
    assert divmod(next_epoch(now_s, bits), 2**64) == (now_s, bits)


def test_an_epoch_takes_no_more_than_64_random_bits() -> None:
    with pytest.raises(ValueError, match="64 bits"):
        next_epoch(NOW_S, 2**64)


def test_the_first_start_begins_an_epoch_and_marks_it(identity: Identity) -> None:
    choice = identity.current(None, NOW_S, BITS)

    assert choice.fresh
    assert choice.epoch == next_epoch(NOW_S, BITS)
    assert identity.mark() == Mark(choice.epoch, 0)


@pytest.mark.parametrize(("state_seq", "mark_seq"), [(0, 0), (5, 5), (6, 5)])
def test_a_normal_restart_keeps_the_epoch(
    identity: Identity, state_seq: int, mark_seq: int
) -> None:
    identity.raise_mark(Mark(77, mark_seq))

    choice = identity.current(Mark(77, state_seq), NOW_S, BITS)

    assert (choice.epoch, choice.fresh) == (77, False)
    assert identity.mark() == Mark(77, mark_seq)


@pytest.mark.parametrize(
    ("state", "mark", "reason"),
    [
        (None, Mark(77, 5), "lost"),
        (Mark(77, 5), None, "no mark"),
        (Mark(76, 9), Mark(77, 5), "another state"),
        (Mark(78, 9), Mark(77, 5), "another state"),
        (Mark(77, 4), Mark(77, 5), "older copy"),
    ],
)
def test_a_lost_or_replaced_state_directory_gets_a_new_epoch(
    identity: Identity, state: Mark | None, mark: Mark | None, reason: str
) -> None:
    if mark is not None:
        identity.raise_mark(mark)

    choice = identity.current(state, NOW_S, BITS)

    assert choice.fresh
    assert reason in choice.reason
    assert choice.epoch == next_epoch(NOW_S, BITS)
    assert identity.mark() == Mark(choice.epoch)


def test_a_crash_before_the_new_epoch_reached_the_journal_begins_another(
    identity: Identity,
) -> None:
    first = identity.current(None, NOW_S, BITS)
    second = identity.current(None, NOW_S, BITS + 1)

    assert second.fresh
    assert second.epoch != first.epoch


def test_the_clock_may_stand_behind_the_mark(identity: Identity) -> None:
    identity.raise_mark(Mark(next_epoch(NOW_S, 1), 3))

    assert identity.current(None, NOW_S - 1_000_000, BITS).fresh


def test_the_mark_may_stand_elsewhere_than_the_key(tmp_path: Path) -> None:
    elsewhere = tmp_path / "mark"
    identity = Identity.load_or_create(tmp_path / "key", mark_file=elsewhere)
    identity.current(None, NOW_S, BITS)

    assert elsewhere.exists()
    assert not (tmp_path / "key.epoch").exists()
