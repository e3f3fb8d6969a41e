;redcode-94
;name moss
;author deid
;family papers
;cores 8000 800
;strategy Four processes, one short copy at a time, close together.
;assert 1
hop     EQU (CORESIZE/3+37)

        SPL.B  1
        SPL.B  1
moss    SPL.B  @0, hop
        MOV.I  }moss, >moss
        MOV.I  {moss, <bed
bed     JMP.B  @0, 2*hop+51
        END
