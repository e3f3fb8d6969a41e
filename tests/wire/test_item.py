"""Items: signing, opening, order."""

from __future__ import annotations

from fractions import Fraction
from hashlib import blake2b
from typing import Any

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from wire.support import EPOCH, TASK, item, keys, signed

from deid.errors import LocalError, RemoteError
from deid.search.evaluation import Evaluation
from deid.wire.item import ITEM_BYTES_MAX, Item, Usage, open_item, sign
from deid.wire.keys import KeyPair
from deid.wire.seqset import SeqSet

# Public key of the first test vector of RFC 8032, section 7.1.
RFC_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC_PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

hashes = st.binary(min_size=32, max_size=32)
label = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=20)
count = st.integers(0, (1 << 63) - 1)
items = st.builds(
    item,
    st.integers(1, 1_000),
    round=st.integers(0, (1 << 32) - 1),
    champion=st.booleans(),
    code=st.binary(min_size=1, max_size=200),
    source=st.text(st.characters(codec="utf-8"), max_size=100),
    parents=st.lists(hashes, max_size=8).map(tuple),
    operator=label,
    model=st.just("") | label,
    prompt_hash=st.just(b"") | hashes,
    usage=st.builds(Usage, count, count, count, count),
    price=count,
    claim=st.builds(
        Evaluation,
        count,
        st.lists(st.integers(-(1 << 62), 1 << 62), max_size=8).map(tuple),
        st.integers(1, 1 << 20),
    ),
    ancestry=st.lists(st.tuples(label, st.integers(0, 8_192)), max_size=8).map(tuple),
)


def test_a_key_pair_is_that_of_rfc_8032() -> None:
    assert KeyPair.from_seed(RFC_SEED).public.hex() == RFC_PUBLIC


@given(items)
def test_open_after_sign_is_identity(made: Item) -> None:
    opened = open_item(sign(made, keys(1)).raw)

    assert opened.item == made
    assert opened.name == (made.origin, made.epoch, made.seq)


def test_the_signature_is_plain_ed25519_over_context_and_body() -> None:
    raw = signed().raw

    Ed25519PublicKey.from_public_bytes(keys(1).public).verify(
        raw[:64], b"deid item 1\x00" + raw[64:]
    )


def test_the_content_hash_is_blake2b_of_the_code_alone() -> None:
    one, two = item(1, code=b"same"), item(2, code=b"same", source="other", node="beta")

    assert one.content_hash == two.content_hash
    assert one.content_hash == blake2b(b"same", digest_size=32).digest()


@given(st.data())
def test_no_changed_byte_is_taken(data: st.DataObject) -> None:
    raw = bytearray(signed().raw)
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))

    with pytest.raises(RemoteError):
        open_item(bytes(raw))


def test_a_field_of_a_newer_minor_is_covered_and_ignored() -> None:
    body = msgpack.unpackb(signed().raw[64:])
    newer = msgpack.packb([*body, {"new": 1}])
    raw = keys(1).sign(b"deid item 1\x00" + newer) + newer

    assert open_item(raw).item == item()
    assert open_item(raw).raw == raw


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("seq 0", {"seq": 0}),
    ("short task", {"task_hash": b"t" * 31}),
    ("no node name", {"node": ""}),
    ("control character in a name", {"node": "a\x1b[2J"}),
    ("negative round", {"round": -1}),
    ("round is a boolean", {"round": True}),
    ("champion is a number", {"champion": 1}),
    ("no code", {"code": b""}),
    ("code too long", {"code": b"c" * (16 * 1024 + 1)}),
    ("source too long", {"source": "s" * (32 * 1024 + 1)}),
    ("nine parents", {"parents": (b"p" * 32,) * 9}),
    ("half a prompt hash", {"prompt_hash": b"p" * 16}),
    ("negative usage", {"usage": Usage(-1)}),
    ("price beyond 63 bits", {"price": 1 << 63}),
    ("negative points", {"claim": Evaluation(-1, (1,), 10)}),
    ("points are a float", {"claim": Evaluation(1.5, (1,), 10)}),  # type: ignore[arg-type]
    ("no trials", {"claim": Evaluation(1, (1,), 0)}),
    ("nine measures", {"claim": Evaluation(1, (1,) * 9, 1)}),
    ("nine ancestors", {"ancestry": (("a", 1),) * 9}),
    ("shares beyond the whole", {"ancestry": (("a", 40_000), ("b", 40_000))}),
    ("live without itself", {"live": SeqSet(((2, 3),))}),
    ("live beyond itself", {"live": SeqSet(((1, 9),))}),
    ("too many ranges", {"live": SeqSet.of(range(1, 2_052, 2)), "seq": 2_051}),
]


@pytest.mark.parametrize(("what", "changes"), BROKEN, ids=[name for name, _ in BROKEN])
def test_a_broken_bound_is_neither_signed_nor_opened(what: str, changes: dict[str, Any]) -> None:
    with pytest.raises(LocalError, match="cannot be published"):
        sign(item(1, **changes), keys(1))


def test_sixty_four_kibibytes_are_the_most() -> None:
    codes = {"code": b"c" * (16 << 10), "source": "s" * (32 << 10)}
    live = SeqSet.of(range(1, 2_048 * 1_000, 2_000))
    big = item(live.last, live=live, **codes)

    assert len(sign(big, keys(1)).raw) <= ITEM_BYTES_MAX
    with pytest.raises(RemoteError, match="at most 65,536 bytes"):
        open_item(b"\x00" * (ITEM_BYTES_MAX + 1))


def test_only_the_origin_can_sign() -> None:
    with pytest.raises(LocalError, match="cannot be signed"):
        sign(item(), keys(2))


def test_the_order_is_fitness_then_content_origin_epoch_seq() -> None:
    best = item(1, claim=Evaluation(7, (1,), 2), code=b"b")
    contents = sorted([item(1, code=b"x"), item(1, code=b"y")], key=lambda each: each.content_hash)
    same = {"code": b"x", "claim": Evaluation(1, (1,), 1)}
    origins = sorted(keys(number).public for number in range(3))

    assert best.order_key < item(1, claim=Evaluation(10, (1,), 3)).order_key
    assert contents[0].order_key < contents[1].order_key
    assert (
        item(1, origin=origins[0], **same).order_key < item(1, origin=origins[1], **same).order_key
    )
    assert item(9, **same).order_key < item(1, epoch=EPOCH + 1, **same).order_key
    assert item(1, **same).order_key < item(2, **same).order_key


@given(count, st.integers(1, 1 << 20), count, st.integers(1, 1 << 20))
def test_the_order_is_exact_for_any_trials(a: int, b: int, c: int, d: int) -> None:
    one = item(1, claim=Evaluation(a, (1,), b), code=b"x").order_key[0]
    two = item(1, claim=Evaluation(c, (1,), d), code=b"x").order_key[0]

    assert (one < two) == (Fraction(a, b) > Fraction(c, d))
    assert (one == two) == (Fraction(a, b) == Fraction(c, d))


def test_golden_bytes_of_an_item() -> None:
    made = Item(
        origin=KeyPair.from_seed(RFC_SEED).public,
        epoch=(1_700_000_000 << 64) | 1,
        seq=5,
        task_hash=TASK,
        node="alpha",
        round=3,
        champion=True,
        code=b"\x01\x02",
        source="DAT 0",
        parents=(),
        operator="edit",
        model="",
        prompt_hash=b"",
        usage=Usage(1, 2, 3, 4),
        price=5,
        claim=Evaluation(300, (7, -1), 10),
        ancestry=(("edit", 65_536),),
        live=SeqSet(((1, 2), (5, 5))),
    )
    # By the MessagePack specification: array of 18 (dc 0012), binaries c4, texts a., integers.
    expected = (
        "dc0012"
        f"c420{RFC_PUBLIC}"
        "c410000000006553f1000000000000000001"
        "05"
        f"c420{TASK.hex()}"
        "a5616c706861" "03" "c3" "c4020102" "a54441542030" "90" "a465646974" "a0" "c400"
        "9401020304" "05" "93cd012c9207ff0a" "9192a465646974ce00010000" "9400010100"
    )  # fmt: skip

    assert sign(made, KeyPair.from_seed(RFC_SEED)).raw[64:].hex() == expected
