;redcode-94
;name corkscrew
;author deid
;family imps
;cores 8000
;strategy Seven-armed imp ring with eight processes, sent off through a table of jumps.
;assert CORESIZE % 7 == 6
arm     EQU ((CORESIZE+1)/7)

head    MOV.I  #arm, *0
        FOR    9
        DAT.F  #0, #0
        ROF
launch  SPL.B  1
        SPL.B  1
        SPL.B  1
        JMP.B  >table
table   DAT.F  #0, #1
i       FOR    8
        JMP.B  head+(i-1)*arm
        ROF
        ORG    launch
        END
