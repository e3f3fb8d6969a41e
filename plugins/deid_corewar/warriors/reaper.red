;redcode-94
;name reaper
;author deid
;family clears
;cores 8000 800
;strategy Three-pass clear: splits that stun, then jumps back into them that hold what still
;strategy runs, then DATs. Two instructions write in every loop.
;assert CORESIZE > 100
first   EQU (last-gate+2)

gate    DAT.F  #first, #stun-gate
calm    DAT.F  #first, #kill-gate
        FOR    4
        DAT.F  #0, #0
        ROF
stun    SPL.B  #first, #hold-gate
hold    JMP.B  #first, #kill-gate
kill    DAT.F  #first, #kill-gate
mint    SPL.B  #0, }gate
scythe  MOV.I  @gate, }gate
        MOV.I  @gate, }gate
last    DJN.F  scythe, }gate
        ORG    mint
        END
