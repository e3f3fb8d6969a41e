"""The node's durable state: its directory, its key, its journal. The rest is rebuilt from them."""

from deid.store.directory import StateDirectory
from deid.store.files import create_durably, write_durably
from deid.store.identity import STATE_MARK, EpochChoice, Identity, Mark, next_epoch
from deid.store.journal import Journal
from deid.store.reader import JournalReader
from deid.store.values import (
    Attempt,
    AttemptState,
    ChainCheck,
    Charged,
    Head,
    StoredItem,
    StoredRow,
    Transaction,
)
from deid.store.writer import Backoff, JournalState

__all__ = [
    "STATE_MARK",
    "Attempt",
    "AttemptState",
    "Backoff",
    "ChainCheck",
    "Charged",
    "EpochChoice",
    "Head",
    "Identity",
    "Journal",
    "JournalReader",
    "JournalState",
    "Mark",
    "StateDirectory",
    "StoredItem",
    "StoredRow",
    "Transaction",
    "create_durably",
    "next_epoch",
    "write_durably",
]
