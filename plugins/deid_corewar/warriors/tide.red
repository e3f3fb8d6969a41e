;redcode-94
;name tide
;author deid
;family clears
;cores 8000 800
;strategy Two-pass clear: the first lap plants SPLs that drown the enemy in useless
;strategy processes, every later lap DATs. The pointer's B-field names the wave.
;assert 1
first   EQU (last-gate+2)

gate    DAT.F  #first, #foam-gate
calm    DAT.F  #first, #ebb-gate
        FOR    3
        DAT.F  #0, #0
        ROF
foam    SPL.B  #first, #ebb-gate
ebb     DAT.F  #first, #ebb-gate
mint    SPL.B  #0, }gate
sweep   MOV.I  @gate, }gate
last    DJN.F  sweep, }gate
        ORG    mint
        END
