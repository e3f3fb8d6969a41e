;redcode-94
;name trident
;author deid
;family imps
;cores 8000 800
;strategy Three-armed imp ring: each arm writes the next cell of the arm before it,
;strategy so that killing one arm is not enough while the others still write.
;assert CORESIZE % 3 == 2
arm     EQU ((CORESIZE+1)/3)

launch  SPL.B  right
        SPL.B  middle
        JMP.B  head
middle  JMP.B  head+arm
right   JMP.B  pause            ; as deep as the other branches
pause   JMP.B  head+2*arm
head    MOV.I  #0, arm
        ORG    launch
        END
