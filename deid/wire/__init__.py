"""The collective's protocol without I/O: no clock, socket, file, environment, thread or logging.

From the bottom up::

    seqset  keys  codec             sets of numbers, ed25519, strict MessagePack with all limits
    item  messages  record          what travels: elites, messages, signed peer records
    retention  log  own             what stays alive; logs of all origins; the node's own
    outbox  book  notices  peer     queues, addresses to dial, events, the tables' rows
    clock  roster  liveness         time that never runs back; the table of peers; who is alive
    links  directory  overlay       handshakes; the passive view; whom to link to
    membership                      every message that concerns peers
    tree  spread  comparing         whom payloads go to, and names; anti-entropy
    repair  sharing                 pulls; pushes, announcements, comparisons
    node                            all of it behind five inputs and three drains
    gather                          what the search sees: a mailbox that never waits

The rules are in ``docs/protocol.md``.
"""
