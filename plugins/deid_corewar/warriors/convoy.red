;redcode-94
;name convoy
;author deid
;family imps
;cores 8000 800
;strategy A growing column of imps: one process stays behind, splits at every turn and sends the
;strategy new one after the others.
;assert 1
mint    SPL.B  #0, $0
        JMP.B  head
        DAT.F  #0, #0
head    MOV.I  $0, $1
        ORG    mint
        END
