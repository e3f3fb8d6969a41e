"""Random Redcode for the fuzzers: programs from a grammar, and noise over published ones."""

from __future__ import annotations

from hypothesis import strategies as st

OPCODES = [
    "MOV",
    "ADD",
    "SUB",
    "MUL",
    "DIV",
    "MOD",
    "JMZ",
    "JMN",
    "DJN",
    "CMP",
    "SLT",
    "SPL",
    "DAT",
    "JMP",
    "SEQ",
    "SNE",
    "NOP",
    "LDP",
    "STP",
]
WORDS = [
    *OPCODES, "equ", "for", "rof", "org", "end", "pin", "i", "j", "x", "lab", "lab&i", "x&i&j", "&",
    ".", ".ab", ".I", ",", "#", "$", "@", "<", ">", "*", "{", "}", "+", "-", "/", "%", "(", ")",
    "==", "!=", "&&", "||", "=", "!", ":", ";", ";assert", ";redcode", "\\", "\n", "\n", "\n", " ",
    "0", "1", "2", "100", "8000", "99999999999999999999", "CORESIZE", "CURLINE", "MAXLENGTH",
]  # fmt: skip

soup = st.lists(st.sampled_from(WORDS), max_size=80).map(" ".join)

names = st.sampled_from(["a1", "b1", "c1", "i", "j", "CURLINE", "CORESIZE", "e1", "e2"])
numbers = st.integers(0, 1 << 40).map(str)
expressions = st.recursive(
    numbers | names,
    lambda inner: st.one_of(
        st.tuples(
            inner, st.sampled_from(["+", "-", "*", "/", "%", "==", "<", ">=", "&&", "||"]), inner
        ).map("".join),
        inner.map("({})".format),
        st.tuples(st.sampled_from("-+!"), inner).map("".join),
        st.tuples(st.sampled_from(["u=", "v="]), inner).map("".join),
    ),
    max_leaves=8,
)
operands = st.tuples(
    st.sampled_from(["", "#", "$", "@", "<", ">", "*", "{", "}"]), expressions
).map("".join)
instructions = st.builds(
    "{} {}{} {}, {}".format,
    st.sampled_from(["", "", "a1", "b1:", "c1\n", "d&i"]),
    st.sampled_from(OPCODES),
    st.sampled_from(["", ".A", ".ab", ".I"]),
    operands,
    operands,
)
lines = st.one_of(
    instructions,
    instructions,
    st.builds("{} equ {}".format, st.sampled_from(["e1", "e2", ""]), expressions),
    st.builds("e3 equ {}\n equ {}".format, instructions, instructions),
    st.just(" e3"),
    st.builds("i for {}\n {}\n rof".format, expressions, instructions),
    st.builds("j for {}".format, st.sampled_from("0123")),
    st.just(" rof"),
    st.builds(" org {}".format, expressions),
    st.builds(";assert {}".format, expressions),
)
programs = st.lists(lines, max_size=12).map("\n".join)
