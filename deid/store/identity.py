"""The node's ed25519 key, and the epoch under which it numbers what it publishes.

A name (origin key, epoch, seq) must never be given twice, not even after the state directory was
lost or replaced by an older copy. So beside the key, outside the state directory, stands a *mark*:
the newest epoch and the highest seq published in it. The rule, at every start:

======================  =================  ================================================
the state directory     the mark           what follows
======================  =================  ================================================
has no epoch            none               a new epoch: the first start
has no epoch            any                a new epoch: the state was lost
has one                 none               a new epoch: nothing vouches for the state
has one                 of another epoch   a new epoch: another state was put in place
has the mark's epoch    a higher seq       a new epoch: an older copy was put in place
has the mark's epoch    the same or lower  the epoch stays and seq goes on: a normal restart
======================  =================  ================================================

The third case of a lost state, meeting an own item newer than one's log, is the daemon's to see;
it then asks for :meth:`Identity.renew`.

The state directory's side of it is a mark of the same form, in the journal's meta under
:data:`STATE_MARK`, committed in one transaction with the own items that it counts (their highest
seq outlives them: retention may drop the items).

Order of writing: an own item is committed to the journal, then the mark is raised, then the item
leaves the node. A crash between the first two leaves the mark lower than the journal: a normal
restart.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from deid.errors import ConfigError
from deid.store.files import create_durably, store_error, write_durably

SEED_BYTES = 32
RANDOM_BITS = 64  # of an epoch, below its wall seconds
EPOCH_BITS = 128

STATE_MARK = "mark"  # key of the journal's meta

_KEY = re.compile(rb"[0-9a-f]{64}\n?")
_MARK = re.compile(rb"deid-epoch 1 ([0-9a-f]{32}) ([0-9]{1,16})\n?")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in an origin's log: its epoch, and the highest seq given in it (0: none yet)."""

    epoch: int
    seq: int = 0

    def to_bytes(self) -> bytes:
        """One line: ``deid-epoch 1``, the epoch in 32 hex digits, the seq in decimal."""
        return b"deid-epoch 1 %032x %d\n" % (self.epoch, self.seq)

    @classmethod
    def of_bytes(cls, line: bytes) -> Mark:
        """Inverse of :meth:`to_bytes`; :class:`ValueError` on anything else."""
        found = _MARK.fullmatch(line)
        if found is None:
            raise ValueError(f"expected 'deid-epoch 1 EPOCH SEQ', got {line[:60]!r}")
        return cls(int(found[1], 16), int(found[2]))


@dataclass(frozen=True, slots=True)
class EpochChoice:
    """The epoch that holds from this start on; ``reason`` says why, for the log.

    fresh: it is new, so the journal must store it and seq starts at 1.
    """

    epoch: int
    fresh: bool
    reason: str


def next_epoch(now_s: int, random_bits: int) -> int:
    """Wall seconds, then 64 random bits: 96 bits and more, never given before."""
    if not 0 <= random_bits < 1 << RANDOM_BITS:
        raise ValueError(f"random_bits: expected 64 bits, got {random_bits:#x}")
    if not 0 <= now_s < 1 << (EPOCH_BITS - RANDOM_BITS):
        raise ValueError(f"now_s: expected seconds since 1970, got {now_s}")
    return now_s << RANDOM_BITS | random_bits


class Identity:
    """The key of one node and the mark beside it.

    seed: the 32 private bytes; public: the 32 that name the node.
    """

    __slots__ = ("_mark_file", "public", "seed")

    def __init__(self, seed: bytes, mark_file: Path) -> None:
        self.seed = seed
        private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._mark_file = mark_file

    def __repr__(self) -> str:
        return f"Identity({self.public.hex()[:12]}…)"

    @classmethod
    def load_or_create(
        cls, key_file: Path, *, mark_file: Path | None = None, new_seed: bytes | None = None
    ) -> Identity:
        """The identity in ``key_file``; a file that is missing is created with a new key.

        key_file: 64 hex digits and a line end, readable by its owner (and group) alone.
        mark_file: where the mark stands; ``<key_file>.epoch`` unless the key's own directory is
        read-only, as that of systemd's credentials is.
        new_seed: the key to create; random by default.

        :class:`ConfigError` on a malformed or exposed file, :class:`StoreError` from the disk.
        """
        mark_file = mark_file or key_file.with_name(key_file.name + ".epoch")
        seed = _read_seed(key_file)
        if seed is None:
            seed = new_seed or os.urandom(SEED_BYTES)
            if not create_durably(key_file, seed.hex().encode() + b"\n"):
                seed = _read_seed(key_file) or seed  # another process created it meanwhile
        return cls(seed, mark_file)

    def mark(self) -> Mark | None:
        """The high-water mark; None where there is none, :class:`ConfigError` on a bad file."""
        try:
            return Mark.of_bytes(self._mark_file.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise store_error("read the epoch mark", self._mark_file, error) from error
        except ValueError as error:
            raise ConfigError(
                f"epoch mark {self._mark_file}: {error}",
                hint="delete the file: the node then starts a new epoch",
            ) from error

    def raise_mark(self, mark: Mark) -> None:
        """Stores ``mark`` durably: after the item is committed, before it leaves the node."""
        write_durably(self._mark_file, mark.to_bytes())

    def current(self, state: Mark | None, now_s: int, random_bits: int) -> EpochChoice:
        """The epoch of this start by the rule above; a new one is in the mark when this returns.

        state: the mark in the journal; None where it has none.
        """
        mark = self.mark()
        if state is not None and mark is not None and mark.epoch == state.epoch:
            if mark.seq <= state.seq:
                return EpochChoice(state.epoch, fresh=False, reason="normal restart")
            return self.renew("the state directory is an older copy", now_s, random_bits)
        if mark is None:
            reason = "first start" if state is None else "no mark beside the key"
        else:
            reason = "the state directory was lost" if state is None else "another state directory"
        return self.renew(reason, now_s, random_bits)

    def renew(self, reason: str, now_s: int, random_bits: int) -> EpochChoice:
        """A new epoch, stored in the mark."""
        choice = EpochChoice(next_epoch(now_s, random_bits), fresh=True, reason=reason)
        self.raise_mark(Mark(choice.epoch))
        return choice


def _read_seed(key_file: Path) -> bytes | None:
    try:
        with key_file.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(256)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise store_error("read the key file", key_file, error) from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ConfigError(
            f"key file {key_file} is open to others: expected mode 0600, got {mode:04o}",
            hint=f"chmod 600 {key_file}; if someone may have read it, make a new key",
        )
    if _KEY.fullmatch(text) is None:
        raise ConfigError(
            f"key file {key_file}: expected 64 hex digits (a 32-byte ed25519 seed), "
            f"got {len(text)} bytes of something else",
            hint="restore it from a copy, or remove it: the node then gets a new identity",
        )
    return bytes.fromhex(text.decode("ascii"))
