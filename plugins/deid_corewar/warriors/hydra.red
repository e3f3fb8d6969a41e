;redcode-94
;name hydra
;author deid
;family imps
;cores 8000
;strategy Two imp rings of different pitch, three and seven arms, launched together
;strategy from one table of jumps; what clears the one seldom stops the other.
;assert CORESIZE % 21 == 20
wide    EQU ((CORESIZE+1)/3)
narrow  EQU ((CORESIZE+1)/7)

launch  SPL.B  1
        SPL.B  1
        SPL.B  1
        SPL.B  1
        JMP.B  >table
table   DAT.F  #0, #1
i       FOR    8
        JMP.B  tooth+(i-1)*narrow
        ROF
i       FOR    8
        JMP.B  fang+(i-1)*wide
        ROF
        FOR    20
        DAT.F  #0, #0
        ROF
fang    MOV.I  #1, wide
        FOR    20
        DAT.F  #0, #0
        ROF
tooth   MOV.I  #2, narrow
        ORG    launch
        END
