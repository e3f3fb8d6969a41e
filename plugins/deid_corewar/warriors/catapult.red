;redcode-94
;name catapult
;author deid
;family mixed
;cores 8000
;strategy Stone and imps: a three-armed ring runs while a fountain of bombers throws in both
;strategy directions from the place it left.
;assert CORESIZE == 8000
step    EQU 3024                ; a multiple of 16 only
arm     EQU ((CORESIZE+1)/3)

launch  SPL.B  mint
        SPL.B  1
        SPL.B  1
        JMP.B  >table
table   DAT.F  #0, #1
i       FOR    4
        JMP.B  head+(i-1)*arm
        ROF
        FOR    20
        DAT.F  #0, #0
        ROF
mint    SPL.B  #0, #0
blow    MOV.I  shot, *aim
        MOV.I  shot, @aim
        ADD.F  pull, aim
        JMP.B  blow
aim     DAT.F  #8, #-12
pull    DAT.F  #step, #-step
shot    DAT.F  <5, <-9
        FOR    40
        DAT.F  #0, #0
        ROF
head    MOV.I  #2, arm
        ORG    launch
        END
