;redcode-94
;name quiver
;author deid
;family imps
;cores 8000 800
;strategy Three-armed ring of imps that aim through their own A-field and increment it in
;strategy the wake, so that the trail does not look like the head.
;assert CORESIZE % 3 == 2
arm     EQU ((CORESIZE+1)/3)

launch  SPL.B  1
        SPL.B  1
        JMP.B  >table
table   DAT.F  #0, #1
i       FOR    4
        JMP.B  head+(i-1)*arm
        ROF
        FOR    4
        DAT.F  #0, #0
        ROF
head    MOV.I  #arm, }0
        ORG    launch
        END
