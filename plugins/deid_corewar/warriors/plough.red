;redcode-94
;name plough
;author deid
;family clears
;cores 8000 800
;strategy Clears in both directions at once: one cell is the pointer upwards in its A-field and
;strategy downwards in its B-field. The upper furrow has a start and comes home first.
;assert CORESIZE > 100
first   EQU (last-gate+24)

gate    DAT.F  #first, #-2
share   DAT.F  #first, #-2
        FOR    3
        DAT.F  #0, #0
        ROF
yoke    SPL.B  #0, #0
furrow  MOV.I  share, }gate
        MOV.I  share, <gate
last    JMP.B  furrow
        ORG    yoke
        END
