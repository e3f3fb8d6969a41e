;redcode-94
;name bastion
;author deid
;family mixed
;cores 8000
;strategy Clear and imps: a seven-armed ring for survival, and behind it a two-pass clear whose
;strategy gate lets no foreign imp pass. The own ring ends there too, once the clear has won.
;assert CORESIZE == 8000
arm     EQU ((CORESIZE+1)/7)
first   EQU (last-gate+2)

gate    DAT.F  #first, #foam-gate
calm    DAT.F  #first, #ebb-gate
foam    SPL.B  #first, #ebb-gate
ebb     DAT.F  #first, #ebb-gate
mint    SPL.B  #0, }gate
sweep   MOV.I  @gate, }gate
last    DJN.F  sweep, }gate
        FOR    20
        DAT.F  #0, #0
        ROF
launch  SPL.B  mint
        SPL.B  1
        SPL.B  1
        SPL.B  1
        JMP.B  >table
table   DAT.F  #0, #1
i       FOR    8
        JMP.B  head+(i-1)*arm
        ROF
        FOR    40
        DAT.F  #0, #0
        ROF
head    MOV.I  #3, arm
        ORG    launch
        END
