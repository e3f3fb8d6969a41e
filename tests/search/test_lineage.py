from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deid.search.lineage import MAKERS_MAX, OTHERS, WHOLE, Ancestry, child, founder, maker

labels = st.sampled_from([f"node-{k}/edit" for k in range(12)])


@st.composite
def ancestries(draw: st.DrawFn) -> Ancestry:
    """What a few generations of any makers leave."""
    pool = [founder(draw(labels)) for _ in range(3)]
    for _ in range(draw(st.integers(0, 12))):
        pool.append(child(draw(labels), draw(st.lists(st.sampled_from(pool), max_size=3))))
    return pool[-1]


def test_a_maker_is_named_by_node_operator_and_model() -> None:
    assert maker("alpha", "edit") == "alpha/edit"
    assert maker("alpha", "llm", "smollm2") == "alpha/llm/smollm2"


def test_a_program_made_from_nothing_is_its_makers_alone() -> None:
    assert child("a/edit", ()) == founder("a/edit") == (("a/edit", 65_536),)


def test_a_child_is_half_its_makers_and_half_its_parents() -> None:
    assert child("b/llm", [founder("a/edit")]) == (("a/edit", 32_768), ("b/llm", 32_768))


def test_two_parents_share_their_half_equally() -> None:
    crossed = child("c/x", [founder("a/x"), founder("b/x")])

    assert crossed == (("c/x", 32_768), ("a/x", 16_384), ("b/x", 16_384))


def test_four_generations_by_hand() -> None:
    first = founder("a/x")  # a 65536
    second = child("b/x", [first])  # a 32768, b 32768
    third = child("a/x", [second, first])  # parents: a 8192 + 16384, b 8192; own: the rest
    fourth = child("c/x", [third])

    assert third == (("a/x", 57_344), ("b/x", 8_192))
    assert fourth == (("c/x", 32_768), ("a/x", 28_672), ("b/x", 4_096))


def test_what_does_not_divide_is_the_makers() -> None:
    odd: Ancestry = (("a/x", 65_535), ("b/x", 1))

    assert child("c/x", [odd]) == (("c/x", 32_769), ("a/x", 32_767))


def test_the_smallest_shares_become_others() -> None:
    grown = founder("m0/x")
    for k in range(1, 10):
        grown = child(f"m{k}/x", [grown])

    # m9 has a half, m8 a quarter, ... m3 1/128; m2, m1, m0: 1/256 + 1/512 + 1/512 = 1/128
    expected = [(f"m{9 - k}/x", WHOLE >> (k + 1)) for k in range(7)]
    assert grown == (*expected, (OTHERS, WHOLE >> 7))


def test_what_is_others_once_stays_others() -> None:
    parent: Ancestry = (("a/x", 60_000), (OTHERS, 5_536))

    assert child("b/x", [parent]) == (("b/x", 32_768), ("a/x", 30_000), (OTHERS, 2_768))


@given(ancestries())
def test_shares_add_up_to_the_whole(ancestry: Ancestry) -> None:
    assert sum(share for _, share in ancestry) == WHOLE
    assert all(share > 0 for _, share in ancestry)


@given(ancestries())
def test_an_ancestry_is_bounded_and_names_each_maker_once(ancestry: Ancestry) -> None:
    names = [name for name, _ in ancestry]

    assert len(names) <= MAKERS_MAX
    assert len(set(names)) == len(names)


@given(ancestries())
def test_the_largest_maker_goes_first_and_others_last(ancestry: Ancestry) -> None:
    named = [row for row in ancestry if row[0] != OTHERS]

    assert named == sorted(named, key=lambda row: (-row[1], row[0]))
    assert list(ancestry[: len(named)]) == named


@given(st.permutations([founder("a/x"), founder("b/x"), (("c/x", 40_000), ("d/x", 25_536))]))
def test_the_order_of_the_parents_does_not_matter(parents: list[Ancestry]) -> None:
    assert child("e/x", parents) == child("e/x", sorted(parents))


foreign = st.lists(
    st.tuples(st.text("abc", min_size=1, max_size=1), st.integers(0, 9_000)), max_size=7
)


@given(st.lists(foreign.map(tuple), min_size=1, max_size=3))
def test_whatever_a_peer_claims_of_its_ancestors_a_child_has_a_lawful_ancestry(
    parents: list[Ancestry],
) -> None:
    made = child("me/edit", parents)

    assert sum(share for _, share in made) == WHOLE
    assert made[0][0] == "me/edit"
    assert made[0][1] >= WHOLE // 2
