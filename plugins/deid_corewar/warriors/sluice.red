;redcode-94
;name sluice
;author deid
;family clears
;cores 8000 800
;strategy Clears downwards: the wipe starts below the code and comes home from above, where the
;strategy pointer lies; a cell below the code that is always decremented is the imp gate.
;assert 1
start   EQU (gate-pour+12)

pour    SPL.B  #0, <pour-8
        MOV.I  flood, {gate
        MOV.I  flood, {gate
        JMP.B  -2, <pour-8
flood   DAT.F  #-start, #0
        FOR    4
        DAT.F  #0, #0
        ROF
gate    DAT.F  #-start, #0
        ORG    pour
        END
